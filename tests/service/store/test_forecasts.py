"""Forecasts on every store: the last one counts, read with progress, and it runs down."""

from sqlalchemy import Engine

from service.api.views import eta_json
from service.planning.eta import Eta
from service.store import forecasts
from service.store.engine import session_factory
from service.store.forecasts import Forecast
from service.store.plans import plan_of
from service.store.progress import progress
from tests.service.samples import moment
from tests.service.store.test_conformance import claim, create
from tests.service.store.test_extending import ARM, extend, run


def test_the_last_forecast_is_read_with_progress(engine: Engine) -> None:
    sessions = session_factory(engine)
    sweep, other = create(sessions), create(sessions)
    with sessions.begin() as session:
        assert progress(session, sweep).forecast is None
        forecasts.keep(session, sweep, {"a": 1}, None, moment())
        assert progress(session, sweep).forecast is None
        forecasts.keep(session, sweep, {"a": 2}, Eta(90, 60, 150), moment(1))
        forecasts.keep(session, other, {"a": 3}, Eta(20, None, None), moment(2))
    with sessions() as session:
        assert progress(session, sweep).forecast == Forecast(moment(1), 90, (60, 150))
        assert progress(session, other).forecast == Forecast(moment(2), 20, None)
        assert forecasts.recall(session, sweep) == {"a": 2}
        assert forecasts.size_of(session, sweep) == (24, "deep_mlp")
        assert list(forecasts.waiting(session, sweep).values()) == [24]
    claim(sessions, sweep, 6)
    with sessions() as session:
        assert list(forecasts.waiting(session, sweep).values()) == [18]


def test_a_forecast_runs_down_and_stands_only_while_the_sweep_runs(engine: Engine) -> None:
    sessions = session_factory(engine)
    sweep = create(sessions)
    with sessions.begin() as session:
        forecasts.keep(session, sweep, {}, Eta(90, 60, 150), moment())
    with sessions() as session:
        assert eta_json(progress(session, sweep), moment(1))["eta_s"] is None
    claim(sessions, sweep, 1)
    with sessions() as session:
        found = progress(session, sweep)
    assert eta_json(found, moment(0)) == {"eta_s": 90.0, "eta_interval_s": [60.0, 150.0]}
    assert eta_json(found, moment(70)) == {"eta_s": 20.0, "eta_interval_s": [0.0, 80.0]}
    assert eta_json(found, moment(500)) == {"eta_s": 0.0, "eta_interval_s": [0.0, 0.0]}


def test_queues_of_equal_packs_are_counted_together(engine: Engine) -> None:
    """A new arm gets queues of its own, whose packs are as the old ones'."""
    sessions = session_factory(engine)
    sweep = create(sessions)
    run(sessions, sweep)
    assert extend(sessions, sweep, arms=ARM, seeds=8)
    with sessions() as session:
        packs = [s.pack for s in plan_of(session, sweep).structures]
        assert packs[0] == packs[1]
        assert list(forecasts.waiting(session, sweep).values()) == [2 * 2 * 2 + 2 * 8]
