"""What is asked again and again costs the same for a thousand trials and for a million.

What is compared is the least time of this thread on a processor, with the two sides taken in turn,
many times: another program, or a machine that stands still, makes no side look dearer than it is.
"""

import time
from collections.abc import Callable

from sqlalchemy import Engine, event, func, select

from service.store import sweeps
from service.store.engine import reading_factory, session_factory
from service.store.progress import progress, progress_of
from service.store.tables import trials
from tests.benchmarks.stub.history import finish
from tests.service.samples import moment, outcome, plan
from tests.service.store.test_conformance import claim, complete, create

GRID = {
    "learning_rate": [0.1, 0.2, 0.3],
    "init_std": [0.1, 0.2, 0.3],
    "dropout": [0.0, 0.1, 0.2],
    "momentum": [0.0, 0.5, 0.9],
    "clip_norm": [1.0, 2.0, 3.0],
    "noise_gamma": [0.5, 0.55, 0.6],
}
FIXED = {"depth": 3, "width": 8, "clip": "norm"}


def least_s(
    one: Callable[[], object], other: Callable[[], object], repeats: int = 60
) -> tuple[float, float]:
    """Least seconds on a processor of each, taken in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for work, found in zip((one, other), times, strict=True):
            began = time.thread_time()
            work()
            found.append(time.thread_time() - began)
    return min(times[0]), min(times[1])


def test_progress_of_14580_finished_trials_costs_as_much_as_of_100(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    small = create(sessions, grid={}, seeds=50, cohort=50)
    large = create(sessions, grid=GRID, fixed=FIXED, seeds=10, cohort=10)
    for sweep, size in ((small, 100), (large, 14_580)):
        done = 0
        while taken := claim(sessions, sweep, 2000):
            done += complete(sessions, [outcome(t) for t in taken]).accepted
        assert done == size
    reading = reading_factory(sqlite)

    def look(sweep: str) -> Callable[[], object]:
        def work() -> object:
            with reading() as session:
                return progress(session, sweep)

        return work

    with reading() as session:
        assert progress(session, large).state == "finished"
    statements: list[str] = []
    event.listen(sqlite, "before_cursor_execute", lambda *a: statements.append(a[2]))
    look(large)()
    assert all("trials" not in s.partition("FROM")[2] for s in statements)
    assert len(statements) <= 6
    of_large, of_small = least_s(look(large), look(small))
    assert of_large < 2.0 * of_small + 0.002


def test_progress_of_a_million_trials_costs_as_much_as_of_a_thousand(sqlite: Engine) -> None:
    """All but the last cohorts have ended, 16 of the rest are claimed, in rows that are there."""
    sessions, reading = session_factory(sqlite), reading_factory(sqlite)
    small = create(sessions, grid={}, seeds=500, cohort=50)
    large = create(sessions, grid={}, seeds=500_000, cohort=50)
    assert finish(sqlite, small, 10**9) == 1000
    assert finish(sqlite, large, 9_980) == 998_000
    taken = claim(sessions, large, 16)
    with reading() as session:
        now = progress(session, large)
        assert (now.trials, now.ended, now.running) == (1_000_000, 998_000, 16)

    def look(sweep: str) -> Callable[[], object]:
        def work() -> object:
            with reading() as session:
                return progress(session, sweep)

        return work

    of_large, of_small = least_s(look(large), look(small), 300)
    assert of_large <= 1.5 * of_small
    complete(sessions, [outcome(t) for t in taken])
    fresh = create(sessions, grid={}, seeds=500_000, cohort=50)

    def train(sweep: str) -> Callable[[], object]:
        return lambda: complete(sessions, [outcome(t) for t in claim(sessions, sweep, 16)])

    train(fresh)()
    of_large, of_fresh = least_s(train(large), train(fresh))
    assert of_large <= 2.0 * of_fresh


def test_a_sweep_of_ten_million_trials_is_written_as_fast_as_one_of_hundred(
    sqlite: Engine,
) -> None:
    sessions = session_factory(sqlite)

    def write(**changes: object) -> Callable[[], object]:
        made = plan(**changes)

        def work() -> object:
            with sessions.begin() as session:
                return sweeps.create(session, made, now=moment())

        return work

    small = write(grid={}, seeds=50, cohort=50)
    huge = write(grid={}, seeds=5_000_000, cohort=50)
    of_huge, of_small = least_s(huge, small, 9)
    assert of_huge < 3 * of_small + 0.01


def test_14580_trials_are_accepted_at_once(sqlite: Engine) -> None:
    """1,458 cells and no trial are written: some hundredths of a second, bounded generously."""
    sessions = session_factory(sqlite)
    made = plan(grid=GRID, fixed=FIXED, seeds=10, cohort=10)
    began = time.thread_time()
    with sessions.begin() as session:
        sweep, _ = sweeps.create(session, made, now=moment())
    assert time.thread_time() - began < 3
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(trials)) == 0
        assert progress(session, sweep).trials == 14_580


def test_a_list_asks_as_often_for_twenty_sweeps_as_for_one_and_tells_the_same(
    engine: Engine,
) -> None:
    sessions, reading = session_factory(engine), reading_factory(engine)
    made = [create(sessions, seeds=2 + 2 * (n % 3), grid={}) for n in range(20)]
    for sweep in made[:4]:
        complete(sessions, [outcome(t) for t in claim(sessions, sweep, 3)])
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *a: statements.append(a[2]))

    def asked(limit: int) -> int:
        statements.clear()
        with reading() as session:
            views = sweeps.page(session, after=None, limit=limit)
            assert set(progress_of(session, [v.id for v in views])) == {v.id for v in views}
            assert len(views) == limit
        return len(statements)

    assert asked(20) == asked(1)
    with reading() as session:
        each = {sweep: progress(session, sweep) for sweep in made}
        assert progress_of(session, [*made, "no such sweep"]) == each
        assert progress_of(session, []) == {}
        views = {view.id: view for view in sweeps.page(session, after=None, limit=20)}
        assert views == {sweep: sweeps.show(session, sweep) for sweep in made}
    assert any(view.classes for view in views.values())
    assert len({p.ended for p in each.values()}) > 1
