"""Each preset resolves to what its text says, and what it asks for trains."""

import itertools
from typing import Any

import pytest

from models.catalog import experiments
from models.deep_mlp.settings import DeepMlpSettings
from models.neural_gpu.settings import NeuralGpuSettings
from service.plan import Plan
from service.presets import preset, presets
from service.spec import parse
from tests.laws import run
from workers.messages import Assignment, Outcome

QUIET = ("plain", "eta-0.0001")
#: preset -> arms, settings, seeds, trials
SIZES = {
    "deep-mlp-demo": (2, 1, 100, 200),
    "neural-gpu-small": (5, 1, 20, 100),
    "paper/table1": (13, 2, 20, 520),
    "paper/table6": (2, 729, 10, 14_580),
    "small/table1": (13, 2, 20, 520),
    "small/table6": (2, 4, 10, 80),
    "small/five-layers": (2, 2, 100, 400),
    "small/multiplication": (2, 2, 4, 16),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_preset_expands_to_its_stated_counts(name: str) -> None:
    plan = planned(name)
    assert (len(plan.arms), len(plan.settings), plan.seeds, plan.trials) == SIZES[name]


def test_every_preset_is_counted() -> None:
    assert list(presets()) == sorted(SIZES)
    for found in presets().values():
        papers = bool(found.paper), bool(found.ours), bool(found.numbers)
        assert papers == ("/" in found.name,) * 3, found.name


def test_the_rows_of_table_1_are_the_papers() -> None:
    """Initialisation, clip, eta and dropout of each row, as PAPER's table 2.1 has them."""
    plan = planned("paper/table1")
    rows = {}
    for cell in plan.cells:
        shared = plan.structures[cell.structure].pack.shared
        clip = cell.values["clip_norm"] if shared["clip"] == "norm" else None
        row = (shared["init"], clip, cell.values["noise_eta"], cell.values["dropout"])
        assert rows.setdefault(plan.arms[cell.arm].name, row) == row
        assert (shared["depth"], shared["width"], shared["optimiser"]) == (20, 50, "sgd")
        assert (cell.values["momentum"], cell.values["init_std"]) == (0.0, 0.1)
    assert sorted(rows.values(), key=str) == sorted(
        [
            ("simple", None, 0.0, 0.0),
            ("simple", None, 0.01, 0.0),
            ("simple", None, 0.0, 0.5),
            *((init, clip, eta, 0.0)
              for init, clip in (("simple", 100.0), ("simple", 10.0), ("sussillo_abbott", 10.0),
                                 ("he", 10.0), ("zero", 10.0))
              for eta in (0.0, 0.01)),
        ],
        key=str,
    )  # fmt: skip
    assert {c.values["learning_rate"] for c in plan.cells} == {0.1, 0.01}


def test_table_6_is_a_grid_of_six_axes_of_three() -> None:
    plan = planned("paper/table6")
    axes = plan.spec["grid"]
    assert [len(values) for values in axes.values()] == [3] * 6
    assert etas(plan) == {"plain": 0.0, "noisy": 1.0}
    assert [(c.metric, c.threshold) for c in plan.criteria] == [
        ("digit_error@200", t) for t in (0.01, 0.02, 0.03, 0.05)
    ]
    shared = plan.structures[0].pack.shared
    assert (shared["task"], shared["bits"], shared["maps"]) == ("binary_multiplication", 20, 24)
    assert (shared["relaxation"], shared["lengths"]) == (6, "mixed")
    assert "relaxation_pull" in axes


def planned(name: str, **changes: Any) -> Plan:
    """The plan of a preset's spec, changed."""
    return parse(preset(name).spec | changes, experiments())


def etas(plan: Plan) -> dict[str, float]:
    """Arm -> gradient noise of its cells, which agree in it."""
    found: dict[str, set[float]] = {arm.name: set() for arm in plan.arms}
    for cell in plan.cells:
        found[plan.arms[cell.arm].name].add(cell.values["noise_eta"])
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def test_neural_gpu_small_tries_the_four_scales_of_noise_that_it_names() -> None:
    """Every arm is of one setting and structure, and the curriculum is whole."""
    plan = planned("neural-gpu-small")
    assert etas(plan) == {
        "plain": 0.0, "eta-1": 1.0, "eta-0.3": 0.3, "eta-0.01": 0.01, "eta-0.0001": 1e-4
    }  # fmt: skip
    assert (plan.seeds, len(plan.settings), len(plan.structures)) == (20, 1, 1)
    pack = plan.structures[0].pack
    resolved = NeuralGpuSettings.model_validate(dict(pack.shared))
    assert (resolved.task, resolved.bits, resolved.start_bits) == ("binary_addition", 6, 1)
    assert (resolved.maps, resolved.layers, resolved.batch) == (8, 2, 16)
    assert (resolved.optimiser, resolved.clip) == ("adam", "norm")
    assert pack.steps == 3000
    assert {c.values["noise_gamma"] for c in plan.cells} == {0.55}
    primary = [c for c in plan.criteria if c.primary]
    assert [(c.metric, c.comparison, c.threshold) for c in primary] == [
        ("digit_error@6", "at_most", 0.05)
    ]


def test_deep_mlp_demo_is_the_network_that_its_text_describes() -> None:
    """10 layers of 50, N(0, 0.1^2), SGD at 0.1, clipped at norm 10, 2,500 steps of 32 digits."""
    plan = planned("deep-mlp-demo")
    assert etas(plan) == {"plain": 0.0, "noisy": 0.01}
    assert (plan.seeds, plan.trials) == (100, 200)
    pack = plan.structures[0].pack
    resolved = DeepMlpSettings.model_validate(dict(pack.shared))
    assert (resolved.depth, resolved.width, resolved.batch) == (10, 50, 32)
    assert (resolved.init, resolved.optimiser, resolved.clip) == ("simple", "sgd", "norm")
    assert pack.steps == 2500
    wanted = {
        "init_std": 0.1, "learning_rate": 0.1, "momentum": 0.0, "clip_norm": 10.0,
        "dropout": 0.0, "noise_gamma": 0.55,
    }  # fmt: skip
    for cell in plan.cells:
        assert {name: cell.values[name] for name in wanted} == wanted
    primary = [c for c in plan.criteria if c.primary]
    assert [(c.metric, c.comparison, c.threshold) for c in primary] == [
        ("test_accuracy", "at_least", 0.9)
    ]


def trained(plan: Plan, **changes: float) -> dict[tuple[str, int], Outcome]:
    """(arm, seed) -> the outcome of every trial of a plan, in one pack."""
    trials, names = [], {}
    for seed, cell in itertools.product(range(plan.seeds), plan.cells):
        names[len(trials)] = (plan.arms[cell.arm].name, seed)
        setting = int(plan.settings[cell.setting].hash, 16)
        values = {**cell.values, **changes}
        trials.append(Assignment(len(trials), 1, plan.root, setting, seed, values))
    outcomes = run(plan.structures[0].pack, trials, len(trials))
    return {names[trial]: outcome for trial, outcome in outcomes.items()}


def test_neural_gpu_small_trains() -> None:
    """Two seeds of every arm for two segments: all finish, with every metric measured.

    Without noise they have learnt to answer in digits: they err less than they would untrained.
    """
    plan = planned("neural-gpu-small", seeds=2, cohort=2, budget={"steps": 100})
    outcomes = trained(plan)
    assert len(outcomes) == 10
    assert {(o.end_state, o.steps) for o in outcomes.values()} == {("finished", 100)}
    assert len({o.fingerprint for o in outcomes.values()}) == 10
    for outcome in outcomes.values():
        assert set(outcome.metrics) == {
            f"{kind}_error@{bits}" for kind in ("digit", "sequence") for bits in (6, 12, 60)
        }
        assert all(m.final is not None and 0 <= m.final <= 1 for m in outcome.metrics.values())
    short = planned("neural-gpu-small", seeds=2, cohort=2, budget={"steps": 50})
    untrained = trained(short, learning_rate=1e-30)
    before, after = (
        sum(o[arm, seed].metrics["digit_error@6"].final or 1.0 for arm in QUIET for seed in (0, 1))
        for o in (untrained, outcomes)
    )
    assert after < before - 0.4, f"errors of four networks add up to {before}, then {after}"
