"""What a report costs: in time as its trials, in memory some bytes a trial."""

import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from models.catalog import experiments
from service.report.build import Report, build
from service.report.sample import read
from service.spec import parse
from service.store import sweeps
from service.store.engine import open_engine, reading_factory, session_factory, upgrade
from service.store.plans import plan_of
from tests.benchmarks.stub import experiment
from tests.benchmarks.stub.outcomes import finish_with_outcomes
from tests.service.samples import moment

SUCCESS = {"metric": "score", "at_least": 0.9, "report_at": [0.5, 0.7, 0.8, 0.9]}
Filled = dict[int, tuple[sessionmaker[Session], str]]
SMALL, LARGE = 20_000, 80_000


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A store with one sweep for each number of trials, every one with its outcome."""
    experiment.install()
    found = {}
    for trials in (SMALL, LARGE):
        path: Path = tmp_path_factory.mktemp("cost") / "store.db"
        engine = open_engine(f"sqlite:///{path}")
        upgrade(engine)
        plan = parse(experiment.spec(trials, success=SUCCESS), experiments())
        with session_factory(engine).begin() as session:
            sweep, _ = sweeps.create(session, plan, now=moment())
        assert finish_with_outcomes(engine, sweep, ["score"]) == trials
        found[trials] = (reading_factory(engine), sweep)
    yield found
    del experiments()[experiment.STUB.name]


def test_time_is_linear_in_trials(filled: Filled) -> None:
    """Four times the trials at four thresholds: at most 1.6 times four times the processor time."""

    def cost(trials: int) -> tuple[float, Report]:
        sessions, sweep = filled[trials]
        with sessions() as session:
            began = time.process_time()
            found = build(session, sweep)
            return time.process_time() - began, found

    taken: dict[int, list[float]] = {SMALL: [], LARGE: []}
    for _ in range(3):  # in turn, so that another program's noise meets both
        for trials, seconds in taken.items():
            took, found = cost(trials)
            seconds.append(took)
            assert sum(e["n"] for e in found.findings["criteria"][0]["arms"]) == trials
    assert min(taken[LARGE]) < 4 * 1.6 * min(taken[SMALL])


def test_memory_is_some_bytes_a_trial(filled: Filled) -> None:
    """41 bytes of columns, as much again while they are joined, and no Python object for each."""

    def peak(trials: int) -> int:
        sessions, sweep = filled[trials]
        with sessions() as session:
            plan = plan_of(session, sweep)
            tracemalloc.start()
            sample = read(session, sweep, plan)
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert sample.trials == trials
        return most

    peak(SMALL)  # what is only built once
    assert (peak(LARGE) - peak(SMALL)) / (LARGE - SMALL) < 100
