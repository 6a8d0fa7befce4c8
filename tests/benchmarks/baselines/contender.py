"""What the bench asks of every system that trains, so that one harness times and checks all."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

#: named arrays in Seedbed's layout, each with the lane axis first
Weights = Mapping[str, np.ndarray]


class Contender(Protocol):
    """R networks of one workload in training.

    Every call returns only when its numbers are there. Step counts go on from call to call.
    """

    #: R
    lanes: int

    def train(self, steps: int) -> np.ndarray:
        """Takes so many steps on batches of its own drawing; losses (steps, R)."""
        ...

    def evaluate(self) -> np.ndarray:
        """(R,) mean loss on the whole test table."""
        ...

    def load(self, weights: Weights) -> None:
        """Starts again from these weights, at step 0."""
        ...

    def weights(self) -> dict[str, np.ndarray]:
        """The weights now."""
        ...

    def replay(self, chosen: np.ndarray) -> np.ndarray:
        """Trains on rows (steps, R, B) of the training table; losses (steps, R)."""
        ...
