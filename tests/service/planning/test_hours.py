"""How long a plan trains: measured, estimated from others and said so, or not known."""

import pytest

from service.planning.hours import time_json


def test_structures_that_trained_here_take_their_own_speed() -> None:
    found = time_json([7200, 3600], [2.0, 1.0], [2.0, 1.0, 50.0], workers=2, may_leave=False)
    assert found["basis"] == "measured"
    assert found["device_hours"] == [2.0, 2.0]
    assert found["seconds"] == [3600.0, 3600.0]
    assert (found["structures_measured"], found["cure"]) == (2, None)


def test_others_take_the_slowest_and_the_fastest_of_the_experiment_and_it_is_said() -> None:
    found = time_json([7200, 3600], [2.0, None], [2.0, 1.0], workers=1, may_leave=False)
    assert found["basis"] == "similar"
    assert found["device_hours"] == [1.5, 2.0]
    assert "1 of 2 structures have not trained here" in found["says"]
    assert "1 to 2 lane-steps/s" in found["says"]
    assert "--seeds 2" in found["cure"]


def test_what_was_never_measured_has_no_number_but_what_to_do() -> None:
    found = time_json([100], [None], [], workers=3, may_leave=False)
    assert (found["basis"], found["device_hours"], found["seconds"]) == ("none", None, None)
    assert "not measured yet" in found["says"]
    assert found["cure"]


@pytest.mark.parametrize("workers", [0, 1])
def test_without_workers_there_are_device_hours_and_no_end(workers: int) -> None:
    found = time_json([3600], [1.0], [1.0], workers=workers, may_leave=True)
    assert found["device_hours"] == [1.0, 1.0]
    assert (found["seconds"] is None) == (workers == 0)
    assert ("no worker is ready" in found["says"]) == (workers == 0)
    assert "at most" in found["says"]
