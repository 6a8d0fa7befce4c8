"""A plan's power: pairs of all settings together, and the evidence rule at its cohorts."""

from typing import Any

import pytest

from service.evidence.plan import Design, pairs_for, power
from service.planning.power import power_json
from tests.service.samples import plan

EXPECTED = {"baseline": 0.05, "effect": 0.03}


def found(**changes: Any) -> dict[str, Any]:
    answer = power_json(plan(power=EXPECTED, **changes))
    assert answer is not None
    return answer


def test_without_expectations_nothing_is_said() -> None:
    assert power_json(plan()) is None


def test_pairs_are_of_all_settings_and_seeds_are_enough_for_the_pairs_wanted() -> None:
    answer = found(seeds=500, cohort=50)
    design = Design(0.05, 0.03)
    assert answer["pairs"] == 1000
    assert answer["power"] == power(design, 1000)
    assert answer["pairs_wanted"] == pairs_for(design, 0.9) == 1468
    assert answer["seeds_wanted"] == 734
    assert (answer["arm"], answer["against"], answer["rate"]) == ("noisy", "plain", 0.08)


def test_the_evidence_is_looked_at_after_each_cohort() -> None:
    rare, often = (found(seeds=600, cohort=c)["evidence"] for c in (300, 20))
    assert (rare["looks"], often["looks"]) == (2, 30)
    assert often["decided"] > rare["decided"]
    assert often["mean_pairs"] < rare["mean_pairs"]
    assert rare["computed"] == "exactly"


def test_a_one_sided_contrast_needs_fewer_pairs() -> None:
    sided = {"arm": "noisy", "against": "plain", "sided": "greater"}
    assert found(primary=sided)["pairs_wanted"] < found()["pairs_wanted"]


def test_what_no_sweep_could_find_has_no_number_of_pairs() -> None:
    answer = power_json(plan(power={"baseline": 0.3, "effect": 1e-5}))
    assert answer is not None
    assert (answer["pairs_wanted"], answer["seeds_wanted"]) == (None, None)
    assert answer["power"] == pytest.approx(0.0, abs=0.05)


def test_a_declared_stop_is_told_apart_from_one_that_might_be() -> None:
    assert not found()["evidence"]["declared"]
    assert found()["futile"] is None
    primary = {"arm": "noisy", "against": "plain", "effect": 0.2}
    stop = {"when": ["evidence", "futile"], "alpha": 0.1}
    answer = found(seeds=300, cohort=50, primary=primary, stop=stop)
    assert answer["evidence"]["declared"]
    assert answer["evidence"]["alpha"] == answer["futile"]["alpha"] == 0.1
    assert answer["alpha"] == 0.05
    assert answer["futile"]["effect"] == 0.2
    assert answer["futile"]["mean_pairs"] < answer["pairs"] == 600
