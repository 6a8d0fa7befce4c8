"""The schedule of faults: a pure function of its seed, and moments are progress, not seconds."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can happen."""

    #: SIGKILL of a worker actor's process
    WORKER_KILLED = "worker killed"
    #: SIGSTOP of a worker for longer than the dispatcher's patience, then SIGCONT
    WORKER_FROZEN = "worker frozen"
    #: SIGKILL of a Ray node and of all actors on it; another takes its place after a while
    NODE_KILLED = "node killed"
    #: SIGSTOP of a Ray node and of all actors on it until it was given up, then SIGCONT
    NODE_FROZEN = "node frozen"
    #: no packet passes between a Ray node and the others for a while
    NODE_CUT_OFF = "node cut off"
    #: SIGKILL of the dispatcher that has the lease; it is started again as a standby
    ACTIVE_KILLED = "active dispatcher killed"
    #: SIGSTOP of the dispatcher that has the lease until another has it, then SIGCONT
    ACTIVE_FROZEN = "active dispatcher frozen"
    #: SIGKILL of a dispatcher that waits for the lease
    STANDBY_KILLED = "standby killed"
    #: the wall clock of the active dispatcher's process jumps by hours and back
    CLOCK_JUMPS = "clock jumps"
    #: SIGKILL of an API replica
    API_KILLED = "API killed"
    #: SIGKILL of PostgreSQL and all its backends; started again on the same data
    POSTGRES_KILLED = "PostgreSQL killed"
    #: SIGKILL of Redis; started again empty
    REDIS_KILLED = "Redis killed"
    #: no byte can be written where checkpoints and weights lie, for a while
    STORAGE_FULL = "storage full"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        after: it is dealt once so many outcomes are recorded.
        which: picks one of several targets, by its remainder.
        while_s: how long what it takes away is away.
    """

    kind: Kind
    after: int
    which: int
    while_s: float


#: the first and the last fault come at these shares of the outcomes
FIRST, LAST = 0.03, 0.85
#: how long a part is away: shorter and longer than a lease
AWAY_S = (1.0, 6.0)


def deal(seed: int, faults: int, trials: int, kinds: Sequence[Kind]) -> list[Fault]:
    """So many faults, each kind as often as any other but for one, at moments drawn by lot.

    Raises:
        ValueError: fewer faults than kinds, or no room for them among the trials.
    """
    if faults < len(kinds) or not kinds:
        raise ValueError(
            f"{faults} faults cannot show {len(kinds)} kinds; each kind is dealt at least once; "
            f"ask for {max(1, len(kinds))} or more"
        )
    low, high = int(FIRST * trials), int(LAST * trials)
    if high - low < faults:
        raise ValueError(
            f"{faults} faults do not fit into {trials} trials; each has a moment of its own; "
            f"ask for more trials, or fewer faults"
        )
    dice = random.Random(seed)
    rounds, left = divmod(faults, len(kinds))
    chosen = list(kinds) * rounds + dice.sample(list(kinds), left)
    dice.shuffle(chosen)
    moments = sorted(dice.sample(range(low, high), faults))
    return [
        Fault(kind, after, dice.randrange(2**16), round(dice.uniform(*AWAY_S), 1))
        for kind, after in zip(chosen, moments, strict=True)
    ]
