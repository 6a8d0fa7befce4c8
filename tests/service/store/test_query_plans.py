"""What names trials by id finds them by id, however many they are and however large the store."""

import json
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session, sessionmaker

from service.store import claims, release
from service.store.engine import session_factory
from tests.service.samples import moment, outcome
from tests.service.store.test_conformance import claim, complete, create
from workers.messages import Failure

Sessions = sessionmaker[Session]


def test_no_statement_of_a_turn_goes_through_all_trials(sqlite: Engine) -> None:
    """EXPLAIN QUERY PLAN of each statement: no SCAN of trials."""
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    taken = claim(sessions, sweep, 12)
    seen: list[tuple[str, Any]] = []
    event.listen(sqlite, "before_cursor_execute", lambda *a: seen.append((a[2], a[3])))
    pairs = [(t.trial, t.attempt) for t in taken]
    with sessions.begin() as session:
        claims.queues(session)
        release.unwanted(session, pairs)
        release.hand_back(session, pairs[:2], now=moment())
        release.lose(session, pairs[2:4], now=moment())
        release.lose(session, pairs[4:5], now=moment())
        claims.queues(session)
        claims.claim(session, sweep, 0, 3, worker="w", now=moment())
        claims.claim_suspects(session, sweep, 0, 3, worker="w", now=moment())
        release.release_all(session, now=moment(), keep=set(pairs))
    failed = Failure(taken[6].trial, taken[6].attempt, "e", "t")
    complete(sessions, [outcome(taken[5])], [failed], dropped=pairs[7:8])
    plans, ran = [], seen.copy()  # what explains is seen too
    with sqlite.connect() as connection:
        for statement, parameters in ran:
            if "trials" not in statement or isinstance(parameters, list):
                continue
            explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans += [(r.detail, statement) for r in explained]
    assert len(plans) > 20
    scans = [
        (detail, statement)
        for detail, statement in plans
        if detail.startswith("SCAN trials")
        and "ix_trials_running" not in detail
        and "ix_trials_suspect" not in detail
    ]
    assert scans == []


def test_a_worker_of_65536_lanes_breaks_no_limit(sessions: Sessions) -> None:
    """More pairs than a PostgreSQL statement may have parameters."""
    sweep = create(sessions)
    [task] = claim(sessions, sweep, 1)
    many = [(task.trial, task.attempt), *((10_000 + i, 1) for i in range(65_536))]
    with sessions.begin() as session:
        assert len(release.unwanted(session, many)) == 65_536
        assert release.hand_back(session, many, now=moment()) == 1
    assert len(json.dumps(many)) < 2**21
    failures = [Failure(trial, attempt, "e", "t") for trial, attempt in many]
    assert len(complete(sessions, failures=failures).refused) == 65_537
