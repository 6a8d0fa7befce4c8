"""How soon a sweep whose arms do not differ is expected to be given up as futile."""

import math

import numpy as np
from numpy.typing import NDArray

from service.evidence.expected import ExpectedStop, simulated
from service.evidence.pairs import Sided
from service.evidence.plan import ALPHA
from service.evidence.sequential import gains

#: simulated sweeps, and looks of each: every look weighs 80 bets
RUNS = 2_000
MOST_LOOKS = 200


def log_e_difference(
    won: NDArray[np.int64], lost: NDArray[np.int64], pairs: int, difference: float
) -> NDArray[np.float64]:
    """`sequential.log_e_difference` of arrays: pairs that the arm alone won, or lost."""
    counts = np.stack([lost, pairs - won - lost, won], axis=-1)
    log_capital = counts @ np.stack(gains(difference))
    largest = log_capital.max(axis=-1)
    mean = np.exp(log_capital - largest[..., None]).mean(axis=-1)
    return np.asarray(largest + np.log(mean), np.float64)


def expected_futility(
    baseline: float,
    correlation: float,
    effect: float,
    looks: NDArray[np.int64],
    *,
    sided: Sided = "two",
    alpha: float = ALPHA,
    seed: int = 0,
) -> ExpectedStop:
    """What the futility rule does where both arms succeed at the baseline's rate; simulated.

    The rule of `stopping.ruled_out`: a difference is left out of the sequence once its e-value
    reaches 1 / alpha, and the observed one lies on the near side of it.

    Args:
        correlation: within pairs; one below what equal rates allow is taken as the least.
        effect: the planned difference that is to be ruled out, more than 0.
        looks: pairs seen at each look, rising.
    """
    least = -min(baseline, 1 - baseline) / max(baseline, 1 - baseline)
    both = baseline**2 + max(correlation, least) * baseline * (1 - baseline)
    alone = max(0.0, baseline - both)
    edges = [e for e, side in ((effect, "less"), (-effect, "greater")) if sided != side]

    def stops(won: NDArray[np.int64], lost: NDArray[np.int64], seen: int) -> NDArray[np.bool_]:
        out = np.ones(len(won), bool)
        for edge in edges:
            near = (won - lost) / seen < edge if edge > 0 else (won - lost) / seen > edge
            left_out = log_e_difference(won, lost, seen, edge) > -math.log(alpha)
            out &= near & left_out
        return out

    rng = np.random.default_rng(seed)
    return simulated(alone, alone, looks, stops, rng, runs=RUNS, most_looks=MOST_LOOKS)
