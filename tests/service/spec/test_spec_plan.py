"""What a good spec becomes: its plan, its counts, its defaults, and the same plan again."""

import json
import time
from typing import Any

import pytest

from models.catalog import experiments
from service.evidence.stopping import Rule
from service.plan import Contrast, Plan
from service.presets import presets
from service.spec import SpecError, parse
from workers.messages import Leave

ROOT = "5eedbed0" * 4


def plan(**changes: Any) -> Plan:
    """The plan of a small spec with changes."""
    body = {
        "name": "small",
        "experiment": "deep_mlp",
        "arms": {"plain": {"noise_eta": 0.0}, "noisy": {"noise_eta": 0.01}},
        "seeds": 6,
        "root": ROOT,
        "budget": {"steps": 200},
        "success": {"metric": "test_accuracy", "at_least": 0.9},
    }
    return parse(body | changes, experiments())


ROUND_TRIPS: dict[str, dict[str, Any]] = {
    "least": {},
    "no root": {"root": None},
    "grid": {"grid": {"learning_rate": [0.1, 1], "depth": [2, 3]}, "cohort": 4},
    "arms of two structures": {"arms": {"sgd": {}, "adam": {"optimiser": "adam"}}},
    "contrast": {"primary": {"arm": "plain", "against": "noisy", "effect": 0.1, "sided": "less"}},
    "three arms": {"arms": {"a": {}, "b": {"noise_eta": 1}, "c": {"noise_eta": 0.5}}},
    "one arm": {"arms": {"only": {}}},
    "stop": {"stop": {"when": "evidence"}, "cohort": 2},
    "stop by two": {
        "cohort": 2,
        "stop": {"when": ["futile", "evidence"], "alpha": 0.01},
        "primary": {"arm": "noisy", "against": "plain", "effect": 0.1, "sided": "greater"},
    },
    "leave": {
        "success": {
            "metric": "test_accuracy",
            "at_least": 0.5,
            "at": "any",
            "report_at": [0.5, 0.8],
        },
        "leave": "at_success",
    },
    "lengths": {
        "experiment": "neural_gpu",
        "fixed": {"bits": 4, "beyond": [8, 12]},
        "success": {"metric": "digit_error@12", "at_most": 0.1},
    },
}


@pytest.mark.parametrize("changes", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_the_normalised_spec_gives_the_same_plan(changes: dict[str, Any]) -> None:
    """It travels as JSON, root and defaults included, and comes back as an equal plan."""
    once = plan(**changes)
    assert parse(json.loads(json.dumps(once.spec)), experiments()) == once


def test_a_sweep_of_the_papers_size_counts_its_trials() -> None:
    """2 arms x 729 settings x 10 seeds."""
    names = ["learning_rate", "init_std", "dropout", "momentum", "clip_norm", "noise_gamma"]
    grid = {name: [0.1, 0.2, 0.3] for name in names}
    found = plan(fixed={"clip": "norm"}, grid=grid, seeds=10)
    assert (len(found.arms), len(found.settings), found.seeds) == (2, 729, 10)
    assert len(found.cells) == 1458
    assert found.trials == 14_580
    assert len(found.structures) == 1
    assert len({s.hash for s in found.settings}) == 729


def test_a_value_that_only_the_arms_read_may_be_fixed_or_in_the_grid() -> None:
    """Neither the setting without its arm, nor another arm, makes it unread."""
    schedules = {name: {"schedule": name} for name in ("halving", "cosine", "warmup")}
    changes: dict[str, Any] = {"primary": {"arm": "cosine", "against": "halving"}}
    assert len(plan(fixed={"schedule_steps": 500.0}, arms=schedules, **changes).arms) == 3
    changes["primary"] = {"arm": "rmsprop", "against": "adam"}
    arms = {name: {"optimiser": name} for name in ("adam", "rmsprop")}
    assert len(plan(grid={"adam_eps": [1e-8, 1e-4]}, arms=arms, **changes).settings) == 2


def test_a_value_that_an_arm_does_not_read_is_refused_with_the_arm() -> None:
    arms = {"plain": {}, "adam": {"optimiser": "adam"}}
    with pytest.raises(SpecError) as refused:
        plan(fixed={"momentum": 0.9}, arms=arms, primary={"arm": "adam", "against": "plain"})
    [problem] = refused.value.problems
    assert problem.field.startswith("arms.adam")
    assert "momentum 0.9 is read only with optimiser sgd or nesterov" in problem.rule
    assert "leave momentum out" in problem.cure


def test_ten_million_trials_are_refused_before_anything_is_built() -> None:
    """A grid of 10^15 points costs no more than its lists."""
    names = ["learning_rate", "init_std", "dropout", "momentum", "noise_gamma"]
    grid = {name: [i / 2000 + 1e-4 for i in range(1000)] for name in names}
    began = time.process_time()
    with pytest.raises(SpecError, match="more than 100,000 cells"):
        plan(grid=grid)
    assert time.process_time() - began < 5


def test_the_most_that_is_allowed_is_accepted() -> None:
    """Ten million trials exactly."""
    assert plan(seeds=5_000_000).trials == 10_000_000


def test_defaults_are_written_out() -> None:
    """The stored spec says all that decides its outcomes, hyper-parameters' defaults included."""
    spec = plan().spec
    assert spec["cohort"] == 6
    assert spec["evaluate"] == {"every": 5, "expensive": "end"}
    assert spec["success"]["report_at"] == [0.9]
    assert spec["primary"] == {
        "arm": "noisy",
        "against": "plain",
        "threshold": 0.9,
        "sided": "two",
    }
    assert (spec["leave"], spec["keep_weights"]) == ("never", "none")
    assert spec["fixed"]["depth"] == 20
    assert set(spec["fixed"]) == set(experiments()["deep_mlp"].settings.model_fields)


def test_a_cohort_is_50_seeds_unless_given() -> None:
    """Or all of them when there are fewer."""
    assert plan(seeds=120).cohort == 50
    assert plan(seeds=120).cohorts == 3
    assert plan(seeds=7).cohort == 7


def test_an_absent_root_is_drawn_anew_each_time() -> None:
    """128 bits; a root that is given is kept."""
    drawn = {plan(root=None).root for _ in range(20)}
    assert len(drawn) == 20
    assert plan().root == int(ROOT, 16)


def test_criteria_stand_strictest_first_and_the_contrasts_is_primary() -> None:
    """For accuracy the highest is strictest, for an error the lowest."""
    higher = plan(success={"metric": "test_accuracy", "at_least": 0.5, "report_at": [0.5, 0.9]})
    assert [(c.threshold, c.primary) for c in higher.criteria] == [(0.9, False), (0.5, True)]
    lower = plan(success={"metric": "test_loss", "at_most": 0.5, "report_at": [0.5, 0.1]})
    assert [(c.threshold, c.primary) for c in lower.criteria] == [(0.1, False), (0.5, True)]


def test_two_arms_are_contrasted_the_second_against_the_first() -> None:
    """Other numbers of arms have no primary contrast unless it is declared."""
    assert plan().contrast == Contrast("noisy", "plain", 0.9, None, "two")
    assert plan(arms={"only": {}}).contrast is None
    assert plan(**ROUND_TRIPS["three arms"]).contrast is None


def test_a_stop_rule_takes_side_and_effect_from_the_primary_contrast() -> None:
    assert plan(**ROUND_TRIPS["stop"]).stop == Rule(("evidence",), 0.05, "two", None)
    both = plan(**ROUND_TRIPS["stop by two"])
    assert both.stop == Rule(("evidence", "futile"), 0.01, "greater", 0.1)
    assert both.spec["stop"] == {"when": ["evidence", "futile"], "alpha": 0.01}
    assert plan(**ROUND_TRIPS["stop"]).spec["stop"] == {"when": "evidence", "alpha": 0.05}
    assert plan().stop is None
    assert "stop" not in plan().spec


def test_leaving_at_success_means_the_strictest_threshold() -> None:
    """So that every report_at threshold can still be judged."""
    (structure,) = plan(**ROUND_TRIPS["leave"]).structures
    assert structure.pack.leave == Leave("test_accuracy", "at_least", 0.8)


def test_a_settings_hash_knows_nothing_of_the_arm() -> None:
    """Pairs share it; other values and other experiments do not; how a default is said is equal."""
    first = plan().settings[0].hash
    assert plan(arms={"other": {"noise_eta": 3}}).settings[0].hash == first
    assert plan(fixed={"depth": 20}).settings[0].hash == first
    assert plan(fixed={"depth": 19}).settings[0].hash != first


def test_arms_and_grid_override_what_is_fixed() -> None:
    """The order is fixed < grid < arm."""
    found = plan(fixed={"noise_eta": 5.0, "momentum": 0.5}, grid={"learning_rate": [0.3]})
    values = [dict(c.values) for c in found.cells]
    assert [v["noise_eta"] for v in values] == [0.0, 0.01]
    assert {(v["momentum"], v["learning_rate"]) for v in values} == {(0.5, 0.3)}


def test_cells_of_equal_structure_share_it() -> None:
    """Shared hyper-parameters split a grid into structures, per-lane ones do not."""
    found = plan(grid={"depth": [2, 3], "learning_rate": [0.1, 0.2]})
    assert len(found.structures) == 2
    assert [c.structure for c in found.cells] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert {s.pack.shared["depth"] for s in found.structures} == {2, 3}


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_is_a_good_spec(name: str) -> None:
    """It parses, has a root and says what it is."""
    preset = presets()[name]
    found = parse(preset.spec, experiments())
    assert found.spec["root"] == preset.spec["root"]
    assert found.contrast is not None
    assert preset.title
    assert preset.about
