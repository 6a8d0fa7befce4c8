"""Tasks on one sequence of binary digits: copy, reverse, duplicate, and sorting the digits.

Kaiser & Sutskever 2015, arXiv 1511.08228, section 3, name them beside the two of arithmetic.
Sequences are (n, length) uint8 arrays.
"""

from typing import Literal

import numpy as np

from models.neural_gpu.arithmetic import PAD, TEST_SIXTEENTHS, ZERO, Side, mix, value_hash

SequenceTask = Literal["copy", "reverse", "duplicate", "sort"]

# chosen so that at every length at least a quarter of the sequences, and not more than half, are
# test sequences
_SALT = 1


def answer(task: SequenceTask, digits: np.ndarray) -> np.ndarray:
    """(n, length) digits of the answer; (n, 2 length) for duplicate."""
    match task:
        case "copy":
            return digits
        case "reverse":
            return digits[:, ::-1]
        case "duplicate":
            return np.concatenate([digits, digits], axis=1)
        case "sort":
            return np.sort(digits, axis=1)


def is_test(digits: np.ndarray) -> np.ndarray:
    """(n,) whether each sequence is held out.

    It depends on the digits up to the last 1: a sequence and the same with zeros after it are on
    one side, at every length.
    """
    with np.errstate(over="ignore"):
        mixed = mix(value_hash(digits) + np.uint64(_SALT))
    found: np.ndarray = (mixed >> np.uint64(60)) < TEST_SIXTEENTHS
    return found


def draw(generator: np.random.Generator, count: int, length: int, side: Side) -> np.ndarray:
    """`count` uniform sequences of one side of the split, (count, length)."""
    found = generator.integers(0, 2, size=(count, length), dtype=np.uint8)
    wrong = np.arange(count)
    while True:
        wrong = wrong[is_test(found[wrong]) != (side == "test")]
        if not len(wrong):
            return found
        found[wrong] = generator.integers(0, 2, size=(len(wrong), length), dtype=np.uint8)


def tape(task: SequenceTask, digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Input and target symbols, as long as the answer: the input is padded where it is shorter."""
    target = (answer(task, digits) + ZERO).astype(np.uint8)
    source = np.full_like(target, PAD)
    source[:, : digits.shape[1]] = digits + ZERO
    return source, target
