"""Expected futility: its arrays are the sequence's, and it is what the stop rule itself does."""

import math

import numpy as np
import pytest

from service.evidence.expected import looks_of
from service.evidence.futility import expected_futility, log_e_difference
from service.evidence.pairs import Pairs, Sided
from service.evidence.sequential import log_e_difference as of_one
from service.evidence.stopping import Rule, verdict
from service.evidence.unseen import Unseen


@pytest.mark.parametrize("difference", [0.2, -0.05])
def test_the_e_values_of_arrays_are_those_of_the_sequence(difference: float) -> None:
    won, lost = np.indices((12, 12))
    found = log_e_difference(won, lost, 40, difference)
    for a in range(12):
        for b in range(12):
            one = of_one(Pairs(40 - a - b, a, b, 0), difference)
            assert math.isclose(found[a, b], one, abs_tol=1e-10)


@pytest.mark.parametrize("sided", ["two", "greater", "less"])
def test_simulated_sweeps_stop_where_the_stop_rule_stops_them(sided: Sided) -> None:
    """300 sweeps judged by the rule itself, cohort by cohort."""
    rule = Rule(("futile",), 0.05, sided, 0.15)
    looks = looks_of(600, 60, 1)
    rng = np.random.default_rng(3)
    used = []
    for _ in range(300):
        table = np.zeros(4, int)
        for _ in looks:
            table += rng.multinomial(60, [0.09, 0.21, 0.21, 0.49])  # independent at 0.3
            if verdict(rule, Pairs(*table.tolist()), Unseen()) == "futile":
                break
        used.append(table.sum())
    found = expected_futility(0.3, 0.0, 0.15, looks, sided=sided)
    assert abs(found.mean - np.mean(used)) < 4 * np.std(used) / math.sqrt(300)
    assert found.decided > 0.5


def test_a_large_effect_is_ruled_out_sooner_and_correlation_helps() -> None:
    looks = looks_of(3000, 50, 1)
    small, large = (expected_futility(0.3, 0.0, e, looks) for e in (0.08, 0.2))
    assert large.mean < small.mean
    assert expected_futility(0.3, 0.6, 0.08, looks).mean < small.mean


def test_arms_that_never_succeed_are_given_up() -> None:
    found = expected_futility(0.0, 0.0, 0.2, looks_of(500, 50, 1))
    assert found.decided == 1
