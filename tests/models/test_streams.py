"""Streams are pure functions of every part of their key."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from models.kernels.threefry import words_on_device
from models.streams import (
    PURPOSES,
    Purpose,
    TrialKey,
    counter_key,
    numpy_generator,
    seed_sequence,
)

KEY = TrialKey(root=1 << 127, setting=1 << 126, seed=5)


def first(key: TrialKey, purpose: Purpose = "noise", segment: int = 0) -> tuple[int, ...]:
    """The first numbers of a stream, of both kinds of generator."""
    counted = torch.from_numpy(counter_key(key, purpose, segment).astype(np.int64))[None]
    drawn = words_on_device(counted, 0, 1, 0).flatten()
    other = numpy_generator(key, purpose, segment).integers(0, 2**63, 4)
    return (*drawn.tolist(), *other.tolist())


@pytest.mark.parametrize(
    "changed",
    [
        TrialKey(KEY.root + 1, KEY.setting, KEY.seed),
        TrialKey(KEY.root ^ (1 << 100), KEY.setting, KEY.seed),
        TrialKey(KEY.root, KEY.setting + 1, KEY.seed),
        TrialKey(KEY.root, KEY.setting ^ (1 << 96), KEY.seed),
        TrialKey(KEY.root, KEY.setting, KEY.seed + 1),
        TrialKey(KEY.root, KEY.setting, KEY.seed + 2**32),
        TrialKey(KEY.setting, KEY.root, KEY.seed),
    ],
)
def test_each_part_of_the_key_changes_every_number(changed: TrialKey) -> None:
    assert not set(first(KEY)) & set(first(changed))


def test_purpose_and_segment_change_every_number() -> None:
    streams = [first(KEY, purpose, segment) for purpose in PURPOSES for segment in (0, 1, 2**33)]
    assert len(set(itertools.chain(*streams))) == 8 * len(streams)


def test_a_stream_is_the_same_each_time() -> None:
    assert first(KEY) == first(KEY)


def test_a_million_keys_give_a_million_first_blocks() -> None:
    """No two of 10^6 (setting, seed, purpose, segment) share their first 64 bits of entropy."""
    purposes: tuple[Purpose, ...] = ("data", "noise")
    blocks = np.fromiter(
        (
            seed_sequence(TrialKey(9, setting, seed), purpose, segment).generate_state(
                1, np.uint64
            )[0]
            for setting in range(25)
            for seed in range(2000)
            for purpose in purposes
            for segment in range(10)
        ),
        np.uint64,
        1_000_000,
    )
    assert len(np.unique(blocks)) == 1_000_000


def test_a_counter_key_holds_more_than_32_bits_of_its_parts() -> None:
    """The trap of manual_seed: seeds that agree in their low 32 bits must not share a stream."""
    low = torch.Generator().manual_seed(5)
    high = torch.Generator().manual_seed(5 + 2**32)
    assert torch.equal(torch.randn(8, generator=low), torch.randn(8, generator=high))
    one, other = (counter_key(TrialKey(0, 0, s), "noise") for s in (5, 5 + 2**32))
    assert not set(one.tolist()) & set(other.tolist())


@pytest.mark.parametrize(
    "parts", [{"root": 2**128}, {"setting": -1}, {"seed": 2**64}], ids=lambda p: next(iter(p))
)
def test_a_part_that_does_not_fit_is_refused(parts: dict[str, Any]) -> None:
    key = TrialKey(**({"root": 0, "setting": 0, "seed": 0} | parts))
    with pytest.raises(ValueError, match=f"{next(iter(parts))} .* must be in"):
        seed_sequence(key, "init")
