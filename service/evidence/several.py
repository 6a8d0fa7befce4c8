"""Several arms on the same (setting, seed): Cochran's Q, then each pair with McNemar and Holm."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from service.evidence.estimate import Test
from service.evidence.pairs import Pairs, Sided

Floats = NDArray[np.float64]

#: Tate & Brown 1970, JASA 65:155: below it the chi-squared distribution is a poor stand-in
_ENOUGH = 24
#: so many truth values fit into a whole number
_BITS = 62


@dataclass(frozen=True)
class Blocks:
    """Complete blocks: (setting, seed) with an outcome in every arm.

    Attributes:
        arms: their names, in the order of the patterns.
        patterns: how many blocks show each pattern of successes, one truth value an arm.
    """

    arms: tuple[str, ...]
    patterns: Mapping[tuple[bool, ...], int]

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            if len(pattern) != len(self.arms):
                raise ValueError(
                    f"a pattern of {len(pattern)} arms among {len(self.arms)}; a block has one "
                    "outcome of every arm; leave incomplete blocks out"
                )

    @classmethod
    def counted(cls, arms: Sequence[str], won: NDArray[np.bool_]) -> Self:
        """Of a table of outcomes with a row a block and a column an arm."""
        if len(arms) > _BITS:
            rows, counts = np.unique(won.astype(np.bool_), axis=0, return_counts=True)
        else:  # one whole number a block: rows are sorted many times more slowly
            bits = np.int64(1) << np.arange(len(arms), dtype=np.int64)
            codes, counts = np.unique(won.astype(np.int64) @ bits, return_counts=True)
            rows = (codes[:, None] & bits) != 0
        found = zip(rows.tolist(), counts.tolist(), strict=True)
        return cls(tuple(arms), {tuple(row): count for row, count in found})

    @property
    def n(self) -> int:
        """The number of blocks."""
        return sum(self.patterns.values())

    def pair(self, first: int, second: int) -> Pairs:
        """The paired table of two arms, by their places."""
        common = self._together[first][second]
        a, b = self._together[first][first], self._together[second][second]
        return Pairs(common, a - common, b - common, self.n - a - b + common)

    @cached_property
    def _together(self) -> list[list[int]]:
        """Blocks in which two arms both succeeded: all of them out of one product.

        64 arms make 2,016 pairs.
        """
        rows = np.array(list(self.patterns), np.float64).reshape(-1, len(self.arms))
        counts = np.array(list(self.patterns.values()), np.float64)
        found: list[list[int]] = (rows.T @ (rows * counts[:, None])).astype(np.int64).tolist()
        return found

    def cochran_q(self) -> Test:
        """Whether all arms succeed equally often. Cochran 1950, Biometrika 37:256.

        From the counts of patterns (statsmodels wants a row a block). Blocks whose arms all came
        out alike say nothing; of k arms and m other blocks with k m < 24 the p is marked rough.
        """
        k = len(self.arms)
        method = f"Cochran's Q, {k - 1} degrees of freedom"
        if k <= 1:
            return Test(None, method, f"{k} arms; it compares at least two")
        if self.n == 0:
            return Test(None, method, "no complete block")
        columns, within, mixed = [0] * k, 0, 0
        for pattern, count in self.patterns.items():
            won = sum(pattern)
            within += count * won * (k - won)
            mixed += count * (0 < won < k)
            for place, success in enumerate(pattern):
                columns[place] += count * success
        if within == 0:
            return Test(1.0, method, "in every block all arms came out alike", 0.0)
        total = sum(columns)
        q = (k - 1) * (k * sum(c * c for c in columns) - total * total) / within
        rough = f"rough: only {mixed} blocks tell arms apart" if k * mixed < _ENOUGH else ""
        return Test(float(chdtrc(k - 1, q)), method, rough, q)

    def each_pair(self, sided: Sided = "two") -> list["Comparison"]:
        """Every arm against every earlier one with McNemar's exact p, and Holm's over all."""
        places = list(itertools.combinations(range(len(self.arms)), 2))
        tables = [self.pair(second, first) for first, second in places]
        raw = [table.mcnemar(sided) if table.n else None for table in tables]
        return [
            Comparison(self.arms[second], self.arms[first], table, p, adjusted)
            for (first, second), table, p, adjusted in zip(
                places, tables, raw, holm(raw), strict=True
            )
        ]


@dataclass(frozen=True)
class Comparison:
    """An arm against another among several.

    Attributes:
        p: McNemar's exact p; None without blocks.
        holm: the same, adjusted for all comparisons of the family.
    """

    arm: str
    against: str
    pairs: Pairs
    p: float | None
    holm: float | None


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values: the chance of any false rejection stays under alpha.

    Holm 1979, Scandinavian Journal of Statistics 6:65. None, a test that could not be made, stays
    None and does not count.
    """
    known = np.array([value for value in p if value is not None])
    adjusted = iter(_holm(known).tolist())
    return [None if value is None else next(adjusted) for value in p]


def _holm(p: Floats) -> Floats:
    """Ours, since statsmodels' collects all garbage first, which takes half a second in a service.

    The i-th smallest of m, times m - i + 1, and no less than any before it.
    """
    order = np.argsort(p, kind="stable")
    found = np.empty(len(p))
    found[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(found, 1.0)
