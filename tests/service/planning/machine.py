"""A made-up machine: trials of given lengths on lanes, and what a dispatcher would see of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BUDGET, SEGMENT = 400, 10


@dataclass
class Seen:
    """A boundary: the time, trials that ended so far, and the steps of those that train."""

    time_s: float
    ended: int
    steps: NDArray[np.float64]


def lengths(kind: str, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Steps of trials; most kinds end early now and then."""
    some, place = rng.random(count), rng.random(count)
    if kind == "equal":
        return np.full(count, BUDGET)
    if kind == "a tenth diverges":
        return np.where(some < 0.1, np.ceil(place * BUDGET), BUDGET)
    if kind == "half diverge early":
        return np.where(some < 0.5, np.ceil(place * 0.3 * BUDGET), BUDGET)
    assert kind == "leave at any time"
    return np.minimum(BUDGET, np.ceil(rng.exponential(0.5 * BUDGET, count)))


def train(
    wanted: NDArray[np.float64], lanes: int, rng: np.random.Generator, *, by_lane: bool
) -> tuple[list[Seen], NDArray[np.float64]]:
    """Every boundary, and the lengths in the order in which trials ended.

    Args:
        by_lane: a step takes as long as it has lanes (a CPU), or as long whatever their number.
    """
    steps, goal, begun, drift, time_s = np.zeros(0), np.zeros(0), 0, 0.0, 0.0
    ended: list[float] = []
    seen: list[Seen] = []
    while len(ended) < len(wanted):
        more = wanted[begun : begun + lanes - len(steps)]
        steps, goal = np.append(steps, np.zeros(len(more))), np.append(goal, more)
        begun += len(more)
        drift = 0.95 * drift + 0.03 * rng.standard_normal()  # the machine's other load: 10 %
        time_s += SEGMENT * (len(steps) if by_lane else lanes) * np.exp(drift) / 1000
        steps = steps + SEGMENT
        over = steps >= goal
        ended += goal[over].tolist()
        steps, goal = steps[~over], goal[~over]
        seen.append(Seen(time_s, len(ended), steps))
    return seen, np.array(ended)
