"""A sweep's past, written straight into the tables as if its trials had been trained."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, text

from service.store.types import UtcDateTime

_SEEDS = {
    "sqlite": """
WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < :seeds)""",
    "postgresql": "WITH s(n) AS (SELECT generate_series(0, :seeds - 1))",
}
_TRIALS = """
INSERT INTO trials (sweep, cell, arm, setting, structure, cohort, seed, state, attempt, worker,
                    claimed_at, ended_at)
{seeds}
SELECT c.sweep, c.id, c.arm, c.setting, c.structure, s.n / :cohort, s.n, 'finished', 1, 'history',
       :now, :now
FROM s CROSS JOIN cells c WHERE c.sweep = :sweep ORDER BY s.n, c.place
"""
_COUNTERS = (
    """UPDATE arms SET finished = trials / :all * :seeds, settled_finished = trials / :all * :seeds
       WHERE sweep = :sweep""",
    "UPDATE cells SET finished = :seeds, settled_finished = :seeds WHERE sweep = :sweep",
    "UPDATE structures SET position = cells * :seeds WHERE sweep = :sweep",
    """INSERT INTO cohorts (sweep, "index", terminal)
       SELECT sweep, cohort, count(*) FROM trials WHERE sweep = :sweep GROUP BY sweep, cohort""",
    """UPDATE sweeps SET settled_cohorts = :settled, started_at = :now, state = :state,
       ended_at = :ended WHERE id = :sweep""",
)


def finish(engine: Engine, sweep: str, cohorts: int) -> int:
    """Ends the first cohorts of a sweep none of whose trials was claimed; returns how many trials.

    They have no outcome, and nothing but the counters, settled as well as arrived, says so.
    """
    with hurried(engine) as connection:
        return _finish(connection, sweep, cohorts)


@contextlib.contextmanager
def hurried(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes a million rows without what makes them safe."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        if engine.dialect.name == "sqlite":  # what is written is right
            for pragma in ("foreign_keys=OFF", "synchronous=OFF", "cache_size=-200000"):
                driver.execute(f"PRAGMA {pragma}")
        yield connection
        connection.commit()
    engine.dispose()  # and with it what was set here


def _finish(connection: Connection, sweep: str, cohorts: int) -> int:
    query = text("SELECT seeds, cohort, cells, trials FROM sweeps WHERE id = :sweep")
    whole = connection.execute(query, {"sweep": sweep}).one()
    seeds = min(whole.seeds, cohorts * whole.cohort)
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "sweep": sweep,
        "seeds": seeds,
        "all": whole.seeds,
        "cohort": whole.cohort,
        "settled": -(-seeds // whole.cohort),
        "state": "finished" if seeds == whole.seeds else "running",
        "now": now,
        "ended": now if seeds == whole.seeds else None,
    }
    statements = (_TRIALS.format(seeds=_SEEDS[connection.dialect.name]), *_COUNTERS)
    for statement in statements:
        named = {name: v for name, v in values.items() if f":{name}" in statement}
        moments = [bindparam(n, type_=UtcDateTime()) for n in named if n in ("now", "ended")]
        connection.execute(text(statement).bindparams(*moments), named)
    return seeds * int(whole.cells)
