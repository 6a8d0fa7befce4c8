"""The audit in words: which places stand out, and what there was to compare."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from service.evidence.audit import Audit, Level, audit
from service.evidence.replayed import Fault, Replayed, faults
from service.store import replays
from service.store.places import ran
from service.store.sweeps import show
from service.words import p

#: levels of a factor that are listed though nothing is wrong with them
_MOST = 20


def audit_of(session: Session, sweep: str) -> dict[str, Any]:
    """Everything: factors, flags, and of each factor the levels that stand out most.

    Raises:
        UnknownSweepError: there is no such sweep.
    """
    show(session, sweep)
    found, again = audit(ran(session, sweep)), replays.compared(session, sweep)
    listed: dict[str, int] = {}
    levels = []
    for level in found.levels:
        listed[level.factor] = listed.get(level.factor, 0) + 1
        if listed[level.factor] <= _MOST:
            levels.append(_level(level))
    return {**_summary(found, again), "levels": levels}


def summary(session: Session, sweep: str) -> dict[str, Any]:
    """What a run log says of it."""
    return _summary(audit(ran(session, sweep)), replays.compared(session, sweep))


def _summary(found: Audit, again: Sequence[Replayed]) -> dict[str, Any]:
    flags = [_level(flag) | {"says": _says(flag)} for flag in found.flags]
    flags += [_fault(fault) for fault in faults(again)]
    return {
        "trials": found.trials,
        "false_flags": found.alpha,
        "conclusion": _conclusion(found, len(flags)) + _compared(again),
        "factors": [
            {
                "factor": factor.name,
                "levels": factor.levels,
                "tested": factor.tested,
                "same_as": factor.same_as,
            }
            for factor in found.factors
        ],
        "flags": flags,
        "replays": {"compared": len(again), "different": sum(not r.equal for r in again)},
    }


def _level(level: Level) -> dict[str, Any]:
    return {
        "factor": level.factor,
        "level": level.level,
        "trials": level.trials,
        "observed": level.observed,
        "expected": round(level.expected, 3),
        "p": level.p,
        "q": level.q,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    names = " or ".join(fault.workers)
    more = "" if len(fault.workers) == 1 else "; one of them is at fault, more replays will tell"
    return {
        "factor": "worker",
        "level": names,
        "compared": fault.compared,
        "different": fault.differing,
        "says": f"worker {names}: {fault.differing} of {fault.compared} replays in which it had a "
        f"part came out different{more}",
    }


def _compared(again: Sequence[Replayed]) -> str:
    if not again:
        return ""
    equal = sum(r.equal for r in again)
    return f" Of {len(again)} replayed trials {equal} came out the same to the bit."


def _conclusion(found: Audit, count: int) -> str:
    """One sentence."""
    if count:
        what = "1 place stands" if count == 1 else f"{count} places stand"
        return (
            f"{what} out beyond chance; replay trials that ran there, or exclude the worker and "
            "run them again."
        )
    compared = [f"{f.levels} {_plural(f.name, f.levels)}" for f in found.factors if f.tested]
    if not compared:
        return "nothing to compare: too few settled trials, or they all ran in one place."
    return f"nothing stands out among {', '.join(compared)} ({found.trials} settled trials)."


def _plural(name: str, count: int) -> str:
    return name if count == 1 else f"{name}s"


def _says(flag: Level) -> str:
    chance = p(flag.p)
    return (
        f"{flag.factor} {flag.level}: {flag.observed} of {flag.trials} trials succeeded where "
        f"{flag.expected:.1f} were expected of their cells "
        f"(p {chance if chance.startswith('<') else '= ' + chance}, q = {flag.q:.2g})"
    )
