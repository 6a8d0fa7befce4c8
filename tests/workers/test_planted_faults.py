"""The laws can fail: each fault, planted in the engine or in an update rule, is caught."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from models import streams
from models.deep_mlp.program import DeepMlp, DigitBatches
from models.program import Lanes, Leaves
from models.updates import clip, noise, rule
from models.updates.chain import Rule, Step, Transformation, Updates
from tests.laws import Case, check_pack_law
from tests.workers.test_pack_laws import deep_mlp
from workers import pack

Patch = pytest.MonkeyPatch
CASE: Case = deep_mlp("planted", optimiser="adam")


def caught(case: Case = CASE) -> None:
    """The pack law fails, and not because anything else broke."""
    with pytest.raises(AssertionError, match=re.compile("differs alone|itself diverged")):
        check_pack_law(case, widths=(7,), sample=5)


def test_without_a_fault_the_law_holds() -> None:
    check_pack_law(CASE, widths=(7,), sample=5)


def test_clipping_by_the_packs_norm_is_caught(monkeypatch: Patch) -> None:
    def faulty() -> Transformation:
        sound = clip.clip_by_global_norm()

        def begin(lanes: Lanes, state: Leaves) -> Rule:
            rule = sound.begin(lanes, state)

            def clipped(updates: Updates, step: Step) -> Updates:
                finite = step.grad_norm[torch.isfinite(step.grad_norm)]
                whole = finite.square().sum().sqrt().expand_as(step.grad_norm)
                return rule(updates, Step(step.index, whole))

            return clipped

        return Transformation(sound.init, begin)

    monkeypatch.setattr(rule, "clip_by_global_norm", faulty)
    caught()


def test_one_noise_stream_for_the_pack_is_caught(monkeypatch: Patch) -> None:
    def shared(self: Lanes, purpose: streams.Purpose) -> np.ndarray:
        one = streams.counter_key(self.keys[0], purpose, self.starts[0] // self.segment)
        return np.stack([one] * len(self))

    monkeypatch.setattr(Lanes, "counter_keys", shared)
    caught()


def check_streams_apart(lanes: Lanes) -> None:
    """The law that noise, dropout, data and init of a trial share no number."""
    drawn = {p: lanes.counter_keys(p)[0].tolist() for p in ("init", "data", "noise", "dropout")}  # type: ignore[arg-type]
    names = list(drawn)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert drawn[one] != drawn[other], f"{one} is drawn as {other}"


def one_lane(start: int = 0) -> Lanes:
    """A lane on its own."""
    key = streams.TrialKey(1, 2, 3)
    return Lanes((key,), {}, (start,), 10, torch.device("cpu"))


def test_noise_from_the_stream_of_init_is_caught(monkeypatch: Patch) -> None:
    check_streams_apart(one_lane())
    monkeypatch.setitem(streams.PURPOSES, "noise", streams.PURPOSES["init"])
    with pytest.raises(AssertionError, match="init is drawn as noise"):
        check_streams_apart(one_lane())


def test_a_nan_that_spreads_through_a_shared_sum_is_caught(monkeypatch: Patch) -> None:
    sound = DeepMlp.gradients

    def faulty(self: DeepMlp, params: Leaves, batches: DigitBatches, step: int) -> Any:
        loss, stats, found = sound(self, params, batches, step)
        return loss + 0.0 * loss.sum(), stats, found

    monkeypatch.setattr(DeepMlp, "gradients", faulty)
    with pytest.raises(AssertionError):
        check_pack_law(CASE, widths=(7,), sample=5)


def test_a_lane_that_reads_its_neighbours_data_is_caught(monkeypatch: Patch) -> None:
    sound = DeepMlp.batches

    def faulty(self: DeepMlp, lanes: Lanes, level: int) -> DigitBatches:
        found = sound(self, lanes, level)
        return DigitBatches(found.chosen.roll(1, 1), found.keep, found.keys)

    monkeypatch.setattr(DeepMlp, "batches", faulty)
    caught()


def test_a_step_count_that_restarts_at_a_refill_is_caught(monkeypatch: Patch) -> None:
    sound = pack.Pack._view

    def faulty(self: pack.Pack, assignments: Any, starts: Any) -> Lanes:
        oldest = min(starts, default=0)
        return sound(self, assignments, [s if len(starts) == 1 else oldest for s in starts])

    monkeypatch.setattr(pack.Pack, "_view", faulty)
    caught()


def test_adding_zero_times_noise_is_caught() -> None:
    """What a mask prevents: 0 x noise turns -0.0 into 0.0, and inf into NaN."""
    grads = torch.tensor([-0.0, float("inf")])
    faulty = grads + torch.zeros(2) * torch.tensor([1.0, float("nan")])
    assert not torch.equal(faulty.view(torch.int32), grads.view(torch.int32))


def test_a_noise_law_that_uses_the_variance_as_std_is_caught(monkeypatch: Patch) -> None:
    from tests.models.test_updates import test_noise_has_the_variance_of_the_law as law  # noqa: PLC0415

    def faulty(eta: float, gamma: float, steps: np.ndarray) -> np.ndarray:
        return np.asarray(eta / (1.0 + steps) ** gamma)

    monkeypatch.setattr(noise, "noise_std", faulty)
    with pytest.raises(AssertionError):
        law(0.3, 0.55, 99)
