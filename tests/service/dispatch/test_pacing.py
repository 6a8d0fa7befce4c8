"""The dispatcher foretells the end of sweeps; neither a pause nor a stop makes them look slow."""

from datetime import datetime

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service.api.views import eta_json
from service.dispatch.loop import Dispatcher
from service.dispatch.tempo import Tempo
from service.store import forecasts, sweeps
from tests.service.dispatch.stand_ins import RULES, Answering, look, run, submit
from tests.service.samples import moment, outcome
from tests.service.store.test_extending import extend
from workers.messages import Assignment, Order, Return
from workers.pool import Reply


class Machine:
    """One worker of four lanes, whose every call trains 100 of 200 steps and takes 10 s.

    With six layers it takes 50 s.

    Its seconds are those of a clock that only it, and a test, moves on.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        self.held: dict[int, tuple[Assignment, int]] = {}
        monkeypatch.setattr("service.dispatch.loop.now", self.now)

    def now(self) -> datetime:
        return moment(self.seconds)

    def workers(self) -> Answering:
        """Anew, with empty lanes."""
        self.held = {}
        return Answering(self.answer)

    def answer(self, worker: str, order: Order) -> Reply:
        took = 50 if order.pack.shared["depth"] == 6 else 10
        self.seconds += took
        for task in order.add:
            self.held[task.trial] = (task, 0)
        done = []
        for trial, (task, steps) in list(self.held.items())[: RULES.lanes]:
            self.held[trial] = (task, steps + 100)
            if steps + 100 == 200:
                done.append(outcome(task))
                del self.held[trial]
        kept = tuple((t.trial, t.attempt) for t, _ in self.held.values())
        steps = tuple(s for _, s in self.held.values())
        answer = Return(outcomes=tuple(done), held=kept, steps=steps, lane_steps=400, seconds=took)
        return Reply(worker, value=answer)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def told(sessions: sessionmaker[Session], sweep: str, machine: Machine) -> float | None:
    found: float | None = eta_json(look(sessions, sweep), machine.now())["eta_s"]
    return found


def left(sessions: sessionmaker[Session], sweep: str, machine: Machine) -> float:
    """The truth: 20 s for each four trials, less what those that train have done."""
    now = look(sessions, sweep)
    done = sum(steps for _, steps in machine.held.values()) / 200
    return 20 * (now.trials - now.ended - done) / 4


def ticks_until(sessions: sessionmaker[Session], sweep: str, d: Dispatcher, ended: int) -> None:
    for _ in range(200):
        if look(sessions, sweep).ended >= ended:
            return
        run(d, 1)
    raise AssertionError("the sweep does not go on")


def test_an_even_machine_is_foretold_exactly(
    sessions: sessionmaker[Session], machine: Machine
) -> None:
    sweep = submit(sessions, grid={}, seeds=40, cohort=40)
    dispatcher = Dispatcher(sessions, machine.workers(), RULES, "me")
    run(dispatcher, 2)
    assert told(sessions, sweep, machine) is None
    ticks_until(sessions, sweep, dispatcher, 16)
    found = told(sessions, sweep, machine)
    assert found is not None
    assert found == pytest.approx(left(sessions, sweep, machine), abs=21)
    assert eta_json(look(sessions, sweep), machine.now())["eta_interval_s"] is not None
    ticks_until(sessions, sweep, dispatcher, 80)
    assert look(sessions, sweep).state == "finished"
    assert told(sessions, sweep, machine) is None


def test_a_pause_does_not_count_as_time_that_training_took(
    sessions: sessionmaker[Session], machine: Machine
) -> None:
    """Only its beginning does, in which lanes run empty: 20 s at half the pace."""
    sweep = submit(sessions, grid={}, seeds=40, cohort=40)
    dispatcher = Dispatcher(sessions, machine.workers(), RULES, "me")
    ticks_until(sessions, sweep, dispatcher, 16)
    with sessions.begin() as session:
        sweeps.pause(session, sweep)
    assert told(sessions, sweep, machine) is None
    run(dispatcher, 6)
    assert not machine.held
    machine.seconds += 100_000
    run(dispatcher, 2)
    with sessions.begin() as session:
        sweeps.resume(session, sweep)
    run(dispatcher, 1)
    found = told(sessions, sweep, machine)
    assert found is not None
    assert found == pytest.approx(left(sessions, sweep, machine), abs=60)
    ticks_until(sessions, sweep, dispatcher, 60)
    found = told(sessions, sweep, machine)
    assert found is not None
    assert found == pytest.approx(left(sessions, sweep, machine), abs=21)


def test_a_new_dispatcher_goes_on_from_what_was_told_last(
    sessions: sessionmaker[Session], machine: Machine
) -> None:
    """The time between the two counts for nothing, and what was lost is trained again."""
    sweep = submit(sessions, grid={}, seeds=40, cohort=40)
    ticks_until(sessions, sweep, Dispatcher(sessions, machine.workers(), RULES, "me"), 40)
    before = look(sessions, sweep).ended
    machine.seconds += 100_000
    dispatcher = Dispatcher(sessions, machine.workers(), RULES, "me")
    run(dispatcher, 2)
    found = told(sessions, sweep, machine)
    assert found is not None
    assert found == pytest.approx(20 * (80 - before) / 4, abs=31)


def test_fast_structures_that_come_first_do_not_promise_that_others_are_as_fast(
    sessions: sessionmaker[Session], machine: Machine
) -> None:
    """15 s a trial on average; the first cohorts of three layers take 5 s, those of six 25 s."""
    grid = {"depth": [3, 6]}
    sweep = submit(sessions, fixed={"width": 8}, grid=grid, seeds=64, cohort=4)
    dispatcher = Dispatcher(sessions, machine.workers(), RULES, "me")
    ticks_until(sessions, sweep, dispatcher, 32)
    misses = []
    for ended in range(40, 256, 24):
        ticks_until(sessions, sweep, dispatcher, ended)
        found = told(sessions, sweep, machine)
        assert found is not None
        misses.append((found, machine.seconds))
    ticks_until(sessions, sweep, dispatcher, 256)
    for found, at in misses:
        true = machine.seconds - at
        assert found == pytest.approx(true, rel=0.2, abs=60)


def test_marks_are_few_whatever_the_number_of_trials_and_turns(
    sessions: sessionmaker[Session], machine: Machine
) -> None:
    sweep = submit(sessions, grid={}, seeds=600, cohort=600)
    dispatcher = Dispatcher(sessions, machine.workers(), RULES, "me")
    kept = 0
    plain = forecasts.keep

    def counting(*given: object) -> None:
        nonlocal kept
        kept += 1
        plain(*given)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecasts, "keep", counting)
        while look(sessions, sweep).state != "finished":
            run(dispatcher, 10)
    assert 150 < kept <= 201
    with sessions() as session:
        record = forecasts.recall(session, sweep)
    assert record is not None
    assert len(record["marks"]) <= 61
    assert sum(record["lengths"]) <= 1200


def test_the_forecast_of_a_sweep_goes_with_it(
    sessions: sessionmaker[Session], machine: Machine
) -> None:
    sweep = submit(sessions, grid={}, seeds=8, cohort=8)
    ticks_until(sessions, sweep, Dispatcher(sessions, machine.workers(), RULES, "me"), 16)
    with sessions.begin() as session:
        assert forecasts.recall(session, sweep) is not None
        sweeps.remove(session, sweep)
    with sessions.begin() as session:
        assert forecasts.recall(session, sweep) is None
        assert forecasts.size_of(session, sweep) is None
        forecasts.keep(session, sweep, {}, None, machine.now())
        assert forecasts.recall(session, sweep) is None


def test_after_an_extension_the_end_is_foretold_again(
    sessions: sessionmaker[Session], machine: Machine
) -> None:
    """In the same service; what it knew of the finished sweep it has forgotten."""
    sweep = submit(sessions, grid={}, seeds=20, cohort=20)
    dispatcher = Dispatcher(sessions, machine.workers(), RULES, "me")
    ticks_until(sessions, sweep, dispatcher, 40)
    run(dispatcher, 1)
    assert look(sessions, sweep).state == "finished"
    assert dispatcher._tempos == {}
    assert extend(sessions, sweep, seeds=200)
    ticks_until(sessions, sweep, dispatcher, 80)
    found = told(sessions, sweep, machine)
    assert found is not None
    assert found == pytest.approx(left(sessions, sweep, machine), abs=21)


def test_a_pace_is_kept_while_its_sweep_is_paused_and_not_once_it_has_ended(
    sessions: sessionmaker[Session], machine: Machine
) -> None:
    paused, other = submit(sessions, grid={}), submit(sessions, grid={})
    dispatcher = Dispatcher(sessions, machine.workers(), RULES, "me")
    ticks_until(sessions, paused, dispatcher, 4)
    with sessions.begin() as session:
        sweeps.pause(session, paused)
    run(dispatcher, 3)
    assert paused in dispatcher._tempos
    with sessions.begin() as session:
        sweeps.cancel(session, paused, now=machine.now())
    run(dispatcher, 30)
    assert look(sessions, other).state == "finished"
    assert dispatcher._tempos == {}


def test_a_mark_of_a_sweep_that_has_grown_stands_at_a_lower_share() -> None:
    grown = Tempo(100, reached=200).sized(1000)
    assert (grown.trials, grown.reached) == (1000, 20)
    assert Tempo(100).sized(1000).reached == -1
