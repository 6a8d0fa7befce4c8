"""numpy's SeedSequence for many keys at once, after M. E. O'Neill's seed_seq."""

import numpy as np

_POOL = 4
_INIT_A, _MULT_A = 0x43B0D7E5, 0x931E8875
_INIT_B, _MULT_B = 0x8B51F9DD, 0x58F38DED
_MIX_L, _MIX_R = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_SHIFT = np.uint32(16)


class _Hash:
    """A multiplicative hash whose constant moves with every use."""

    def __init__(self, constant: int, multiplier: int) -> None:
        self.constant, self.multiplier = constant, multiplier

    def __call__(self, value: np.ndarray) -> np.ndarray:
        value = value ^ np.uint32(self.constant)
        self.constant = self.constant * self.multiplier & 0xFFFF_FFFF
        value = value * np.uint32(self.constant)
        return value ^ (value >> _SHIFT)


def first_words(entropy: np.ndarray) -> np.ndarray:
    """(n, 4) uint32: `SeedSequence(row).generate_state(4)` of each row of (n, words >= 4)."""
    mixed = _Hash(_INIT_A, _MULT_A)
    pool = [mixed(entropy[:, i]) for i in range(_POOL)]
    for source in range(_POOL):
        for target in range(_POOL):
            if source != target:
                pool[target] = _mix(pool[target], mixed(pool[source]))
    for source in range(_POOL, entropy.shape[1]):
        for target in range(_POOL):
            pool[target] = _mix(pool[target], mixed(entropy[:, source]))
    drawn = _Hash(_INIT_B, _MULT_B)
    return np.ascontiguousarray(np.stack([drawn(p) for p in pool], axis=1))


def _mix(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    mixed = _MIX_L * x - _MIX_R * y
    return mixed ^ (mixed >> _SHIFT)
