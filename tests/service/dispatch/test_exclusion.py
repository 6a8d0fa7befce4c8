"""From the flag to a clean report: a broken worker is excluded on real parts."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.decide import Slot, Waiting
from service.dispatch.filling import takes
from service.dispatch.loop import Dispatcher, Rules
from service.report.audit import audit_of
from service.report.build import build
from service.report.markdown import render_markdown
from service.store import exclusion, sweeps
from service.store.engine import session_factory
from tests.service.dispatch.stand_ins import look, submit
from tests.service.dispatch.test_audit import LANES, Flipping
from tests.service.samples import moment, plan

Sessions = sessionmaker[Session]


def finish(sessions: Sessions, sweep: str, dispatcher: Dispatcher) -> None:
    while look(sessions, sweep).state != "finished":
        dispatcher.tick(0.0)


def test_an_excluded_worker_gets_nothing_of_the_sweep_and_all_of_others() -> None:
    pack = plan().structures[0].pack
    slots = [Slot(n, True, 0, None, {"deep_mlp": "c"}, place=f"host:{n}") for n in "ab"]
    banned = Waiting("s", 0, pack, 40, "c", excluded=frozenset(["host:a"]))
    free = Waiting("t", 0, pack, 40, "c")
    assert {t.worker for t in takes(slots, [banned], 8)} == {"b"}
    assert {(t.worker, t.sweep) for t in takes(slots, [banned, free], 8)} >= {("a", "t")}
    suspects = Waiting("s", 0, pack, 0, "c", suspects=3, losses=2, excluded=frozenset(["host:a"]))
    assert {t.worker for t in takes(slots, [suspects], 8)} == {"b"}


@pytest.mark.usefixtures("one_hour")
def test_flagged_excluded_and_run_again_a_sweep_is_as_if_all_workers_were_honest(
    sqlite: Engine,
) -> None:
    sessions = session_factory(sqlite)
    sizes = {"seeds": 300, "cohort": 100}
    honest, sweep = submit(sessions, **sizes), submit(sessions, **sizes)
    first = Dispatcher(sessions, Flipping(0.0), Rules(LANES, 1.0, 2), "me")
    with sessions.begin() as session:
        sweeps.pause(session, sweep)
    finish(sessions, honest, first)
    workers = Flipping(0.2)
    second = Dispatcher(sessions, workers, Rules(LANES, 1.0, 2), "me")
    with sessions.begin() as session:
        sweeps.resume(session, sweep)
    finish(sessions, sweep, second)
    with sessions.begin() as session:
        [flag] = audit_of(session, sweep)["flags"]
        gone = exclusion.exclude(session, sweep, flag["level"], "flagged", now=moment())
    assert gone.worker == "worker-1"
    sent = len(workers.orders)
    finish(sessions, sweep, second)
    again = [(w, a.attempt) for w, order in workers.orders[sent:] for a in order.add]
    assert len(again) == gone.trials
    assert {attempt for _, attempt in again} == {2}
    assert "worker-1" not in {w for w, _ in again}
    with sessions() as session:
        found, clean = build(session, sweep), build(session, honest)
        [gone] = exclusion.trail(session, sweep)
        assert audit_of(session, sweep)["flags"] == []
    assert found.findings == clean.findings
    assert gone.pending == 0
    assert 0.1 < gone.different / gone.trials < 0.3
    said = render_markdown(found)
    assert f'("flagged"): of its {gone.trials} trials {gone.equal} came out the same' in said
