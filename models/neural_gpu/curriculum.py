"""The curriculum: how long the examples of a segment's steps are, at each level.

Kaiser & Sutskever's trainer draws a step's length at random (PAPER 3.4). Here all lanes of a level
must run one program, and none may see its neighbours; so lengths follow one sequence a level,
spread as evenly as the distribution asks, instead of being drawn.
"""

from typing import Literal

import numpy as np

Lengths = Literal["level", "mixed"]
#: probability that a length is the larger of two draws up to the level
_TWICE = 0.60
#: probability that it is then the larger of itself and a draw up to the longest
_BEYOND = 0.25
#: the golden ratio's fraction: the points i x it, modulo 1, are as even as a sequence can be
_GOLDEN = 0.6180339887498949


def chances(level: int, longest: int) -> np.ndarray:
    """Probabilities of the lengths 1 to `longest`, float64, under `mixed`.

    Uniform up to the level; with probability 0.6 the larger of two such draws; then with
    probability 0.25 the larger of that and a uniform draw up to `longest`.
    """
    x = np.arange(1, longest + 1)
    up_to_level = np.minimum(x / level, 1.0)
    below = (1 - _TWICE) * up_to_level + _TWICE * up_to_level**2
    below *= (1 - _BEYOND) + _BEYOND * x / longest
    found: np.ndarray = np.diff(below, prepend=0.0)
    return found


def schedule(lengths: Lengths, level: int, longest: int, segment: int) -> np.ndarray:
    """(segment,) int64: digits of each step's examples, the same in every segment of a level.

    Args:
        lengths: `level` for examples of the level's length only.
        level: digits that a lane has reached.
        longest: digits at the end of the curriculum.
        segment: steps.
    """
    if lengths == "level":
        return np.full(segment, level, np.int64)
    points = (0.5 + _GOLDEN * np.arange(segment)) % 1.0
    found = 1 + np.searchsorted(np.cumsum(chances(level, longest)), points, side="right")
    return np.minimum(found, longest)
