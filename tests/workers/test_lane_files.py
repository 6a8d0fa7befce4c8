"""A lane's file: what goes on from it ends in the same bits; what is no such file is refused."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
import safetensors.torch
from digits_cnn.description import EXPERIMENT as CNN

from models.lifting import program
from tests.installed import install
from tests.laws import DEVICE, Case, assignments
from tests.models.lifting.mlp import MLP
from tests.resuming import CLASS, Cut, check_resumption, cut_everywhere
from tests.workers.test_lifted_laws import case as lifted
from tests.workers.test_pack_laws import deep_mlp, neural_gpu
from workers import lane_file
from workers.lane import Lane, Rows
from workers.lane_file import LaneFileError, Restored, origin, restored
from workers.pack import Pack

Patch = pytest.MonkeyPatch


def longer(case: Case, segments: int, every: int) -> Case:
    """The same for so many segments, evaluated after each `every` of them."""
    steps = segments * case.spec.segment
    return replace(case, spec=replace(case.spec, steps=steps, evaluate_every=every))


CURRICULUM = longer(
    neural_gpu("cut", task="binary_multiplication", bits=3, start_bits=1, beyond=(4,)), 4, 2
)
CASES = [
    longer(deep_mlp("adam, noise, dropout"), 5, 2),
    longer(deep_mlp("schedule", optimiser="sgd", schedule="cosine"), 3, 1),
    CURRICULUM,
    longer(neural_gpu("error-scaled", noise="error_scaled", optimiser="adamax"), 3, 2),
    longer(neural_gpu("relaxation", relaxation=5, maps=6), 3, 1),
]
LIFTED = [
    lifted("cut", CNN, {"smoothing": 0.1}, batch=32, dropout=0.3),
    lifted("cut", MLP, {"init_std": 0.2}, optimiser="sgd", dropout=0.2, width=13),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_trial_goes_on_from_any_boundary_to_the_same_bits(case: Case) -> None:
    cuts = check_resumption(case)
    if case.spec.evaluate_every > 1:
        assert {cut.evaluated for cut in cuts} == {True, False}
    if case is CURRICULUM:
        assert any(cut.before not in (None, cut.level) for cut in cuts), "no level changed"


@pytest.mark.parametrize("case", LIFTED, ids=lambda case: case.name)
def test_so_does_one_of_a_users_experiment(case: Case, monkeypatch: Patch) -> None:
    install(monkeypatch, CNN, MLP)
    monkeypatch.setattr(program, "rehearsed", {})
    check_resumption(case)


def _without(part: str) -> Any:
    """A reader that forgets one part: what the trial had at its start takes its place."""

    def faulty(data: bytes, of: Any, template: Lane, pack: Any) -> Restored:
        found = restored(data, of, template, pack)
        kept: Any = getattr(template, part)
        return replace(found, lane=replace(found.lane, **{part: kept}))

    return faulty


@pytest.mark.parametrize("part", ["params", "optimiser", "state", "step", "record"])
def test_a_part_that_is_left_out_is_caught(part: str, monkeypatch: Patch) -> None:
    """Each part of a lane is needed: the law fails without it."""
    monkeypatch.setattr("tests.resuming.restored", _without(part))
    with pytest.raises(AssertionError, match="differs undisturbed and cut"):
        check_resumption(CURRICULUM)


def test_numbers_that_are_rounded_are_caught(monkeypatch: Patch) -> None:
    sound = lane_file._copied

    def faulty(rows: Rows) -> Rows:
        return {
            k: v.half().to(v.dtype) if v.is_floating_point() else v for k, v in sound(rows).items()
        }

    monkeypatch.setattr(lane_file, "_copied", faulty)
    with pytest.raises(AssertionError, match="differs undisturbed and cut"):
        check_resumption(CASES[0])


CASE = CASES[0]


@pytest.fixture(scope="module")
def cut() -> Cut:
    """The file of a trial after its second segment."""
    _, cuts = cut_everywhere(CASE.spec, assignments(CASE, 1))
    return cuts[1]


def load(data: bytes, cut: Cut, **other: Any) -> Restored:
    """Reads a file where the trial of the cut is expected, but for what is given."""
    pack = Pack(CASE.spec, DEVICE)
    template = pack.fresh(replace(cut.assignment, **other))
    return restored(data, origin(template.assignment, CASE.spec, CLASS), template, CASE.spec)


def test_the_file_says_where_it_was_trained(cut: Cut) -> None:
    assert load(cut.data, cut).places == ("here",)
    assert load(cut.data, cut).lane.step == cut.step


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 77},
        {"setting": 78},
        {"root": 79},
        {"values": {"learning_rate": 0.5}},
    ],
    ids=str,
)
def test_another_trials_file_is_refused(cut: Cut, other: dict[str, Any]) -> None:
    """Also where a store was put back and counts its trials anew under the same numbers."""
    with pytest.raises(LaneFileError, match="another trial"):
        load(cut.data, cut, **other)


def test_another_packs_and_another_classs_files_are_refused(cut: Cut) -> None:
    pack = Pack(CASE.spec, DEVICE)
    template = pack.fresh(cut.assignment)
    longer_pack = replace(CASE.spec, steps=400)
    with pytest.raises(LaneFileError, match="another pack"):
        restored(cut.data, origin(template.assignment, longer_pack, CLASS), template, longer_pack)
    with pytest.raises(LaneFileError, match="another numerics class"):
        restored(cut.data, origin(template.assignment, CASE.spec, "f" * 16), template, CASE.spec)


def test_a_file_that_is_cut_short_or_changed_anywhere_is_refused(cut: Cut) -> None:
    """300 places all over it, its header most of all: an error that says so, and no crash."""
    dice = random.Random(1)
    header = int.from_bytes(cut.data[:8], "little") + 8
    places = [dice.randrange(header) for _ in range(150)]
    places += [dice.randrange(header, len(cut.data)) for _ in range(30)]
    for place in [0, 7, 8, 9, *places]:
        changed = bytearray(cut.data)
        changed[place] ^= 1 << dice.randrange(8)
        with pytest.raises(LaneFileError):
            load(bytes(changed), cut)
    for length in [0, 1, 7, 8, 9, header - 1, header, len(cut.data) - 1, *places[:100]]:
        with pytest.raises(LaneFileError):
            load(cut.data[:length], cut)
    with pytest.raises(LaneFileError):
        load(cut.data + b"\0", cut)


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b'{"__metadata__": 5}',
        b'{"__metadata__": {"format": 5}}',
        json.dumps({"__metadata__": {"format": "pickle"}}).encode(),
        b'{"a":{"dtype":"F32","shape":[9999999999999,9999999],"data_offsets":[0,8]},"__metadata__":{"format":"seedbed-lane/1"}}',
        b'{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]},"__metadata__":{"format":"seedbed-lane/1"}}',
        b"\x80\x04\x95",
    ],
    ids=["deep", "number", "no text", "foreign", "huge", "half bytes", "pickle"],
)
def test_a_hostile_header_is_an_error(cut: Cut, header: bytes) -> None:
    with pytest.raises(LaneFileError):
        load(len(header).to_bytes(8, "little") + header + bytes(8), cut)


@pytest.mark.parametrize(
    "record",
    ['{"steps": [], "values": [1]}', "[]", '{"steps": [], "values": {"x": [1' + "0" * 400 + "]}}"],
    ids=["list of values", "no mapping", "huge number"],
)
def test_a_record_of_another_kind_is_an_error_though_its_checksum_is_right(
    cut: Cut, record: str
) -> None:
    """Whoever can write to storage can write this too."""
    tensors, metadata = safetensors.torch.load(cut.data), lane_file._metadata(cut.data)
    back = json.loads(metadata["record"])
    steps = json.dumps(back["steps"])
    metadata["record"] = record.replace('"steps": []', f'"steps": {steps}')
    del metadata["sha256"]
    forged = metadata | {"sha256": lane_file._digest(tensors, metadata)}
    with pytest.raises(LaneFileError, match="not as written"):
        load(safetensors.torch.save(tensors, forged), cut)
