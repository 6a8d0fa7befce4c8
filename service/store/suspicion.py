"""Suspicion: how a trial that kills its workers is parted from those that it trained beside.

When a worker is lost, nobody knows which of its trials was the cause. All of them are counted one
loss. The first may be chance; after `SUSPECT` losses a trial is a suspect: suspects wait apart and
share an otherwise empty worker only with so few others that the innocent soon end without it. One
that was alone when its worker was lost, and has lost `MOST_LOSSES`, is errored.
"""

from math import isqrt

#: losses after which a trial is a suspect
SUSPECT = 2
#: losses after which a suspect is trained alone
ALONE = SUSPECT + 2
#: losses after which a trial that was alone is errored; the last two at least were its own
MOST_LOSSES = 6


def company(losses: int, lanes: int) -> int:
    """How many suspects may share a worker when the worst of them has lost so many.

    Of 64 lanes 8, then 2, then each alone: sooner than by halves, for every step costs a worker.
    """
    for _ in range(SUSPECT, losses + 1):
        lanes = isqrt(lanes)
    return 1 if losses >= ALONE else max(1, lanes)


def spent(losses: int, held: int) -> bool:
    """Whether a trial is errored that has now lost so many workers, the last with so many held."""
    return held == 1 and losses >= MOST_LOSSES
