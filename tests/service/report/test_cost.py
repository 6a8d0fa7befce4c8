"""What a report costs: in time as its trials, in memory some bytes a trial."""

import time
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
from sqlalchemy.orm import Session, sessionmaker

from models.catalog import experiments
from service.evidence import boschloo
from service.evidence.independent import Independent
from service.evidence.rates import Rate
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
#: the paper's: 7,290 restarts of each arm, 10 in each of 729 settings
PAPER, SETTINGS = 14_580, 729


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A store with one sweep for each number of trials, every one with its outcome."""
    experiment.install()
    found = {}
    for trials, settings in ((SMALL, 5), (LARGE, 5), (PAPER, SETTINGS)):
        path: Path = tmp_path_factory.mktemp("cost") / "store.db"
        engine = open_engine(f"sqlite:///{path}")
        upgrade(engine)
        plan = parse(experiment.spec(trials, settings=settings, success=SUCCESS), experiments())
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


def test_no_method_whose_cost_explodes_is_called(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7,290 pairs in 729 settings at 4 thresholds: Boschloo's test alone would take minutes."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test whose cost grows with the square of n or worse")

    monkeypatch.setattr(boschloo, "p_value", refuse)
    for name in ("barnard_exact", "boschloo_exact"):
        monkeypatch.setattr(scipy.stats, name, refuse)
    sessions, sweep = filled[PAPER]
    with sessions() as session:
        found = build(session, sweep).findings
    assert [k["pairs"] for c in found["criteria"] for k in c["contrasts"]] == [7290] * 4
    assert all(k["grid"]["paired"]["settings"] == SETTINGS for k in _contrasts(found))
    with pytest.raises(AssertionError):  # the fault would be seen
        Independent(Rate(1, 20), Rate(2, 20)).exact_test()


def _contrasts(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [k for c in found["criteria"] for k in c["contrasts"]]


def test_a_rate_is_reckoned_once_for_all_cells_that_share_it(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,458 cells at 4 thresholds have 11 different counts of 10 seeds."""
    seen: list[Rate] = []
    wilson = Rate.wilson
    monkeypatch.setattr(Rate, "wilson", lambda rate: seen.append(rate) or wilson(rate))
    sessions, sweep = filled[PAPER]
    with sessions() as session:
        build(session, sweep)
    assert len(seen) < 100


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
