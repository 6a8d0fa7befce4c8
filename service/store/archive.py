"""Settled cohorts as records, out of the store and back into it through its own completion."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.plan import Plan
from service.store import claims, classes, completion
from service.store.tables import cells, outcomes, results, sweeps, trials
from workers.messages import Assignment, Failure, MetricRecord, Outcome

_WORKER = "archive"


class ArchiveError(Exception):
    """Records that do not belong to the sweep that they are put into."""


@dataclass(frozen=True)
class Record:
    """What is known of a trial of a settled cohort, named by cell and seed.

    Attributes:
        state: its end state; an errored one has nothing else but its error.
        curve: its evaluation curve, as the store keeps it.
    """

    cell: int
    seed: int
    state: str
    steps: int | None
    fingerprint: str | None
    curve: bytes | None
    error: str | None
    metrics: Mapping[str, MetricRecord]


def settled_records(session: Session, sweep: str) -> Iterator[Record]:
    """The trials of the settled cohorts, cohort by cohort, by (seed, cell) within."""
    settled = select(sweeps.c.settled_cohorts).where(sweeps.c.id == sweep).scalar_subquery()
    here = (trials.c.sweep == sweep, trials.c.cohort < settled)
    query = (
        select(
            trials.c.id,
            cells.c.index.label("cell"),
            trials.c.seed,
            trials.c.state,
            trials.c.error,
            outcomes.c.steps,
            outcomes.c.fingerprint,
            outcomes.c.curve,
        )
        .join(cells, cells.c.id == trials.c.cell)
        .outerjoin(outcomes, outcomes.c.trial == trials.c.id)
        .where(*here)
        .order_by(trials.c.seed, cells.c.index)
    )
    measured: dict[int, dict[str, MetricRecord]] = {}
    columns = (results.c.trial, results.c.metric, *_METRIC)
    found = select(*columns).join(trials, trials.c.id == results.c.trial).where(*here)
    for trial, metric, *values in session.execute(found):
        measured.setdefault(trial, {})[metric] = MetricRecord(*values)
    for r in session.execute(query):
        yield Record(
            r.cell,
            r.seed,
            r.state,
            r.steps,
            r.fingerprint,
            r.curve,
            r.error,
            measured.get(r.id, {}),
        )


_METRIC = (results.c.final, results.c.best, results.c.best_step)


def restore(
    session: Session,
    sweep: str,
    plan: Plan,
    records: Sequence[Record],
    numerics: Mapping[str, str],
    now: datetime,
) -> int:
    """Ends the trials of whole cohorts as the records say; returns how many cohorts those are.

    They are claimed and completed as any others are, so that counters, successes and settled
    cohorts follow. The sweep is new, and is pinned to the records' numerics class.

    Raises:
        ArchiveError: the records are not those of the first cohorts, each once and whole.
    """
    by_name = {(r.cell, r.seed): r for r in records}
    seeds = 1 + max((r.seed for r in records), default=-1)
    whole = {(cell.index, seed) for cell in plan.cells for seed in range(seeds)}
    short = seeds % plan.cohort != 0 and seeds != plan.seeds
    if len(by_name) != len(records) or by_name.keys() != whole or seeds > plan.seeds or short:
        raise ArchiveError(
            f"{len(records)} records are not the first cohorts of {plan.trials} trials, each trial "
            "once; the file was cut or is of another sweep; move it away to begin anew"
        )
    if not records:
        return 0
    classes.pin(session, sweep, numerics)
    total = 0
    for _ in range(-(-seeds // plan.cohort)):
        ended = [
            record
            for structure in plan.structures
            for record in _claimed(session, sweep, structure.index, plan, by_name, seeds, now)
        ]
        completion.complete(
            session,
            outcomes=[item for item in ended if isinstance(item, Outcome)],
            failures=[item for item in ended if isinstance(item, Failure)],
            dropped=(),
            numerics_id=classes.class_id(numerics),
            max_attempts=1,
            now=now,
        )
        total += 1
    return total


def _claimed(
    session: Session,
    sweep: str,
    structure: int,
    plan: Plan,
    by_name: Mapping[tuple[int, int], Record],
    seeds: int,
    now: datetime,
) -> Iterator[Outcome | Failure]:
    """What became of a structure's trials of its next cohort."""
    size = sum(cell.structure == structure for cell in plan.cells)
    done = session.scalar(
        select(trials.c.seed)
        .where(trials.c.sweep == sweep, trials.c.structure == structure)
        .order_by(trials.c.seed.desc())
        .limit(1)
    )
    first = 0 if done is None else done + 1
    count = size * (min(seeds, first + plan.cohort) - first)
    taken = claims.claim(session, sweep, structure, count, worker=_WORKER, now=now)
    if len(taken) != count:
        raise ArchiveError(f"{len(taken)} trials could be claimed where {count} are recorded")
    names = session.execute(
        select(trials.c.id, cells.c.index.label("cell"))
        .join(cells, cells.c.id == trials.c.cell)
        .where(trials.c.sweep == sweep, trials.c.structure == structure, trials.c.seed >= first)
    )
    cell_of = {r.id: r.cell for r in names}
    for task in taken:
        yield _ending(task, by_name[cell_of[task.trial], task.seed])


def _ending(task: Assignment, record: Record) -> Outcome | Failure:
    if record.state == "errored":
        error = record.error or "errored"
        return Failure(task.trial, task.attempt, error, "recorded without its traceback")
    kept: Any = (record.steps, record.curve, record.fingerprint)
    if None in kept:
        raise ArchiveError(
            f"cell {record.cell}, seed {record.seed} is {record.state} and has no outcome; the "
            "file is damaged; move it away to begin anew"
        )
    steps, curve, fingerprint = kept
    state: Any = record.state
    return Outcome(task.trial, task.attempt, state, steps, dict(record.metrics), curve, fingerprint)
