"""The pack law for lifted experiments: their tile makes it hold, and without it it would not."""

import copy
from typing import Any

import pytest
import torch
from digits_cnn.description import EXPERIMENT as CNN

from models.experiment import LiftedExperiment
from models.lifting import program
from models.lifting.refusals import LiftError
from models.program import Lanes, Leaves
from tests.installed import install
from tests.laws import Case, assignments, check_pack_law, different, ride, run
from tests.models.lifting.mlp import MLP
from tests.workers.test_pack_laws import UPDATE
from workers import pack
from workers.messages import PackSpec

Patch = pytest.MonkeyPatch
VALUES = UPDATE | {"learning_rate": 0.01, "adam_eps": 1e-8}


def case(name: str, experiment: LiftedExperiment, own: dict[str, float], **shared: Any) -> Case:
    """Three segments of six steps with Adam, clipping and noise."""
    settings = {"batch": 8, "optimiser": "adam", "clip": "norm"} | shared
    spec = PackSpec(experiment.name, settings, 6, steps=18, evaluate_every=1, expensive="end")
    wild = ({"learning_rate": 1e30},)
    return Case(f"{experiment.name} {name}", spec, "test_accuracy", VALUES | own, wild)


def caught(case: Case) -> None:
    """The pack law fails, in its own words."""
    with pytest.raises(AssertionError, match="differs alone and in company"):
        check_pack_law(case, widths=(7,))


CASES = [
    case("8 maps", CNN, {"smoothing": 0.1}, batch=32),
    case("dropout", CNN, {"smoothing": 0.0}, maps=5, batch=5, dropout=0.3),
    case("adam", MLP, {"init_std": 0.2}),
    case("sgd, dropout", MLP, {"init_std": 0.2}, optimiser="sgd", dropout=0.2, width=13),
]


@pytest.fixture(autouse=True)
def _installed(monkeypatch: Patch) -> None:
    install(monkeypatch, CNN, MLP)
    monkeypatch.setattr(program, "rehearsed", {})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_lifted_trial_is_the_same_bits_alone_and_in_any_pack(case: Case) -> None:
    check_pack_law(case)


def test_every_call_runs_exactly_a_tile(monkeypatch: Patch) -> None:
    """Init, draws, steps and evaluations see 8 rows each, however many lanes there are."""
    seen: dict[str, set[int]] = {}

    def watch(name: str, rows: Any) -> None:
        sound = getattr(program.Lifted, name)

        def watched(self: program.Lifted, *args: Any) -> Any:
            seen.setdefault(name, set()).add(rows(*args))
            return sound(self, *args)

        monkeypatch.setattr(program.Lifted, name, watched)

    watch("init", len)
    watch("batches", lambda lanes, level: len(lanes))
    watch("loss", lambda params, *_: len(next(iter(params.values()))))
    watch("boundary", lambda params, state, stats: len(stats))
    watch("evaluate", lambda params, lanes, tier: len(lanes))
    spec = CASES[2].spec
    for width in (1, 3, 11):
        run(spec, assignments(CASES[2], width + 1, wild=[1]), width)
    assert seen == {name: {8} for name in ("init", "batches", "loss", "boundary", "evaluate")}


def test_the_cnn_at_any_width_is_caught(monkeypatch: Patch) -> None:
    """What the tile is for: vmap's convolution has other bits at 1 and 7 lanes."""
    loose = copy.copy(CNN)
    object.__setattr__(loose, "tile", None)  # the description itself refuses this
    install(monkeypatch, loose)
    caught(CASES[0])


def test_a_short_tile_that_is_not_filled_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(pack.Pack, "_filled", lambda self, items: items)
    caught(CASES[0])


def leaky(self: program.Lifted, params: Leaves, batches: Any, step: int) -> Any:
    """A loss into which a trace of the tile's other rows, dummies included, leaks."""
    loss, stats = SOUND(self, params, batches, step)
    return loss + 1e-3 * loss.detach().mean(), stats


SOUND = program.Lifted.loss


def test_rows_that_leak_into_each_other_are_refused_before_anything_trains(
    monkeypatch: Patch,
) -> None:
    monkeypatch.setattr(program.Lifted, "loss", leaky)
    with pytest.raises(LiftError, match="the loss of Mlp has other bits when its lane lies"):
        check_pack_law(CASES[2], widths=(7,))


def test_rows_that_leak_into_each_others_gradients_are_caught_by_the_law(
    monkeypatch: Patch,
) -> None:
    """With the rehearsal gone, trials still differ alone and in company."""

    def faulty(self: program.Lifted, params: Leaves, batches: Any, step: int) -> Any:
        mixed = {k: v + 1e-6 * v.mean(0, keepdim=True) for k, v in params.items()}
        return SOUND(self, mixed, batches, step)

    trials = assignments(CASES[2], 5)  # none diverges: a NaN would spread to everybody
    monkeypatch.setattr(program, "check_rows", lambda *_: None)
    monkeypatch.setattr(program.Lifted, "loss", faulty)
    alone = {t.trial: run(CASES[2].spec, [t], 1)[t.trial] for t in trials}
    found = different(alone, ride(CASES[2].spec, trials, 5), 5)
    assert {d.trial for d in found} == set(alone)


def test_one_dropout_stream_for_the_tile_is_caught(monkeypatch: Patch) -> None:
    sound = Lanes.torch_generators

    def faulty(self: Lanes, purpose: Any) -> list[torch.Generator]:
        found = sound(self, purpose)
        return [found[0]] * len(found) if purpose == "dropout" else found

    monkeypatch.setattr(program, "check_rows", lambda *_: None)
    monkeypatch.setattr(Lanes, "torch_generators", faulty)
    caught(CASES[3])


def test_a_network_that_cannot_be_lifted_fails_its_trials_with_the_reason(
    monkeypatch: Patch,
) -> None:
    """Through the trainer: nothing trains, and every trial says why."""
    from workers.messages import Order  # noqa: PLC0415 - beside their only use
    from workers.trainer import Trainer  # noqa: PLC0415

    monkeypatch.setattr(program.Lifted, "loss", leaky)
    returned = Trainer().advance(Order(CASES[2].spec, tuple(assignments(CASES[2], 3)), lanes=8))
    assert len(returned.failures) == 3
    assert "keep no state on the network object" in returned.failures[0].error
