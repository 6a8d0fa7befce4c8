"""What is said of repeated measurements: medians, the slow side, ratios and marginal rates."""

import math
import statistics
from collections.abc import Sequence


def median(values: Sequence[float]) -> float:
    """The middle of what was measured."""
    return statistics.median(values)


def p95(values: Sequence[float]) -> float:
    """The smallest value that at least 95 % do not exceed; of fewer than 20 it is the largest."""
    ordered = sorted(values)
    return ordered[math.ceil(0.95 * len(ordered)) - 1]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over repeats of ours / theirs.

    A repeat measures every row once, so what slows the machine for a while slows both.
    """
    return median([a / b for a, b in zip(ours, theirs, strict=False)])


def marginal(trials: tuple[int, int], seconds: tuple[float, float]) -> float:
    """Trials a second, (N2 - N1) / (T2 - T1), free of what every sweep costs once.

    Raises:
        ValueError: N2 < 4 N1, or the larger sweep was not the slower one.
    """
    if trials[1] < 4 * trials[0]:
        raise ValueError(
            f"sweeps of {trials[0]} and {trials[1]} trials are too alike for a marginal rate; the "
            "larger has at least four times the trials of the smaller; enlarge it"
        )
    if seconds[1] <= seconds[0]:
        raise ValueError(
            f"{trials[1]} trials took {seconds[1]:.1f} s and {trials[0]} took {seconds[0]:.1f} s; "
            "the larger sweep must be the slower; the machine was disturbed: measure again"
        )
    return (trials[1] - trials[0]) / (seconds[1] - seconds[0])
