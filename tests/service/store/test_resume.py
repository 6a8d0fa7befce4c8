"""A sweep paused by a change of code goes on unchanged once the code is back."""

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service.store import classes, sweeps
from service.store.errors import StateConflictError
from tests.service.samples import NUMERICS
from tests.service.store.test_conformance import create

Sessions = sessionmaker[Session]
OWN = classes.class_id(NUMERICS)
OTHER = NUMERICS | {"code": "two"}


def paused(sessions: Sessions) -> str:
    """A sweep whose class no worker had."""
    sweep = create(sessions)
    with sessions.begin() as session:
        other = classes.know(session, OTHER)
        sweeps.pause(session, sweep, reason=sweeps.CODE_CHANGED, offered_class=other)
    return sweep


def look(sessions: Sessions, sweep: str) -> tuple[str, str | None, tuple[str, ...]]:
    """State, offered class and classes."""
    with sessions() as session:
        view = sweeps.show(session, sweep)
        return view.state, view.offered_class, view.classes


def test_the_class_that_it_keeps_to_is_accepted_and_changes_nothing(sessions: Sessions) -> None:
    sweep = paused(sessions)
    with sessions.begin() as session:
        sweeps.resume(session, sweep, accept_class=OWN)
    assert look(sessions, sweep) == ("waiting", None, (OWN,))
    with sessions.begin() as session:
        assert classes.pin(session, sweep, NUMERICS)


def test_without_a_class_the_message_names_both_ways(sessions: Sessions) -> None:
    sweep, other = paused(sessions), classes.class_id(OTHER)
    with (
        sessions.begin() as session,
        pytest.raises(StateConflictError, match=f"--accept-class {other}.*accept_class {OWN}"),
    ):
        sweeps.resume(session, sweep)
    with sessions.begin() as session, pytest.raises(StateConflictError):
        sweeps.resume(session, sweep, accept_class="a third")


def test_once_workers_are_of_its_class_again_it_needs_no_acceptance(sessions: Sessions) -> None:
    sweep = paused(sessions)
    with sessions.begin() as session:
        [asked] = classes.asked(session)
        assert (asked.sweep, asked.pinned, asked.offered) == (sweep, OWN, classes.class_id(OTHER))
        classes.offer(session, sweep, NUMERICS)
    assert look(sessions, sweep) == ("paused", OWN, (OWN,))
    with sessions.begin() as session:
        sweeps.resume(session, sweep)
    assert look(sessions, sweep) == ("waiting", None, (OWN,))


def test_an_offer_to_a_sweep_that_asks_for_none_changes_nothing(sessions: Sessions) -> None:
    sweep = create(sessions)
    with sessions.begin() as session:
        classes.offer(session, sweep, OTHER)
    assert look(sessions, sweep) == ("waiting", None, (OWN,))


def test_a_users_pause_takes_the_place_of_one_for_changed_code(sessions: Sessions) -> None:
    """Only a user ends it: neither the class that comes back nor one that is offered."""
    sweep, other = paused(sessions), classes.class_id(OTHER)
    with sessions.begin() as session:
        sweeps.pause(session, sweep)
        assert sweeps.show(session, sweep).reason is None
        assert classes.asked(session) == []
        classes.offer(session, sweep, NUMERICS)
        sweeps.pause(session, sweep, reason=sweeps.CODE_CHANGED, offered_class=other)
        assert not classes.back(session, sweep)
    assert look(sessions, sweep) == ("paused", other, (OWN,))
    with sessions.begin() as session:
        assert sweeps.show(session, sweep).reason is None
        sweeps.resume(session, sweep)
    assert look(sessions, sweep) == ("waiting", None, (OWN,))


@pytest.mark.parametrize("accepted", [OWN, classes.class_id(OTHER)])
def test_after_a_users_pause_as_before_a_class_is_accepted(
    sessions: Sessions, accepted: str
) -> None:
    sweep, offered = paused(sessions), classes.class_id(OTHER)
    with sessions.begin() as session:
        sweeps.pause(session, sweep)
    with sessions.begin() as session, pytest.raises(StateConflictError, match=offered):
        sweeps.resume(session, sweep, accept_class="a third")
    with sessions.begin() as session:
        sweeps.resume(session, sweep, accept_class=accepted)
        assert classes.pin(session, sweep, NUMERICS) == (accepted == OWN)
    expected = (OWN,) if accepted == OWN else (OWN, offered)
    assert look(sessions, sweep) == ("waiting", None, expected)


def test_a_sweep_goes_on_as_its_class_is_back_once(sessions: Sessions) -> None:
    sweep = paused(sessions)
    with sessions.begin() as session:
        assert classes.back(session, sweep)
        assert not classes.back(session, sweep)
    assert look(sessions, sweep) == ("waiting", None, (OWN,))


def test_a_users_pause_leaves_one_for_failing_as_it_is(sessions: Sessions) -> None:
    sweep = create(sessions)
    with sessions.begin() as session:
        sweeps.pause(session, sweep, reason=sweeps.FAILING)
        sweeps.pause(session, sweep)
        assert sweeps.show(session, sweep).reason == sweeps.FAILING
