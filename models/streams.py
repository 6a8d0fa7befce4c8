"""Random streams: each is a pure function of (root, setting, seed, purpose, segment).

A key holds every bit of its parts, and fills a generator's whole state or key. `manual_seed` is
never used: torch's CPU generator keeps 32 bits of what it is given, so a large sweep would share
streams. Init, data and evaluation draw from numpy's SFC64 on the CPU; noise and dropout, which are
large, from a counter-based generator on the device (models.kernels.threefry); experiments that are
written for one network draw theirs from torch's generator.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

Purpose = Literal["init", "data", "evaluation", "noise", "dropout"]

#: the number that stands for each purpose in a key; a number is never given to another purpose
PURPOSES: dict[Purpose, int] = {"init": 1, "data": 2, "evaluation": 3, "noise": 4, "dropout": 5}

_WORD = 2**32
_MT_WORDS = 624
# torch's mt19937 state: uint64 seed, int32 left, int32 seeded, uint64 next, 624 uint64 words,
# three doubles and an int of the legacy normal cache (all zero: empty), then a float cache.
_STATE_BYTES = 5056
_WORDS_OFFSET = 24


@dataclass(frozen=True)
class TrialKey:
    """What names a trial's streams.

    Attributes:
        root: 128 bits, the sweep's.
        setting: 128 bits, the hash of the setting without the arm's overrides.
        seed: the restart's number, 0 <= seed < 2**64.
    """

    root: int
    setting: int
    seed: int


def seed_sequence(key: TrialKey, purpose: Purpose, segment: int = 0) -> np.random.SeedSequence:
    """The entropy of one stream; distinct parts give distinct entropy, of fixed length.

    Raises:
        ValueError: a part does not fit its width.
    """
    words: list[int] = []
    parts = (("root", key.root, 4), ("setting", key.setting, 4), ("seed", key.seed, 2))
    for name, value, width in (*parts, ("segment", segment, 2)):
        if not 0 <= value < _WORD**width:
            raise ValueError(f"{name} {value} of a stream key must be in [0, 2**{32 * width})")
        words += [(value >> (32 * i)) & (_WORD - 1) for i in range(width)]
    # an array of words is taken as it is, eight times faster than a list of integers
    return np.random.SeedSequence(np.array([*words, PURPOSES[purpose]], np.uint32))


def numpy_generator(key: TrialKey, purpose: Purpose, segment: int = 0) -> np.random.Generator:
    """A CPU generator for init, data and evaluation: its draws are equal on every device."""
    return np.random.Generator(np.random.SFC64(seed_sequence(key, purpose, segment)))


def counter_key(key: TrialKey, purpose: Purpose, segment: int = 0) -> np.ndarray:
    """(4,) uint32: a 128-bit key for the counter-based generator (noise, dropout)."""
    return seed_sequence(key, purpose, segment).generate_state(4, np.uint32)


def torch_generator(key: TrialKey, purpose: Purpose, segment: int = 0) -> torch.Generator:
    """A CPU torch generator whose 19,937 bits of state come from the key."""
    words = seed_sequence(key, purpose, segment).generate_state(_MT_WORDS, np.uint32)
    state = np.zeros(_STATE_BYTES, np.uint8)
    state[8:16] = np.array([1, 1], np.int32).view(np.uint8)  # left = 1: refill at the first draw
    state[_WORDS_OFFSET : _WORDS_OFFSET + 8 * _MT_WORDS] = words.astype(np.uint64).view(np.uint8)
    generator = torch.Generator()
    generator.set_state(torch.from_numpy(state))
    return generator
