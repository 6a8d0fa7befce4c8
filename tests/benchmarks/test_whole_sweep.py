"""The row of whole sweeps, measured for real on sweeps that are too small to mean anything."""

import pytest

from tests.benchmarks.whole_sweep import seedbed

pytestmark = [pytest.mark.alone, pytest.mark.ray, pytest.mark.service, pytest.mark.timeout(900)]


def test_two_sweeps_through_rest_have_a_marginal_rate() -> None:
    trials = [8, 800]  # a pause of seconds in the small one still leaves the large one the slower
    found = seedbed(trials, 100)
    assert found["trials"] == trials
    assert all(seconds > 0 for seconds in found["seconds"])
    assert found["start_s"] > 0
