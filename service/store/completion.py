"""Completion: what a worker returned is written once, with its counters, or refused."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import RowMapping, bindparam, select, update
from sqlalchemy.orm import Session

from service.store.batch import PAIRS, dialect_of, write
from service.store.counters import count_successes
from service.store.moves import Fate, Moved, Pair, move
from service.store.progress import criteria_of
from service.store.release import by_sweep, hand_back
from service.store.settling import advance
from service.store.sweeps import lock
from service.store.tables import outcomes as outcome_rows
from service.store.tables import results, successes, trials
from workers.messages import Failure, Outcome, succeeded


@dataclass(frozen=True)
class Completed:
    """What became of a return.

    Attributes:
        accepted: outcomes and failures that were written.
        refused: (trial, attempt) of those that came from an attempt that is not running.
        ended_sweeps: sweeps that this ended.
    """

    accepted: int
    refused: list[Pair]
    ended_sweeps: list[str]


def complete(
    session: Session,
    *,
    outcomes: Sequence[Outcome],
    failures: Sequence[Failure],
    dropped: Sequence[Pair],
    numerics_id: str,
    max_attempts: int,
    now: datetime,
) -> Completed:
    """Writes outcomes, failures and drops by compare-and-set on (trial, attempt, running).

    A trial that raises is put back into the queue, with the same streams, until it has raised
    `max_attempts` times: then it is errored. A write of an attempt that is not running any more, a
    zombie's or a repetition, is refused and changes nothing. Of an attempt that comes twice in one
    call the first counts. The number of statements depends on the sweeps, not on the trials.
    """
    came: dict[Pair, Outcome | Failure] = {}
    refused: list[Pair] = []
    every: list[Outcome | Failure] = [*outcomes, *failures]
    for item in every:
        pair = (item.trial, item.attempt)
        if came.setdefault(pair, item) is not item:
            refused.append(pair)
    accepted: set[Pair] = set()
    ended: list[str] = []
    for sweep, pairs in by_sweep(session, list(came)).items():
        held = lock(session, sweep)
        before = _failures(session, [p for p in pairs if isinstance(came[p], Failure)])
        fates = [_fate(came[p], held, before.get(p[0], 0), max_attempts) for p in pairs]
        moved = move(session, sweep, fates, now=now)
        mine = [o for pair in moved if isinstance(o := came[pair], Outcome)]
        _write_outcomes(session, sweep, mine, moved, numerics_id)
        accepted |= moved.keys()
        if advance(session, held, now):
            ended.append(sweep)
    hand_back(session, dropped, now=now)
    refused += [pair for pair in came if pair not in accepted]
    return Completed(len(accepted), refused, ended)


def _failures(session: Session, pairs: Sequence[Pair]) -> dict[int, int]:
    """How often these trials have raised before."""
    if not pairs:
        return {}
    dialect = dialect_of(session)
    found = session.execute(_raised(dialect), PAIRS.parameters(dialect, pairs))
    return {r.id: r.failures for r in found}


@cache
def _raised(dialect: str) -> Any:
    batch = PAIRS.source(dialect)
    found = select(trials.c.id, trials.c.failures)
    return found.join_from(batch, trials, trials.c.id == batch.c.id)


def _fate(item: Outcome | Failure, held: RowMapping, before: int, most: int) -> Fate:
    """In a sweep that is being cancelled nothing is tried again."""
    if isinstance(item, Outcome):
        return Fate(item.trial, item.attempt, item.end_state)
    again = "cancelled" if held["state"] == "cancelling" else "waiting"
    state = "errored" if before + 1 >= most else again
    error, traceback = storable(item.error), storable(item.traceback)
    return Fate(item.trial, item.attempt, state, error, traceback, failed=1)


def storable(text: str) -> str:
    r"""Text with what a database refuses written as its escape: NUL is \x00, \ud800 is \ud800."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _write_outcomes(
    session: Session,
    sweep: str,
    mine: Sequence[Outcome],
    moved: Mapping[Pair, Moved],
    numerics_id: str,
) -> None:
    """Outcomes, results and successes of the accepted, and the success counters."""
    if not mine:
        return
    write(
        session,
        outcome_rows,
        ("trial", "steps", "fingerprint", "class_id", "curve", "pack", "lane"),
        [(o.trial, o.steps, o.fingerprint, numerics_id, o.curve, o.pack, o.lane) for o in mine],
    )
    kept = [{"of": o.trial, "weights": asdict(o.weights)} for o in mine if o.weights is not None]
    if kept:
        session.execute(_KEEP, kept)
    write(
        session,
        results,
        ("trial", "metric", "final", "best", "best_step"),
        [
            (o.trial, name, unsigned(m.final), unsigned(m.best), m.best_step)
            for o in mine
            for name, m in o.metrics.items()
        ],
    )
    rules = criteria_of(session, sweep)
    verdicts = [(o, rule.index, succeeded(o, rule)) for o in mine for rule in rules]
    write(
        session,
        successes,
        ("trial", "criterion", "success"),
        [(o.trial, criterion, int(won)) for o, criterion, won in verdicts],
    )
    wins = [(*moved[o.trial, o.attempt], criterion) for o, criterion, won in verdicts if won]
    count_successes(session, sweep, wins)


_KEEP = (
    update(outcome_rows)
    .where(outcome_rows.c.trial == bindparam("of"))
    .values(weights=bindparam("weights", type_=outcome_rows.c.weights.type))
)


def unsigned(value: float | None) -> float | None:
    """0.0 for -0.0: SQLite keeps no sign of zero, and findings are the same on every database."""
    return None if value is None else value + 0.0
