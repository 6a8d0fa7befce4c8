"""Whose fault it is that trials came out different when they were run again.

A trial is a function of its spec, to the bit, so one that comes out different was run wrong once:
by the worker that recorded it, or by the one that ran it again. No chance is involved, and no rate
of success: a worker that is wrong in a fifth of its trials is missed by 21 replays with a
probability of 0.8^21, below 1 %, whatever its trials' rate.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Replayed:
    """A trial that was run again.

    Attributes:
        author: the worker that recorded it.
        by: the worker that ran it again.
        equal: whether it came out the same.
    """

    author: str
    by: str
    equal: bool


@dataclass(frozen=True)
class Fault:
    """What explains differences.

    Attributes:
        workers: the one in all of them; several where each alone would explain as many.
        differing: how many are explained.
        compared: replays in which these workers had a part.
    """

    workers: tuple[str, ...]
    differing: int
    compared: int


def faults(found: Iterable[Replayed]) -> list[Fault]:
    """Workers that explain all differences, those that explain most first.

    The worker that has a part in most is taken, then the one in most of what is left: a broken
    worker has a part in all of its own, whoever ran them again. Where two or more explain as many
    they are named together: one of them is at fault, and more replays by others will tell.
    """
    every = list(found)
    left = [r for r in every if not r.equal]
    named: list[Fault] = []
    while left:
        parts = Counter(worker for r in left for worker in {r.author, r.by})
        most = max(parts.values())
        workers = tuple(sorted(worker for worker, n in parts.items() if n == most))
        explained = [r for r in left if {r.author, r.by} & {*workers}]
        compared = sum(bool({r.author, r.by} & {*workers}) for r in every)
        named.append(Fault(workers, len(explained), compared))
        left = [r for r in left if r not in explained]
    return named
