"""Outcomes of a sweep's past, made up in SQL, so that a report over a million can be timed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, text

from tests.benchmarks.stub.history import finish, hurried

_WORDS = {
    "sqlite": {"print": "printf('%064x', t.id)", "curve": "zeroblob(200)"},
    "postgresql": {
        "print": "lpad(to_hex(t.id), 64, '0')",
        "curve": "decode(repeat('00', 200), 'hex')",
    },
}
_FROM = "FROM trials t JOIN cells c ON c.id = t.cell WHERE t.sweep = :sweep ORDER BY t.id"
# a number from 0 to 999,999 out of (seed, cell), by two turns of Park and Miller's generator
_TURN = '((CAST(t.seed AS BIGINT) * 69621 + c."index" * 16807 + 12345) % 2147483647)'
_DRAWN = f"({_TURN} * 48271 % 2147483647 % 1000000)"
# the second arm does a little better
_SCORE = f"({_DRAWN} + t.arm * 20000) / 1020000.0"
_OUTCOMES = f"""INSERT INTO outcomes (trial, steps, fingerprint, class_id, curve)
    SELECT t.id, 1000, {{print}}, 'made-up', {{curve}} {_FROM}"""
_RESULTS = f"""INSERT INTO results (trial, metric, final, best, best_step)
    SELECT t.id, :metric, {_SCORE}, {_SCORE} + 0.015, 100 * (1 + t.seed % 10) {_FROM}"""
_SUCCESSES = """INSERT INTO successes (trial, criterion, success)
    SELECT t.id, k."index", CAST(CASE k.comparison
        WHEN 'at_least' THEN CASE k.at WHEN 'any' THEN r.best ELSE r.final END >= k.threshold
        ELSE CASE k.at WHEN 'any' THEN r.best ELSE r.final END <= k.threshold END AS INTEGER)
    FROM trials t JOIN results r ON r.trial = t.id
    JOIN criteria k ON k.sweep = t.sweep AND k.metric = r.metric
    WHERE t.sweep = :sweep ORDER BY t.id, k."index" """
_COUNTERS = (
    """UPDATE cell_successes SET settled = found.n, arrived = found.n FROM
       (SELECT t.cell, s.criterion, sum(s.success) AS n FROM trials t
        JOIN successes s ON s.trial = t.id WHERE t.sweep = :sweep GROUP BY 1, 2) AS found
       WHERE cell_successes.cell = found.cell AND cell_successes.criterion = found.criterion""",
    """UPDATE arm_successes SET settled = found.n, arrived = found.n FROM
       (SELECT c.arm, w.criterion, sum(w.settled) AS n FROM cells c
        JOIN cell_successes w ON w.cell = c.id WHERE c.sweep = :sweep GROUP BY 1, 2) AS found
       WHERE sweep = :sweep AND arm_successes.arm = found.arm
       AND arm_successes.criterion = found.criterion""",
)


def finish_with_outcomes(engine: Engine, sweep: str, metrics: Sequence[str]) -> int:
    """Ends all trials of a sweep none of which was claimed; returns how many.

    Every one has an outcome, by which its successes and all counters are right.

    Args:
        metrics: what was measured, the criteria's metric among them.
    """
    found = finish(engine, sweep, 10**9)
    with hurried(engine) as connection:
        _fill(connection, sweep, metrics)
    return found


def _fill(connection: Connection, sweep: str, metrics: Sequence[str]) -> None:
    words = _WORDS[connection.dialect.name]

    def run(statement: str, **values: Any) -> None:
        connection.execute(text(statement), values)

    if not connection.scalar(text("SELECT count(*) FROM numerics_classes WHERE id = 'made-up'")):
        run("INSERT INTO numerics_classes (id, content) VALUES ('made-up', '{}')")
    run("INSERT INTO sweep_classes (sweep, class_id, rank) VALUES (:s, 'made-up', 0)", s=sweep)
    run(_OUTCOMES.format(**words), sweep=sweep)
    for metric in metrics:
        run(_RESULTS, sweep=sweep, metric=metric)
    for statement in (_SUCCESSES, *_COUNTERS):
        run(statement, sweep=sweep)
    if connection.dialect.name == "postgresql":
        run("ANALYZE")
