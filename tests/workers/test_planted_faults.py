"""The pack law can fail: each fault, planted in the engine or a rule, moves the trials it must."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from models import streams
from models.deep_mlp.program import DeepMlp
from models.program import Lanes, Leaves
from models.updates import clip, rule
from models.updates.chain import Rule, Step, Transformation, Updates
from tests.company import Ride
from tests.laws import Case, check_pack_law, crowd, different, ride, run
from tests.workers.test_pack_laws import deep_mlp
from workers import pack

Patch = pytest.MonkeyPatch
CASE: Case = deep_mlp("planted", optimiser="adam")
TRIALS = crowd(CASE, 13)
EVERYONE = {t.trial for t in TRIALS}
WILD = {1, 5, 9}
NOISY = {t.trial for t in TRIALS if t.values["noise_eta"] > 0} - WILD


def moved(part: str = "fingerprint") -> tuple[set[int], Ride]:
    """Trials of which this part differs alone and in a pack of seven, and how they rode."""
    together = ride(CASE.spec, TRIALS, 7)
    alone = {t.trial: run(CASE.spec, [t], 1)[t.trial] for t in TRIALS}
    found = different(alone, together, 7)
    return {d.trial for d in found if part in d.parts}, together


def test_without_a_fault_nothing_moves() -> None:
    found, together = moved()
    assert found == set()
    assert {t for t in EVERYONE if together.outcomes[t].end_state == "diverged"} == WILD


def test_clipping_by_the_packs_norm_is_caught(monkeypatch: Patch) -> None:
    """Every calm trial moves."""

    def faulty(*, first: bool) -> Transformation:
        assert first
        sound = clip.clip_by_global_norm()

        def begin(lanes: Lanes, state: Leaves) -> Rule:
            clipped = sound.begin(lanes, state)

            def by_pack(updates: Updates, step: Step) -> Updates:
                finite = step.grad_norm[torch.isfinite(step.grad_norm)]
                whole = finite.square().sum().sqrt().expand_as(step.grad_norm)
                return clipped(updates, Step(step.index, whole))

            return by_pack

        return Transformation(sound.init, begin)

    monkeypatch.setattr(rule, "clip_by_global_norm", faulty)
    assert moved()[0] >= EVERYONE - WILD


def test_one_noise_stream_for_the_pack_is_caught(monkeypatch: Patch) -> None:
    """The noisy trials move, and those without noise do not."""
    sound = Lanes.counter_keys

    def shared(self: Lanes, purpose: streams.Purpose) -> np.ndarray:
        own = sound(self, purpose)
        one = np.bitwise_xor.reduce(own, axis=0, keepdims=True)  # of a lane alone: its own
        return np.repeat(one, len(self), axis=0) if purpose == "noise" else own

    monkeypatch.setattr(Lanes, "counter_keys", shared)
    assert moved()[0] == NOISY


def test_a_nan_that_spreads_through_a_shared_sum_is_caught(monkeypatch: Patch) -> None:
    """Whoever rides beside a diverging lane is said to have diverged, and nobody else."""
    _, calm = moved()
    sound = DeepMlp.gradients

    def faulty(self: DeepMlp, params: Leaves, batches: Any, step: int) -> Any:
        loss, stats, found = sound(self, params, batches, step)
        return loss + 0.0 * loss.sum(), stats, found

    monkeypatch.setattr(DeepMlp, "gradients", faulty)
    found, together = moved("end_state")
    assert found >= {t for t, _ in calm.segments[0]} - WILD
    assert {together.outcomes[t].end_state for t in found} == {"diverged"}


def test_a_lane_that_reads_its_neighbours_data_is_caught(monkeypatch: Patch) -> None:
    """Every calm trial moves; and what moves fails the law in its own words."""
    sound = DeepMlp.batches

    def faulty(self: DeepMlp, lanes: Lanes, level: int) -> Any:
        found = sound(self, lanes, level)
        return dataclasses.replace(found, chosen=found.chosen.roll(1, 1))

    monkeypatch.setattr(DeepMlp, "batches", faulty)
    assert moved()[0] == EVERYONE - WILD
    with pytest.raises(AssertionError, match="deep_mlp planted differs alone and in company"):
        check_pack_law(CASE, widths=(7,))


def test_a_step_count_that_restarts_at_a_refill_is_caught(monkeypatch: Patch) -> None:
    """The trials that rode with a younger one move, and no other."""
    sound = pack.Pack._view

    def faulty(self: pack.Pack, assignments: Any, starts: Any) -> Lanes:
        return sound(self, assignments, [min(starts)] * len(starts))

    monkeypatch.setattr(pack.Pack, "_view", faulty)
    found, together = moved()
    assert found
    assert found == together.overtaken()
