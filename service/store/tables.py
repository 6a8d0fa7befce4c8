"""The tables; what the database can hold true, it does.

Counters stand beside what they count (arms, cells, *_successes), twice: `arrived` for progress,
`settled` for every rate that is shown. They move in the transaction that moves the trial.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)

from service.access.principal import Scope
from service.evidence.stopping import WHEN
from service.store.suspicion import SUSPECT
from service.store.types import Identity, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

END_STATES = ("finished", "left", "diverged", "errored", "cancelled")
TRIAL_STATES = ("waiting", "running", *END_STATES)
HAS_OUTCOME = ("finished", "left", "diverged")
OPEN_SWEEPS = ("waiting", "running")
#: what became of a pair of arm a against arm b; the last five miss an outcome
PAIRED = ("both", "only_a", "only_b", "neither")
HALF_SEEN = ("a_won", "a_lost", "b_won", "b_lost", "missing")
ENDED_SWEEPS = ("finished", "cancelled")
#: replays that are not over, in the words of the partial index over them
OPEN_REPLAYS = "state IN ('waiting', 'running')"
#: trials that wait apart, in the words of the partial index over them
SUSPECTS = f"state = 'waiting' AND losses >= {SUSPECT}"


# quoted, since `left` is a word of SQL
_COUNTED = " + ".join(f'"{name}"' for name in ("running", *END_STATES)) + " <= trials"


def _in(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(v) for v in values)})"


def _counter(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _sweep(*, primary_key: bool = False, index: bool = False) -> Column[str]:
    key = ForeignKey("sweeps.id", ondelete="CASCADE")
    return Column("sweep", key, nullable=False, primary_key=primary_key, index=index)


numerics_classes = Table(
    "numerics_classes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("content", JSON, nullable=False),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("experiment", String(200), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("seeds", Integer, nullable=False),
    Column("cohort", Integer, nullable=False),
    Column("cells", Integer, nullable=False),
    Column("trials", Integer, nullable=False),
    _counter("settled_cohorts"),
    Column("stop", JSON(none_as_null=True)),
    Column("stopped_cohort", Integer),
    Column("stopped_when", String(16)),
    _counter("judged_after"),
    Column("criteria_version", Integer, nullable=False, server_default="1"),
    Column("owner", Text, nullable=False, server_default=""),
    _counter("priority"),
    Column("labels", JSON, nullable=False, server_default="[]"),
    Column("note", Text, nullable=False, server_default=""),
    Column("failing", Text),
    Column("class_id", ForeignKey("numerics_classes.id")),
    Column("offered_class", ForeignKey("numerics_classes.id")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    CheckConstraint(
        _in("state", ("waiting", "running", "paused", "cancelling", *ENDED_SWEEPS)), "state"
    ),
    CheckConstraint(f"({_in('state', ENDED_SWEEPS)}) = (ended_at IS NOT NULL)", "ended"),
    CheckConstraint("seeds > 0 AND cohort > 0 AND cells > 0", "sizes"),
    CheckConstraint("trials = seeds * cells", "trials"),
    CheckConstraint("priority BETWEEN -100 AND 100", "priority"),
    Index("ix_sweeps_owner", "owner", "id"),
    CheckConstraint(f"stopped_when IS NULL OR {_in('stopped_when', WHEN)}", "stopped_when"),
    CheckConstraint(
        "(stopped_cohort IS NULL) = (stopped_when IS NULL)"
        " AND (stopped_cohort IS NULL OR stopped_cohort <= settled_cohorts)",
        "stopped_cohort",
    ),
)

extensions = Table(
    "extensions",
    metadata,
    _sweep(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("extended_at", UtcDateTime, nullable=False),
    Column("seeds_before", Integer, nullable=False),
    Column("seeds", Integer, nullable=False),
    Column("arms", JSON, nullable=False),
    Column("grid", JSON, nullable=False),
    Column("settled", Integer, nullable=False),
    Column("stopped_when", String(16)),
    Column("stopped_cohort", Integer),
    CheckConstraint("(stopped_cohort IS NULL) = (stopped_when IS NULL)", "stopped"),
)

plans_met = Table(
    "plans_met",
    metadata,
    _sweep(primary_key=True),
    Column("met_at", UtcDateTime, nullable=False),
    Column("content", JSON, nullable=False),
)

sweep_classes = Table(
    "sweep_classes",
    metadata,
    _sweep(primary_key=True),
    Column("class_id", ForeignKey("numerics_classes.id"), primary_key=True),
    Column("rank", Integer, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("owner", Text, primary_key=True, server_default=""),
    Column("key", String(255), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    _sweep(index=True),
)

arms = Table(
    "arms",
    metadata,
    _sweep(primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("overrides", JSON, nullable=False),
    Column("trials", Integer, nullable=False),
    _counter("running"),
    *(_counter(state) for state in END_STATES),
    *(_counter(f"settled_{state}") for state in END_STATES),
    UniqueConstraint("sweep", "name"),
    CheckConstraint("running >= 0", "running"),
    CheckConstraint(_COUNTED, "counted"),
)

settings = Table(
    "settings",
    metadata,
    _sweep(primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("values", JSON, nullable=False),
    Column("hash", String(32), nullable=False),
)

structures = Table(
    "structures",
    metadata,
    _sweep(primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("pack", JSON, nullable=False),
    Column("cells", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    _counter("position"),
    _counter("waiting"),
    CheckConstraint("position >= 0 AND position <= total", "position"),
    CheckConstraint("waiting >= 0", "waiting"),
)

cells = Table(
    "cells",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    _sweep(),
    Column("index", Integer, nullable=False),
    Column("arm", Integer, nullable=False),
    Column("setting", Integer, nullable=False),
    Column("structure", Integer, nullable=False),
    Column("place", Integer, nullable=False),
    Column("values", JSON, nullable=False),
    *(_counter(state) for state in END_STATES),
    *(_counter(f"settled_{state}") for state in END_STATES),
    UniqueConstraint("sweep", "index"),
    UniqueConstraint("sweep", "structure", "place"),
    ForeignKeyConstraint(["sweep", "arm"], ["arms.sweep", "arms.index"]),
    ForeignKeyConstraint(["sweep", "setting"], ["settings.sweep", "settings.index"]),
)

criteria = Table(
    "criteria",
    metadata,
    _sweep(primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("metric", Text, nullable=False),
    Column("comparison", String(8), nullable=False),
    Column("threshold", Float, nullable=False),
    Column("at", String(3), nullable=False),
    Column("primary", Integer, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("post_hoc", Integer, nullable=False, server_default="0"),
    Column("added_at", UtcDateTime),
    Index("ix_criteria_rule", "sweep", "metric", "comparison", "threshold", "at", unique=True),
    CheckConstraint("(version = 1) = (added_at IS NULL)", "added_at"),
    CheckConstraint("post_hoc IN (0, 1) AND (version > 1 OR post_hoc = 0)", "post_hoc"),
    CheckConstraint('version >= 1 AND (version = 1 OR "primary" = 0)', "version"),
    CheckConstraint(_in("comparison", ("at_most", "at_least")), "comparison"),
    CheckConstraint("at IN ('end', 'any')", "at"),
)

arm_successes = Table(
    "arm_successes",
    metadata,
    _sweep(primary_key=True),
    Column("arm", Integer, primary_key=True),
    Column("criterion", Integer, primary_key=True),
    _counter("arrived"),
    _counter("settled"),
    CheckConstraint("settled <= arrived", "settled"),
)

cell_successes = Table(
    "cell_successes",
    metadata,
    Column("cell", ForeignKey("cells.id", ondelete="CASCADE"), primary_key=True),
    Column("criterion", Integer, primary_key=True),
    _counter("arrived"),
    _counter("settled"),
    CheckConstraint("settled <= arrived", "settled"),
)

pair_counts = Table(
    "pair_counts",
    metadata,
    _sweep(primary_key=True),
    Column("criterion", Integer, primary_key=True),
    Column("arm", Integer, primary_key=True),
    Column("against", Integer, primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("sided", String(8), nullable=False),
    *(_counter(name) for name in (*PAIRED, *HALF_SEEN)),
    CheckConstraint(_in("sided", ("two", "greater", "less")), "sided"),
    CheckConstraint("arm <> against", "arm"),
)

cohort_pairs = Table(
    "cohort_pairs",
    metadata,
    _sweep(primary_key=True),
    Column("cohort", Integer, primary_key=True),
    Column("criterion", Integer, primary_key=True),
    Column("arm", Integer, primary_key=True),
    Column("against", Integer, primary_key=True),
    *(Column(name, Integer, nullable=False) for name in (*PAIRED, *HALF_SEEN)),
)

cohorts = Table(
    "cohorts",
    metadata,
    _sweep(primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("terminal", Integer, nullable=False),
)


def _partial(state: str, *columns: str) -> Index:
    """Over the few trials of one state, so that the many of the others cost nothing."""
    where = text(f"state = '{state}'")
    return Index(f"ix_trials_{state}", *columns, postgresql_where=where, sqlite_where=where)


trials = Table(
    "trials",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    _sweep(),
    Column("cell", ForeignKey("cells.id", ondelete="CASCADE"), nullable=False),
    Column("arm", Integer, nullable=False),
    Column("setting", Integer, nullable=False),
    Column("structure", Integer, nullable=False),
    Column("cohort", Integer, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    _counter("losses"),
    _counter("failures"),
    Column("worker", Text),
    Column("claimed_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("error", Text),
    Column("traceback", Text),
    UniqueConstraint("cell", "seed"),
    CheckConstraint(_in("state", TRIAL_STATES), "state"),
    CheckConstraint(f"({_in('state', END_STATES)}) = (ended_at IS NOT NULL)", "ended"),
    CheckConstraint("state <> 'running' OR worker IS NOT NULL", "worker"),
    CheckConstraint("state <> 'errored' OR error IS NOT NULL", "error"),
    CheckConstraint("attempt >= 1", "attempt"),
    CheckConstraint("losses >= 0", "losses"),
    CheckConstraint("failures >= 0 AND losses + failures <= attempt", "failures"),
    Index(
        "ix_trials_suspect",
        "sweep",
        "structure",
        "losses",
        postgresql_where=text(SUSPECTS),
        sqlite_where=text(SUSPECTS),
    ),
    _partial("waiting", "sweep", "structure", "cohort", "seed", "setting", "arm"),
    _partial("running", "id"),
    _partial("errored", "sweep", "id"),
    Index("ix_trials_cohort", "sweep", "cohort"),
    Index("ix_trials_page", "sweep", "id"),
)


def is_in(state: str) -> ColumnElement[bool]:
    """Whether a trial is in this state, in the words of the partial index over it.

    Raises:
        ValueError: there is no such state.
    """
    if state not in TRIAL_STATES:
        raise ValueError(f"{state!r} is no state of a trial; use one of {', '.join(TRIAL_STATES)}")
    return trials.c.state == literal_column(f"'{state}'")


def is_suspect() -> ColumnElement[bool]:
    """Whether a trial waits apart, in the words of the partial index over such trials."""
    return is_in("waiting") & (trials.c.losses >= literal_column(str(SUSPECT)))


outcomes = Table(
    "outcomes",
    metadata,
    Column("trial", ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True),
    Column("steps", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("class_id", ForeignKey("numerics_classes.id"), nullable=False),
    Column("curve", LargeBinary, nullable=False),
    Column("pack", Integer),
    Column("lane", Integer),
    Column("weights", JSON(none_as_null=True)),  # path, bytes and sha256 of those that were kept
)

replays = Table(
    "replays",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("trial", ForeignKey("trials.id", ondelete="CASCADE"), nullable=False, index=True),
    _sweep(index=True),
    Column("state", String(16), nullable=False),
    Column("losses", Integer, nullable=False, server_default="0"),
    Column("author", Text, nullable=False),
    Column("worker", Text),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("fingerprint", String(64)),
    Column("equal", Integer),
    Column("differs", Text),
    Column("error", Text),
    CheckConstraint(_in("state", ("waiting", "running", "done", "failed")), "state"),
    CheckConstraint("(state IN ('done', 'failed')) = (ended_at IS NOT NULL)", "ended"),
    CheckConstraint("(state = 'done') = (equal IS NOT NULL)", "equal"),
    CheckConstraint("equal IN (0, 1) AND (equal = 0) = (differs IS NOT NULL)", "differs"),
    CheckConstraint("(state = 'failed') = (error IS NOT NULL)", "error"),
    CheckConstraint("losses >= 0", "losses"),
    Index(
        "ix_replays_open",
        "id",
        postgresql_where=text(OPEN_REPLAYS),
        sqlite_where=text(OPEN_REPLAYS),
    ),
)

exclusions = Table(
    "exclusions",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    _sweep(),
    Column("worker", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("excluded_at", UtcDateTime, nullable=False),
    Column("trials", Integer, nullable=False),
    UniqueConstraint("sweep", "worker"),
    CheckConstraint("trials >= 0", "trials"),
)

excluded_trials = Table(
    "excluded_trials",
    metadata,
    Column("exclusion", ForeignKey("exclusions.id", ondelete="CASCADE"), primary_key=True),
    Column("trial", ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("attempt", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("steps", Integer),
    Column("fingerprint", String(64)),
    Column("metrics", Text, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("device", Text, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("trial", ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True),
    Column("metric", String(200), primary_key=True),
    Column("final", Float),
    Column("best", Float),
    Column("best_step", Integer),
    CheckConstraint("(best IS NULL) = (best_step IS NULL)", "best"),
)

successes = Table(
    "successes",
    metadata,
    Column("trial", ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True),
    Column("criterion", Integer, primary_key=True),
    Column("success", Integer, nullable=False),
    CheckConstraint("success IN (0, 1)", "success"),
)

widths = Table(
    "widths",
    metadata,
    Column("structure", String(32), primary_key=True),
    Column("class_id", String(64), primary_key=True),
    Column("level", Integer, primary_key=True),
    Column("lanes", Integer, nullable=False),
    Column("measured_at", UtcDateTime, nullable=False),
    CheckConstraint("lanes >= 1", "lanes"),
)

speeds = Table(
    "speeds",
    metadata,
    Column("structure", String(32), primary_key=True),
    Column("class_id", String(64), primary_key=True),
    Column("experiment", String(200), nullable=False),
    Column("lane_steps", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("measured_at", UtcDateTime, nullable=False),
    CheckConstraint("lane_steps >= 1", "lane_steps"),
    CheckConstraint("seconds > 0", "seconds"),
)

forecasts = Table(
    "forecasts",
    metadata,
    _sweep(primary_key=True),
    Column("told_at", UtcDateTime, nullable=False),
    Column("seconds", Float),
    Column("low_s", Float),
    Column("high_s", Float),
    Column("record", JSON, nullable=False),
    CheckConstraint("(low_s IS NULL) = (high_s IS NULL)", "interval"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

announcements = Table(
    "announcements",
    metadata,
    Column("name", String(64), primary_key=True),  # the lease's
    Column("holder", Text, nullable=False),
    Column("said_at", UtcDateTime, nullable=False),
    Column("content", JSON, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("scope", String(8), nullable=False),
    Column("hash", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    CheckConstraint(_in("scope", tuple(scope.value for scope in Scope)), "scope"),
    CheckConstraint("owner <> '' AND name <> ''", "named"),
)
#: deleted sweeps whose files may still lie in storage
leftovers = Table("leftovers", metadata, Column("sweep", String(32), primary_key=True))

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),  # a hash of what the cookie holds
    Column("key", ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    CheckConstraint("expires_at > created_at", "lasts"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("principal", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("action", String(40), nullable=False),
    Column("object", Text, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("request", Text, nullable=False),
    Column("address", Text, nullable=False),
    CheckConstraint(_in("outcome", ("done", "repeated", "refused")), "outcome"),
    Index("ix_audit_log_principal", "principal", "id"),
)
