"""Which trials of two arms are pairs, and what became of them by a criterion."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.evidence.pairs import Pairs
from service.evidence.unseen import Unseen, unseen_of
from service.plan import Arm
from service.report.sample import Sample, Verdict


@dataclass(frozen=True)
class Pairing:
    """P settled pairs of arm a and arm b, in order of (setting, seed).

    Attributes:
        a, b: (P,) rows of the sample.
        setting: (P,) index of the pair's setting.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    setting: NDArray[np.int32]


@dataclass(frozen=True)
class PairTable:
    """Pairs by what became of their members.

    Attributes:
        both, only_a, only_b, neither: pairs whose members both have an outcome.
        a_won, a_lost: pairs in which only arm a has an outcome, by whether it succeeded.
        b_won, b_lost: the same of arm b.
        missing: pairs in which neither has.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    a_won: int = 0
    a_lost: int = 0
    b_won: int = 0
    b_lost: int = 0
    missing: int = 0

    @property
    def pairs(self) -> Pairs:
        """The whole pairs."""
        return Pairs(self.both, self.only_a, self.only_b, self.neither)

    @property
    def unseen(self) -> Unseen:
        """The others, by what they might turn out as."""
        return unseen_of(
            a_won=self.a_won,
            a_lost=self.a_lost,
            b_won=self.b_won,
            b_lost=self.b_lost,
            missing=self.missing,
        )


def pairing(sample: Sample, arm: Arm, against: Arm) -> Pairing:
    """The pairs of two arms: trials of one setting and seed."""
    keys, a = _keyed(sample, arm.index)
    others, b = _keyed(sample, against.index)
    if not np.array_equal(keys, others):  # one has settings or seeds that the other has not
        _, in_a, in_b = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
        a, b = a[in_a], b[in_b]
    return Pairing(a, b, sample.setting[a])


def _keyed(sample: Sample, arm: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted (setting, seed) of an arm's trials, as one number, and their rows."""
    rows = np.flatnonzero(sample.arm == arm)
    keys = (sample.setting[rows].astype(np.int64) << 32) + sample.seed[rows]
    order = np.argsort(keys, kind="stable")
    return keys[order], rows[order]


#: what 3 x verdict of a + verdict of b stands for, in that order
_BY_CODE = ("neither", "only_b", "a_lost", "only_a", "both", "a_won", "b_lost", "b_won", "missing")


def table(pairs: Pairing, verdict: Verdict) -> PairTable:
    """The paired table at a criterion.

    Args:
        verdict: (N,) what `sample.won` says of each trial.
    """
    codes = 3 * verdict[pairs.a] + verdict[pairs.b]
    counts = np.bincount(codes, minlength=len(_BY_CODE))
    return PairTable(**dict(zip(_BY_CODE, counts.tolist(), strict=True)))


def tables(pairs: Pairing, verdict: Verdict, settings: int) -> NDArray[np.int64]:
    """(settings, 4) whole pairs of each setting: both, only a, only b, neither."""
    codes = 3 * verdict[pairs.a] + verdict[pairs.b] + 9 * pairs.setting.astype(np.int64)
    counts = np.bincount(codes, minlength=9 * settings).reshape(settings, 9)
    return counts[:, [4, 3, 1, 0]]
