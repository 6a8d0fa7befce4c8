"""How far a sweep under the evidence rule is expected to run, and how likely it is to be decided.

The e-process of `sequential.log_e_paired` is looked at after every cohort; the sweep stops when it
reaches 1 / alpha, or at its last pair. Small designs are computed exactly, others simulated.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.special import betainc, betaln
from scipy.stats import binom, multinomial

from service.evidence.pairs import Sided
from service.evidence.plan import ALPHA, Design

#: states x looks up to which the distribution is computed instead of simulated
MOST_EXACT = 5_000_000
#: simulated sweeps
RUNS = 5_000
#: looks of a simulated sweep: with more cohorts it is looked at after every second, third ...
MOST_LOOKS = 1_000
#: what may be left out beyond each end of a count of wins
_TAIL = 1e-12


#: which sweeps stop: (wins, losses) of each, and the pairs that all have seen
Stops = Callable[[NDArray[np.int64], NDArray[np.int64], int], NDArray[np.bool_]]


@dataclass(frozen=True)
class ExpectedStop:
    """What a rule would do to a design that is true.

    Attributes:
        decided: the chance that it stops by the last pair.
        mean: pairs used, undecided sweeps counted whole.
        median: pairs by which half of the sweeps have ended.
        ninety: pairs by which nine of ten have ended.
        pairs: the most, N.
        saved: 1 - mean / N.
        looks: how often the evidence is looked at.
        decided_error: standard error of `decided` from simulating; 0 where computed exactly.
        mean_error: standard error of `mean`; likewise.
    """

    decided: float
    mean: float
    median: int
    ninety: int
    pairs: int
    saved: float
    looks: int
    decided_error: float
    mean_error: float


def looks_of(seeds: int, cohort: int, settings: int) -> NDArray[np.int64]:
    """Pairs seen at each look: after each cohort, of which the last may be short."""
    ends = np.append(np.arange(cohort, seeds, cohort), seeds)
    return ends.astype(np.int64) * settings


def log_e(
    won: NDArray[np.int64], lost: NDArray[np.int64], sided: Sided = "two"
) -> NDArray[np.float64]:
    """`sequential.log_e_paired` of arrays: the arm won and lost so many discordant pairs."""
    n = won + lost
    both = betaln(1 + won, 1 + lost) + n * math.log(2)
    if sided == "two":
        return np.asarray(both, np.float64)
    up, down = (won, lost) if sided == "greater" else (lost, won)
    with np.errstate(divide="ignore"):
        return np.asarray(both + np.log(2 * betainc(1 + down, 1 + up, 0.5)), np.float64)


def expected_stop(
    design: Design,
    looks: NDArray[np.int64],
    *,
    sided: Sided = "two",
    alpha: float = ALPHA,
    seed: int = 0,
) -> ExpectedStop:
    """What the evidence rule would do.

    Args:
        looks: pairs seen at each look, rising; the last is N.
        seed: of the simulation, where one is needed; the same design gives the same numbers.
    """
    n = int(looks[-1])
    _, a, b, _ = design.joint()
    shape = tuple(int(binom.isf(_TAIL, n, min(1.0, p))) + 1 for p in (a, b))
    if shape[0] * shape[1] * len(looks) <= MOST_EXACT:
        return _exact(a, b, looks, (shape[0], shape[1]), sided, alpha)

    def stops(won: NDArray[np.int64], lost: NDArray[np.int64], _seen: int) -> NDArray[np.bool_]:
        return log_e(won, lost, sided) >= -math.log(alpha)

    return simulated(a, b, looks, stops, np.random.default_rng(seed))


def _exact(
    a: float, b: float, looks: NDArray[np.int64], shape: tuple[int, int], sided: Sided, alpha: float
) -> ExpectedStop:
    """The distribution over (won, lost) from look to look; what stops is taken out."""
    won, lost = np.indices(shape)
    stops = log_e(won, lost, sided) >= -math.log(alpha)
    going = np.zeros(shape)
    going[0, 0] = 1.0
    kernels: dict[int, NDArray[np.float64]] = {}
    ended = np.zeros(len(looks))
    before = 0
    for place, seen in enumerate(looks):
        more = int(seen) - before
        if more not in kernels:
            kernels[more] = _step(a, b, more, shape)
        going = np.maximum(fftconvolve(going, kernels[more])[: shape[0], : shape[1]], 0.0)
        ended[place] = going[stops].sum()
        going[stops] = 0.0
        before = int(seen)
    decided = float(min(1.0, ended.sum()))
    ended[-1] += 1 - ended.sum()
    return _summary(looks, ended, decided, 0.0, 0.0)


def _step(a: float, b: float, pairs: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Probabilities of (won, lost) among so many pairs, as far as the shape reaches."""
    most = [
        min(pairs, size - 1, int(binom.isf(_TAIL, pairs, min(1.0, p)))) + 1
        for size, p in zip(shape, (a, b), strict=True)
    ]
    won, lost = np.indices(most)
    counts = np.stack([won, lost, pairs - won - lost], axis=-1)
    rest = max(0.0, 1 - a - b)
    inside = counts[..., 2] >= 0
    found = np.zeros(inside.shape)
    found[inside] = multinomial.pmf(counts[inside], pairs, [a, b, rest])
    return found


def simulated(
    a: float,
    b: float,
    looks: NDArray[np.int64],
    stops: Stops,
    rng: np.random.Generator,
    *,
    runs: int = RUNS,
    most_looks: int = MOST_LOOKS,
) -> ExpectedStop:
    """What a rule does to sweeps of pairs that only one arm wins with chance a, the other b.

    Args:
        stops: the rule.
        runs: simulated sweeps.
        most_looks: with more looks, only every second, third ... is taken.
    """
    stride = -(-len(looks) // most_looks)
    used = looks[::-1][::stride][::-1]  # the last look stays
    psi = min(1.0, a + b)
    share = a / psi if psi else 0.0
    won = np.zeros(runs, np.int64)
    lost = np.zeros(runs, np.int64)
    ended = np.zeros(len(used))
    before = 0
    for place, seen in enumerate(used):
        more = rng.binomial(int(seen) - before, psi, len(won))
        mine = rng.binomial(more, share)
        won, lost = won + mine, lost + more - mine
        stopped = stops(won, lost, int(seen))
        ended[place] = stopped.sum() / runs
        won, lost = won[~stopped], lost[~stopped]
        before = int(seen)
        if not len(won):
            break
    decided = float(ended.sum())
    ended[-1] += len(won) / runs
    mean = float(ended @ used)
    spread = math.sqrt(max(0.0, float(ended @ (used - mean) ** 2)))
    least_error = 0.5 / runs  # that of none or all seen
    error = max(least_error, math.sqrt(decided * (1 - decided) / runs))
    return _summary(used, ended, decided, error, spread / math.sqrt(runs))


def _summary(
    looks: NDArray[np.int64],
    ended: NDArray[np.float64],
    decided: float,
    decided_error: float,
    mean_error: float,
) -> ExpectedStop:
    n = int(looks[-1])
    by = np.cumsum(ended) + 1e-9  # sums of probabilities
    mean = float(ended @ looks)
    return ExpectedStop(
        decided=decided,
        mean=mean,
        median=int(looks[int(np.argmax(by >= 0.5))]),  # noqa: PLR2004 - the median
        ninety=int(looks[int(np.argmax(by >= 0.9))]),  # noqa: PLR2004 - nine of ten
        pairs=n,
        saved=1 - mean / n,
        looks=len(looks),
        decided_error=decided_error,
        mean_error=mean_error,
    )
