"""What a sweep came to, read from its store, and how two of them differ."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from service.report.build import build
from service.report.bundle.manifest import bundle_hash
from service.store.engine import reading_factory
from service.store.tables import cells, results, sweeps, trials
from service.store.tables import outcomes as outcome_rows

Place = tuple[int, int]


@dataclass(frozen=True)
class Ended:
    """All of one trial that must not depend on what happened to it.

    Attributes:
        curve: hash of the evaluation curve's bytes.
        numerics: hash that names the numerics class.
        metrics: name, final, best, step of the best; floats as their exact text.
    """

    state: str
    steps: int
    fingerprint: str
    curve: str
    numerics: str
    metrics: tuple[tuple[str, str, str, int | None], ...]


@dataclass(frozen=True)
class Record:
    """All of a sweep that must not depend on its fate, and what its fate was.

    Attributes:
        trials: (cell, seed) -> what the trial came to; one row a trial, or reading fails.
        findings, bundle: their hashes.
        attempts: how many attempts the trials took together.
    """

    trials: Mapping[Place, Ended]
    findings: str
    bundle: str
    attempts: int = 0


def only_sweep(engine: Engine) -> str:
    """The id of the one sweep in a store."""
    with engine.connect() as connection:
        return str(connection.execute(select(sweeps.c.id)).scalar_one())


def read(engine: Engine, sweep: str) -> Record:
    """Everything of an ended sweep."""
    with reading_factory(engine).begin() as session:
        found = _trials(session, sweep)
        report = build(session, sweep)
        bundle = bundle_hash(report.findings)
        attempts = sum(session.scalars(select(trials.c.attempt).where(trials.c.sweep == sweep)))
        return Record(found, report.findings_hash, bundle, attempts)


def _trials(session: Session, sweep: str) -> dict[Place, Ended]:
    metrics: dict[int, list[tuple[str, str, str, int | None]]] = {}
    query = (
        select(results)
        .join(trials, trials.c.id == results.c.trial)
        .where(trials.c.sweep == sweep)
        .order_by(results.c.trial, results.c.metric)
    )
    for r in session.execute(query):
        metrics.setdefault(r.trial, []).append((r.metric, repr(r.final), repr(r.best), r.best_step))
    query = (
        select(trials, cells.c.index.label("place"), outcome_rows)
        .join(cells, cells.c.id == trials.c.cell)
        .outerjoin(outcome_rows, outcome_rows.c.trial == trials.c.id)
        .where(trials.c.sweep == sweep)
    )
    found: dict[Place, Ended] = {}
    for r in session.execute(query):
        place = int(r.place), int(r.seed)
        if place in found:
            raise AssertionError(f"cell {r.place}, seed {r.seed} has two rows")
        found[place] = Ended(
            r.state,
            r.steps,
            r.fingerprint,
            hashlib.sha256(r.curve or b"").hexdigest(),
            str(r.class_id),
            tuple(metrics.get(r.id, [])),
        )
    return found


def differences(found: Record, undisturbed: Record, trials: int) -> list[str]:
    """What is wrong with a sweep that was shot at; empty where nothing is."""
    wrong = []
    if len(found.trials) != trials:
        wrong.append(f"{len(found.trials)} trials have a row, of {trials}")
    lone = sorted(undisturbed.trials.keys() ^ found.trials.keys())
    wrong += [f"cell {cell}, seed {seed} is in one of the two only" for cell, seed in lone]
    for place in sorted(undisturbed.trials.keys() & found.trials.keys()):
        one, other = found.trials[place], undisturbed.trials[place]
        parts = [p for p in Ended.__dataclass_fields__ if getattr(one, p) != getattr(other, p)]
        if parts:
            wrong.append(f"cell {place[0]}, seed {place[1]} differs in {', '.join(parts)}")
    if found.findings != undisturbed.findings:
        wrong.append("the findings have another hash")
    if found.bundle != undisturbed.bundle:
        wrong.append("the bundle has another hash")
    return wrong


#: every write to the table of outcomes, kept by the database itself: a second write of a trial
#: would be seen here even if it left no other trace
_JOURNAL = """
CREATE TABLE chaos_writes (trial BIGINT NOT NULL, operation TEXT NOT NULL);
CREATE FUNCTION chaos_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO chaos_writes VALUES (COALESCE(NEW.trial, OLD.trial), TG_OP);
  RETURN NULL;
END $$;
CREATE TRIGGER chaos_write AFTER INSERT OR UPDATE OR DELETE ON outcomes
  FOR EACH ROW EXECUTE FUNCTION chaos_write();
"""


def keep_journal(engine: Engine) -> None:
    """Lets PostgreSQL keep a journal of writes to outcomes."""
    with engine.begin() as connection:
        connection.execute(text(_JOURNAL))


@dataclass(frozen=True)
class Writes:
    """What the journal says.

    Attributes:
        inserted: outcomes written for the first time.
        again: trials that were written more than once, and how often.
        others: updates and deletions.
    """

    inserted: int
    again: Mapping[int, int] = field(default_factory=dict)
    others: int = 0


def journal(engine: Engine) -> Writes:
    """Reads it."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT trial, operation, count(*) AS n FROM chaos_writes GROUP BY 1, 2")
        ).all()
    inserted = {r.trial: r.n for r in rows if r.operation == "INSERT"}
    return Writes(
        len(inserted),
        {trial: n for trial, n in inserted.items() if n > 1},
        sum(r.n for r in rows if r.operation != "INSERT"),
    )
