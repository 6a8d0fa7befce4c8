"""The drill judges: whom it strikes, and that it notices what is lost. It runs by `make drill`."""

from dataclasses import replace
from typing import Any, cast

import pytest

from deploy.drill.faults import faults
from deploy.drill.sweeps import LostError, Record, finish, moved, submit
from service.client import Client, ServiceUnreachableError
from tests.deploy.test_compose import SERVICES, STEPS, plain

WHOLE = Record(10, 10, 10, 10, 10, 3, "f" * 64)


class Told:
    """A client whose service says what it is told to."""

    def __init__(self, *progress: dict[str, Any] | None) -> None:
        self.progresses = list(progress)
        self.submitted: list[str] = []

    def progress(self, _sweep: str) -> dict[str, Any]:
        found = self.progresses.pop(0) if len(self.progresses) > 1 else self.progresses[0]
        if found is None:
            raise ServiceUnreachableError("http://127.0.0.1", "away")
        return found

    def submit(self, _spec: dict[str, Any], key: str) -> dict[str, Any]:
        self.submitted.append(key)
        if len(self.submitted) == 1:
            raise ServiceUnreachableError("http://127.0.0.1", "away")
        return {"id": "s"}


def client(*progress: dict[str, Any] | None) -> Client:
    return cast("Client", Told(*progress))


def at(state: str, ended: int) -> dict[str, Any]:
    return {"state": state, "reason": None, "ended": ended, "trials": 10}


def test_every_service_is_killed_by_hand_and_by_itself_and_a_worker_is_cut_off() -> None:
    dealt = [(fault.service, fault.said) for fault in faults()]
    assert len(set(dealt)) == len(dealt)
    for name in SERVICES:
        if plain(name) and name not in STEPS:
            assert len([1 for service, _ in dealt if service == name]) >= 2
    assert any("cut off" in said for _, said in dealt)


def test_what_is_lost_or_doubled_is_not_exactly_once() -> None:
    assert WHOLE.exactly_once
    for field in ("rows", "distinct", "outcomes", "trained"):
        assert not replace(WHOLE, **{field: 9}).exactly_once
        assert not replace(WHOLE, **{field: 11}).exactly_once


def test_a_sweep_that_stands_still_or_stops_is_an_alarm() -> None:
    with pytest.raises(LostError, match="no trial more than 3"):
        moved(client(at("running", 3)), "s", 3, timeout_s=0.01)
    with pytest.raises(LostError, match="is paused"):
        moved(client(at("paused", 3)), "s", 3, timeout_s=60)
    with pytest.raises(LostError, match="is cancelled"):
        finish(client(at("cancelled", 3)), "s", timeout_s=60)


def test_a_service_that_is_away_is_waited_for() -> None:
    assert moved(client(None, at("running", 4)), "s", 3, timeout_s=60)
    assert not moved(client(None, at("finished", 10)), "s", 3, timeout_s=60)


def test_a_submission_is_repeated_under_its_own_key() -> None:
    told = Told(at("running", 0))
    assert submit(cast("Client", told), {}, "key") == "s"
    assert told.submitted == ["key", "key"]
