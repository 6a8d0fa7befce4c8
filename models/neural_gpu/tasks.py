"""What the Neural GPU learns: a task's tapes, and how long they are."""

from typing import Literal, get_args

import numpy as np

from models.neural_gpu import arithmetic, sequences
from models.neural_gpu.arithmetic import Side

Task = Literal["binary_addition", "binary_multiplication", "copy", "reverse", "duplicate", "sort"]
_ON_NUMBERS = get_args(arithmetic.Task)


def length(task: Task, bits: int) -> int:
    """Symbols of a tape for `bits` digits, and so steps of the recurrence."""
    if task in _ON_NUMBERS:
        return 2 * bits + 1
    return 2 * bits if task == "duplicate" else bits


def examples(
    task: Task, generator: np.random.Generator, count: int, bits: int, side: Side
) -> tuple[np.ndarray, np.ndarray]:
    """Input and target symbols of one side of the split, (count, length) uint8 each."""
    match task:
        case "binary_addition" | "binary_multiplication":
            return arithmetic.tape(task, *arithmetic.draw(generator, count, bits, side))
        case _:
            return sequences.tape(task, sequences.draw(generator, count, bits, side))
