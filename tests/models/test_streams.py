"""Streams are pure functions of every part of their key."""

import itertools
import random
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
    torch_generator,
)
from tests.models.seeding import first_words

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


ROOTS = (0, 1, 9, 2**64, 2**127)
SETTINGS = (0, 1, 2**32, 2**96, 2**127, 5, 6, 7, 8, 9)
SEEDS = (*range(90), *(2**32 + i for i in range(5)), *(2**63 + i for i in range(5)))
SEGMENTS = (*range(38), 2**32, 2**63)


def test_a_million_keys_give_a_million_first_blocks() -> None:
    """10^6 keys that differ in every part, often in one bit: no two share their first 128 bits.

    A million generators would take minutes (45 us for numpy's, 130 us for torch's). So the first
    128 bits that the key's SeedSequence yields, of which SFC64's state and torch's 624 words are
    made, are compared for all 10^6, by the vectorised copy in `tests.models.seeding`, which is held
    against `seed_sequence` itself; numbers really drawn are compared in the next test.
    """
    parts = (ROOTS, SETTINGS, SEEDS, SEGMENTS, tuple(PURPOSES))
    sizes = [len(p) for p in parts]
    places = np.indices(sizes).reshape(len(sizes), -1)
    words = [words_of(p, n) for p, n in zip(parts[:4], (4, 4, 2, 2), strict=True)]
    words.append(np.array([[PURPOSES[p]] for p in parts[4]], np.uint32))
    entropy = np.concatenate([w[i] for w, i in zip(words, places, strict=True)], axis=1)
    blocks = first_words(entropy)
    assert len(np.unique(blocks.view("V16"))) == len(blocks) == 1_000_000
    for i in random.Random(1).sample(range(1_000_000), 500):
        root, setting, seed, segment, purpose = (
            p[k] for p, k in zip(parts, places[:, i], strict=True)
        )
        sequence = seed_sequence(TrialKey(root, setting, seed), purpose, segment)
        assert blocks[i].tolist() == sequence.generate_state(4, np.uint32).tolist()


def words_of(values: tuple[int, ...], count: int) -> np.ndarray:
    """(n, count) 32-bit words, low word first."""
    rows = [[(v >> 32 * i) & 0xFFFF_FFFF for i in range(count)] for v in values]
    return np.array(rows, np.uint32)


def some_keys(count: int) -> list[tuple[TrialKey, Purpose, int]]:
    """So many different keys among the million."""
    dice = random.Random(count)
    keys: dict[tuple[TrialKey, Purpose, int], None] = {}
    while len(keys) < count:
        key = TrialKey(dice.choice(ROOTS), dice.choice(SETTINGS), dice.choice(SEEDS))
        keys[key, dice.choice(tuple(PURPOSES)), dice.choice(SEGMENTS)] = None
    return list(keys)


def test_first_blocks_really_drawn_from_numpys_generator_are_all_different() -> None:
    """The first 126 bits of 60,000 generators."""
    found = {
        tuple(numpy_generator(*key).integers(0, 2**63, 2).tolist()) for key in some_keys(60_000)
    }
    assert len(found) == 60_000


def test_first_blocks_really_drawn_by_counter_are_all_different() -> None:
    """The first 128 bits of 40,000 counter-based streams."""
    keys = np.stack([counter_key(*key) for key in some_keys(40_000)]).astype(np.int64)
    blocks = words_on_device(torch.from_numpy(keys), 0, 1, 0)[:, :, 0]
    assert len(torch.unique(blocks, dim=0)) == 40_000


def test_first_blocks_really_drawn_from_torchs_generator_are_all_different() -> None:
    """The first 126 bits of 10,000 generators."""
    drawn = torch.empty(2, dtype=torch.int64)
    found = {
        tuple(drawn.random_(generator=torch_generator(*key)).tolist()) for key in some_keys(10_000)
    }
    assert len(found) == 10_000


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
