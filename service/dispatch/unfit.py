"""Unfit machines: why a worker cannot even say who it is, in words that help; pure."""

import re
from dataclasses import dataclass

_MISSING = re.compile(r"^(ModuleNotFoundError|ImportError): .*", re.MULTILINE)


@dataclass(frozen=True)
class Unfit:
    """A machine that can train nothing, whatever the trial.

    Attributes:
        why: what Python said there.
        cure: what to do.
    """

    why: str
    cure: str


def unfit(why: str) -> Unfit | None:
    """What is wrong with the machine where a worker ended before it had described itself.

    None where the machine is not to blame, as when it went away.

    Args:
        why: Ray's words, which end with the error of the worker's process.
    """
    found = [match.group(0) for match in _MISSING.finditer(why)]
    if not found:
        return None
    return Unfit(
        found[-1],
        "a node that has CPUs or GPUs for workers needs what the worker image has: Seedbed's "
        "`workers` and `models`, torch, and the same Python and Ray as the dispatcher; mend the "
        "node, or give it none to offer (`ray start --num-cpus=0`); see docs/cluster.md",
    )
