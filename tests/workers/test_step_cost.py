"""What a step costs: torch operators are called once for all lanes, never once for each."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models.deep_mlp.program import DeepMlp
from tests.laws import Case, assignments
from tests.workers.test_pack_laws import deep_mlp, neural_gpu
from workers import numerics
from workers.pack import Pack

DRAWING = ("aten::normal_", "aten::uniform_", "aten::random_")


class Calls(TorchDispatchMode):
    """Counts operators by name, save those that draw from a generator."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        drawn = func.name().startswith(DRAWING) and (kwargs or {}).get("generator") is not None
        if not drawn:
            self.count[func.name()] += 1
        return func(*args, **(kwargs or {}))


def step_calls(case: Case, lanes: int) -> Counter[str]:
    """Operators of four steps: a segment of two is taken off one of six, so set-up falls out."""
    counts = []
    for segment in (6, 2):
        pack = Pack(replace(case.spec, segment=segment, steps=segment), torch.device("cpu"))
        assert not pack.admit(assignments(case, lanes))
        with Calls() as calls:
            ended = pack.advance()
        assert not ended.failures, ended.failures[0].traceback
        assert len(ended.outcomes) == lanes
        counts.append(calls.count)
    counts[0].subtract(counts[1])
    return +counts[0]


@pytest.mark.parametrize("case", [deep_mlp("adam"), neural_gpu("8 maps")], ids=lambda c: c.name)
def test_a_step_of_64_lanes_calls_no_more_operators_than_one_of_2(case: Case) -> None:
    """With noise, dropout, clipping and Adam; only the drawing itself may be lane by lane."""
    numerics.settle()
    few, many = step_calls(case, 2), step_calls(case, 64)
    assert few
    assert not many - few, f"more calls at 64 lanes: {dict(many - few)}"


def test_a_call_for_each_lane_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count sees one operator a lane and step, planted in the loss."""
    numerics.settle()
    case = deep_mlp("adam")
    before = step_calls(case, 2), step_calls(case, 8)
    sound = DeepMlp.gradients

    def faulty(self: DeepMlp, *given: Any) -> Any:
        loss, stats, found = sound(self, *given)
        for lane in range(len(loss)):
            loss[lane].item()
        return loss, stats, found

    monkeypatch.setattr(DeepMlp, "gradients", faulty)
    for lanes, calls in zip((2, 8), before, strict=True):
        more = step_calls(case, lanes) - calls
        assert more["aten::_local_scalar_dense"] == 4 * lanes
