"""The engine: what ends how, what is measured when, and what a step costs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.deep_mlp.program import DeepMlp
from models.kernels.leaves import LeafList
from models.program import Lanes
from tests.laws import assignments, run, same
from tests.workers.test_pack_laws import deep_mlp, neural_gpu
from workers import numerics
from workers.lane import fingerprint
from workers.messages import Leave, Order, PackSpec
from workers.pack import Pack
from workers.trainer import Trainer, WrongPackError

CPU = torch.device("cpu")
CASE = deep_mlp("plain", optimiser="sgd")
ADAM = deep_mlp("adam")


def spec(**changes: Any) -> PackSpec:
    """The pack of the case, changed."""
    return PackSpec(**(vars(CASE.spec) | changes))


def test_a_diverged_lane_ends_without_a_final_value_and_alone() -> None:
    outcomes = run(CASE.spec, assignments(CASE, 4, wild=[2]), 4)
    assert [outcomes[i].end_state for i in range(4)] == [
        "finished",
        "finished",
        "diverged",
        "finished",
    ]
    assert outcomes[2].metrics["test_accuracy"].final is None
    assert outcomes[2].steps == CASE.spec.segment


def test_divergence_that_passes_within_a_segment_is_latched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A gradient norm that overflows for one step ends the lane, though its weights stay finite."""
    numerics.settle()
    sound = DeepMlp.gradients

    def spike(self: DeepMlp, params: LeafList, batches: Any, step: int) -> Any:
        loss, stats, found = sound(self, params, batches, step)
        if step == 2:
            found.tensors[found.names.index("w00")][1] *= 1e30
        return loss, stats, found

    monkeypatch.setattr(DeepMlp, "gradients", spike)
    pack = Pack(CASE.spec, CPU)
    pack.admit(assignments(CASE, 3))
    ended = pack.advance()
    assert [(o.trial, o.end_state) for o in ended.outcomes] == [(1, "diverged")]
    assert len(pack.lanes) == 2


def test_a_lane_leaves_at_the_first_evaluation_that_meets_the_rule() -> None:
    rule = Leave("test_accuracy", "at_least", 0.0)
    outcomes = run(spec(leave=rule), assignments(CASE, 3), 2)
    assert {o.end_state for o in outcomes.values()} == {"left"}
    assert {o.steps for o in outcomes.values()} == {CASE.spec.segment}


def test_evaluations_come_every_so_many_segments_and_at_the_end() -> None:
    import json  # noqa: PLC0415 - beside their only use
    import zlib  # noqa: PLC0415

    [outcome] = run(spec(evaluate_every=2), assignments(CASE, 1), 1).values()
    curve = json.loads(zlib.decompress(outcome.curve))
    assert curve["steps"] == [8, 12]
    assert outcome.metrics["test_accuracy"].final == curve["metrics"]["test_accuracy"][-1]


def test_dear_metrics_are_measured_at_the_end_alone() -> None:
    import json  # noqa: PLC0415 - beside their only use
    import zlib  # noqa: PLC0415

    case = neural_gpu("8 maps")
    at_end = PackSpec(**(vars(case.spec) | {"expensive": "end"}))
    [outcome] = run(at_end, assignments(case, 1), 1).values()
    curve = json.loads(zlib.decompress(outcome.curve))["metrics"]["digit_error@3"]
    assert curve[:-1] == [None, None]
    assert curve[-1] is not None


def broken(on: int) -> Callable[..., Any]:
    """Batches that raise whenever a certain trial is among the lanes."""
    sound = DeepMlp.batches

    def batches(self: DeepMlp, lanes: Lanes, level: int) -> Any:
        if any(key.seed == on for key in lanes.keys):
            raise MemoryError("out of memory, as planted")
        return sound(self, lanes, level)

    return batches


def test_a_lane_that_raises_fails_alone_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pack is halved until the culprit is alone; the others end as the same bits."""
    trials = assignments(CASE, 12)
    expected = run(CASE.spec, trials, 12)
    numerics.settle()
    monkeypatch.setattr(DeepMlp, "batches", broken(on=2))
    pack = Pack(CASE.spec, CPU)
    pack.admit(trials)
    failures, outcomes = [], {}
    while pack.lanes:
        ended = pack.advance()
        failures += ended.failures
        outcomes |= {o.trial: o for o in ended.outcomes}
    assert sorted(f.trial for f in failures) == [6, 7, 8]
    assert all("out of memory, as planted" in f.traceback for f in failures)
    assert all(same(outcomes[i], expected[i]) for i in outcomes)
    assert len(outcomes) == 9


def test_two_threads_are_refused() -> None:
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="2 threads"):
            Pack(CASE.spec, CPU)
    finally:
        torch.set_num_threads(1)


def test_values_that_an_older_sweep_lacks_are_the_defaults() -> None:
    """A sweep that began before Adam's betas were hyper-parameters goes on, to the same bits."""
    whole = assignments(ADAM, 2)
    assert {a.values["beta1"] for a in whole} == {0.9}
    older = [
        replace(a, values={k: v for k, v in a.values.items() if not k.startswith("beta")})
        for a in whole
    ]
    expected = run(ADAM.spec, whole, 2)
    found = run(ADAM.spec, older, 2)
    assert all(same(found[i], expected[i]) for i in expected)


def test_a_trainer_refills_from_its_buffer_and_drops_what_it_is_told() -> None:
    trainer = Trainer()
    trials = assignments(CASE, 7)
    first = trainer.advance(Order(CASE.spec, tuple(trials), lanes=2, slice_s=0.0))
    assert len(first.held) == 7
    assert first.steps == (CASE.spec.segment, CASE.spec.segment, 0, 0, 0, 0, 0)
    second = trainer.advance(Order(CASE.spec, cancel=((6, 1), (0, 1)), lanes=2, slice_s=1e9))
    assert sorted(second.dropped) == [(0, 1), (6, 1)]
    ended = [*second.outcomes]
    while second.held:  # it returns as soon as a lane is free and nothing waits
        second = trainer.advance(Order(CASE.spec, lanes=2, slice_s=1e9))
        ended += second.outcomes
    assert sorted(o.trial for o in ended) == [1, 2, 3, 4, 5]


def test_a_trainer_changes_its_pack_only_when_empty() -> None:
    trainer = Trainer()
    trainer.advance(Order(CASE.spec, tuple(assignments(CASE, 1)), slice_s=0.0))
    with pytest.raises(WrongPackError, match="1 trials of another pack"):
        trainer.advance(Order(spec(steps=180)))


def test_a_program_that_cannot_be_built_fails_its_trials() -> None:
    bad = spec(shared={"depth": -1})
    returned = Trainer().advance(Order(bad, tuple(assignments(CASE, 2))))
    assert len(returned.failures) == 2
    assert "depth" in returned.failures[0].error


def test_a_fingerprint_tells_signs_of_zero_apart_but_not_kinds_of_nan() -> None:
    """A NaN's sign and payload depend on the order of an instruction's operands."""
    bits = [0x7FC00000, -0x400000, 0x7FC00001, 0x7F800001]
    nans = torch.tensor(bits, dtype=torch.int32).view(torch.float32)
    assert nans.isnan().all()
    found = {fingerprint({"w": torch.stack([torch.tensor(1.0), nan])}) for nan in nans}
    assert len(found) == 1
    others = [0.0, -0.0, float("inf"), float("-inf")]
    assert len(found | {fingerprint({"w": torch.tensor([1.0, x])}) for x in others}) == 5
