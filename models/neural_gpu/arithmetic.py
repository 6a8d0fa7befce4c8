"""Binary arithmetic on digit arrays of any size, and its split into training and test pairs.

Numbers are (n, bits) uint8 arrays, least significant digit first. Sums and products are carried
digit by digit, so nothing wraps at any size.
"""

from typing import Literal

import numpy as np

Task = Literal["binary_addition", "binary_multiplication"]
Side = Literal["train", "test"]

#: symbols of the tape: padding, the digits 0 and 1, the operator
PAD, ZERO, OPERATOR, SYMBOLS = 0, 1, 3, 4
#: of 16 hash buckets, so many are test pairs: 5/16 = 31.25 % in the limit
TEST_SIXTEENTHS = 5
MAX_BITS = 4096

# chosen so that from 1 bit on at least a quarter of the ordered pairs are test pairs
_SALT = 71


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, bits + 1) digits of a + b."""
    return carried(np.pad(a.astype(np.int32) + b, ((0, 0), (0, 1))))


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, 2 bits) digits of a x b, by the school's method."""
    n, bits = a.shape
    sums = np.zeros((n, 2 * bits), np.int32)
    for i in range(bits):  # at most `bits` ones a column: far from wrapping
        sums[:, i : i + bits] += a[:, i : i + 1] * b
    return carried(sums)


def carried(sums: np.ndarray) -> np.ndarray:
    """Turns column sums into digits; the last column must be able to take the last carry."""
    digits = np.empty(sums.shape, np.uint8)
    carry = np.zeros(len(sums), np.int32)
    for i in range(sums.shape[1]):
        total = sums[:, i] + carry
        digits[:, i] = total & 1
        carry = total >> 1
    return digits


def result(task: Task, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Digits of the task's answer: bits + 1 of a sum, 2 bits of a product, zeros included."""
    return add(a, b) if task == "binary_addition" else multiply(a, b)


def is_test(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) whether each pair is held out.

    It depends on the two values alone: not on their order (a + b = b + a would leak) and not on
    leading zeros (a short pair would leak into a longer length).
    """
    with np.errstate(over="ignore"):
        both = mix(value_hash(a)) + mix(value_hash(b))
        return (mix(both + np.uint64(_SALT)) >> np.uint64(60)) < TEST_SIXTEENTHS


def draw(
    generator: np.random.Generator, count: int, bits: int, side: Side
) -> tuple[np.ndarray, np.ndarray]:
    """`count` uniform pairs of one side of the split; (count, bits) digits each."""
    pairs = generator.integers(0, 2, size=(count, 2, bits), dtype=np.uint8)
    wrong = np.arange(count)
    while True:
        held_out = is_test(pairs[wrong, 0], pairs[wrong, 1])
        wrong = wrong[held_out != (side == "test")]
        if not len(wrong):
            return pairs[:, 0], pairs[:, 1]
        pairs[wrong] = generator.integers(0, 2, size=(len(wrong), 2, bits), dtype=np.uint8)


def tape(task: Task, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Input and target symbols, (n, 2 bits + 1) uint8 each.

    Input: digits of a, the operator, digits of b. Target: the answer's digits, then padding.
    """
    n = len(a)
    operator = np.full((n, 1), OPERATOR, np.uint8)
    source = np.concatenate([a + ZERO, operator, b + ZERO], axis=1).astype(np.uint8)
    answer = result(task, a, b)
    target = np.full_like(source, PAD)
    target[:, : answer.shape[1]] = answer + ZERO
    return source, target


def answer_digits(task: Task, bits: int) -> int:
    """How many digits an answer has."""
    return bits + 1 if task == "binary_addition" else 2 * bits


def value_hash(digits: np.ndarray) -> np.ndarray:
    """(n,) uint64: the XOR of a fixed random word for each 1, so leading zeros do not count."""
    words = _WORDS[: digits.shape[1]]
    found: np.ndarray = np.bitwise_xor.reduce(np.where(digits != 0, words, np.uint64(0)), axis=1)
    return found


def mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele et al. 2014), on a shifted value so that 0 moves too."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


_WORDS = np.random.SeedSequence(20151121).generate_state(MAX_BITS, np.uint64)
