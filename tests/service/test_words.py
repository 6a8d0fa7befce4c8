"""Words that the terminal and the dashboard share."""

from service.words import eta


def test_the_time_that_is_left_has_its_interval_and_says_that_a_stop_may_come_first() -> None:
    assert eta({"eta_s": None}) is None
    assert eta({"eta_s": 700.0}) == "about 12 min left"
    told = {"eta_s": 700.0, "eta_interval_s": [600.0, 4000.0]}
    assert eta(told) == "about 12 min left (10 min to 1.1 h)"
    assert eta({"eta_s": 3.0, "eta_interval_s": [3.1, 3.3]}) == "about 3 s left"
    stop = {"when": ["evidence"], "stopped": None}
    assert eta(told | {"stop": stop}) == (
        "about 12 min left (10 min to 1.1 h) unless it stops before"
    )
    assert eta(told | {"stop": {"stopped": {"when": "futile"}}}) == eta(told)
