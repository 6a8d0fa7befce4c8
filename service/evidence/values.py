"""A continuous metric of one arm: what its trials reached, whatever the order of the rows.

Trials that ended without a value (a diverged one has no final) are counted apart and rank worst:
shares and quantiles are of all trials, so that an arm cannot look better by diverging more.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Better = Literal["lower", "higher"]

#: per cent of the trials, best first, for which the value that they all reach is given
LEVELS = (1, 5, 10, 25, 50, 75, 90, 95, 99)
#: the most points of an empirical distribution
POINTS = 200
_ALPHA = 0.05
_CHUNK = 65_536
#: values beyond this are scaled before they are summed, so that a sum stays finite
_HUGE, _SCALE = 2.0**900, 64


@dataclass(frozen=True)
class Values:
    """What an arm's trials reached.

    Attributes:
        n: trials with an outcome.
        measured: those with a value; the other n - measured rank worst.
        mean: of the measured, correctly rounded; None where none is.
        best, worst: of the measured.
        quantiles: (per cent, value): the best so many per cent of all n trials reached it. Always a
            value that was observed (the inverse of the ECDF); None where it falls to trials without
            a value.
        ecdf: (value, share of all n trials that reached it or better), best first, at most 200:
            every distinct value where there are no more, else values at evenly spread ranks.
        band: half the height of the 95 % band about the ECDF that holds for all thresholds at once:
            sqrt(log(2 / alpha) / 2n), for any distribution and n (Massart 1990, Annals of
            Probability 18:1269, of Dvoretzky, Kiefer & Wolfowitz 1956); None without trials.
        reason: why something is None; empty where nothing is.
    """

    n: int
    measured: int
    mean: float | None
    best: float | None
    worst: float | None
    quantiles: tuple[tuple[int, float | None], ...]
    ecdf: tuple[tuple[float, float], ...]
    band: float | None
    reason: str = ""


def summarise(values: NDArray[np.float64], better: Better) -> Values:
    """What is said of one arm's finals.

    Args:
        values: (n,) of all trials with an outcome; one that is not finite counts as not measured.
        better: whether lower or higher values are better.
    """
    n = len(values)
    ranked = _ranked(values, better)
    measured = len(ranked)
    quantiles = tuple((level, _reached(ranked, n, level, better)) for level in LEVELS)
    if not measured:
        why = "no trial with an outcome has a value" if n else "no trial with an outcome is settled"
        return Values(n, 0, None, None, None, quantiles, (), dkw(n), why)
    missing = any(value is None for _, value in quantiles)
    return Values(
        n=n,
        measured=measured,
        mean=_shown(mean_of(ranked), better),
        best=_shown(ranked[0], better),
        worst=_shown(ranked[-1], better),
        quantiles=quantiles,
        ecdf=_ecdf(ranked, n, better),
        band=dkw(n),
        reason="trials without a value rank worst and reach no quantile" if missing else "",
    )


def dkw(n: int, alpha: float = _ALPHA) -> float | None:
    """Half the height of the band that all of an ECDF lies in; None without trials.

    Massart 1990, Annals of Probability 18:1269, corollary 1: for every n.
    """
    return math.sqrt(math.log(2 / alpha) / (2 * n)) if n else None


def mean_of(values: NDArray[np.float64]) -> float:
    """The exact sum, rounded once, so that no order shows; then one division.

    Args:
        values: (n,) at least one, all finite; their sum may be beyond the largest float.
    """
    huge = max(abs(values.min()), abs(values.max())) > _HUGE
    scaled = np.ldexp(values, -_SCALE) if huge else values
    mean = math.fsum(chain.from_iterable(_lists(scaled))) / len(values)
    return math.ldexp(mean, _SCALE) if huge else mean


def spread(count: int, most: int) -> list[int]:
    """At most so many of the indices 0 to count - 1, evenly, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [i * (count - 1) // (most - 1) for i in range(most)]


def _ranked(values: NDArray[np.float64], better: Better) -> NDArray[np.float64]:
    """The finite values as ascending scores, best first; no zero has a sign."""
    finite = values[np.isfinite(values)]
    ranked = np.sort(finite if better == "lower" else -finite)
    ranked += 0.0
    return ranked


def _shown(score: float, better: Better) -> float:
    return float(score if better == "lower" else -score) + 0.0


def _reached(ranked: NDArray[np.float64], n: int, level: int, better: Better) -> float | None:
    """The value that the best `level` per cent of n trials reach, in whole numbers."""
    needed = max(1, -(-level * n // 100))
    return _shown(ranked[needed - 1], better) if needed <= len(ranked) else None


def _lists(values: NDArray[np.float64]) -> Iterator[list[float]]:
    """Python's floats a chunk at a time: a whole list takes four times the array."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK].tolist()


def _ecdf(ranked: NDArray[np.float64], n: int, better: Better) -> tuple[tuple[float, float], ...]:
    distinct = np.unique(ranked)
    if len(distinct) > POINTS:
        distinct = np.unique(ranked[spread(len(ranked), POINTS)])
    reached = np.searchsorted(ranked, distinct, side="right")
    return tuple(
        (_shown(v, better), k / n) for v, k in zip(distinct, reached.tolist(), strict=True)
    )
