"""pairs are counted as cohorts settle, and a sweep may stop before its plan

Settled cohorts of sweeps that exist are counted here, once, as they would have been.
"""

from collections import Counter

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COUNTED = (
    "both", "only_a", "only_b", "neither", "a_won", "a_lost", "b_won", "b_lost", "missing",
)  # fmt: skip
PLACE = {
    (1, 1): "both", (1, 0): "only_a", (0, 1): "only_b", (0, 0): "neither",
    (1, 2): "a_won", (0, 2): "a_lost", (2, 1): "b_won", (2, 0): "b_lost", (2, 2): "missing",
}  # fmt: skip

VERDICTS = """
WITH met AS (
  SELECT c."index" AS criterion, t.cohort, t.arm,
    CASE WHEN t.state IN ('finished', 'left', 'diverged') THEN coalesce(s.success, 0) ELSE 2 END
      AS a,
    max(CASE WHEN t.arm = :against THEN
      CASE WHEN t.state IN ('finished', 'left', 'diverged') THEN coalesce(s.success, 0) ELSE 2 END
    END) OVER (PARTITION BY c."index", t.setting, t.seed) AS b
  FROM trials t
  JOIN criteria c ON c.sweep = t.sweep
  LEFT JOIN successes s ON s.trial = t.id AND s.criterion = c."index"
  WHERE t.sweep = :sweep AND t.cohort < :settled
)
SELECT criterion, cohort, arm, a, b, count(*) AS n FROM met WHERE arm <> :against
GROUP BY criterion, cohort, arm, a, b
"""


def upgrade() -> None:
    """To this version.

    Columns in plain SQL: Alembic's batch would copy and drop the table on SQLite, and the drop
    would take every trial with it by ON DELETE CASCADE.
    """
    op.execute("ALTER TABLE sweeps ADD COLUMN stop JSON")
    op.execute(
        "ALTER TABLE sweeps ADD COLUMN stopped_when VARCHAR(16) "
        "CONSTRAINT ck_sweeps_stopped_when "
        "CHECK (stopped_when IS NULL OR stopped_when IN ('evidence', 'futile'))"
    )
    op.execute(
        "ALTER TABLE sweeps ADD COLUMN stopped_cohort INTEGER "
        "CONSTRAINT ck_sweeps_stopped_cohort "
        "CHECK ((stopped_cohort IS NULL) = (stopped_when IS NULL) "
        "AND (stopped_cohort IS NULL OR stopped_cohort <= settled_cohorts))"
    )
    counts = _create("pair_counts", ["criterion", "arm", "against"], "0", rank=True)
    by_cohort = _create("cohort_pairs", ["cohort", "criterion", "arm", "against"], None)
    _fill(counts, by_cohort)


def _create(name: str, keys: list[str], default: str | None, *, rank: bool = False) -> sa.Table:
    ranked: list[sa.schema.SchemaItem] = [
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("sided", sa.String(length=8), nullable=False),
        sa.CheckConstraint("arm <> against", name=op.f(f"ck_{name}_arm")),
        sa.CheckConstraint("sided IN ('two', 'greater', 'less')", name=op.f(f"ck_{name}_sided")),
    ]
    return op.create_table(
        name,
        sa.Column("sweep", sa.String(length=32), nullable=False),
        *(sa.Column(key, sa.Integer(), nullable=False) for key in keys),
        *(ranked if rank else []),
        *(sa.Column(c, sa.Integer(), server_default=default, nullable=False) for c in COUNTED),
        sa.ForeignKeyConstraint(
            ["sweep"], ["sweeps.id"], name=op.f(f"fk_{name}_sweep"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sweep", *keys, name=op.f(f"pk_{name}")),
    )


def _fill(counts: sa.Table, by_cohort: sa.Table) -> None:
    connection = op.get_bind()
    sweeps = sa.table(
        "sweeps",
        sa.column("id", sa.String()),
        sa.column("spec", sa.JSON()),
        sa.column("settled_cohorts", sa.Integer()),
    )
    names = sa.text('SELECT name, "index" FROM arms WHERE sweep = :sweep ORDER BY "index"')
    rules = sa.text('SELECT "index", "primary" FROM criteria WHERE sweep = :sweep')
    for sweep in connection.execute(sa.select(*sweeps.c)).all():
        contrast = sweep.spec["contrast"]
        if contrast is None:
            continue
        here = {"sweep": sweep.id}
        arms: dict[str, int] = {r[0]: r[1] for r in connection.execute(names, here)}
        first, against = arms[contrast["arm"]], arms[contrast["against"]]
        order = [first, *(a for a in arms.values() if a not in (first, against))]
        which = here | {"against": against, "settled": sweep.settled_cohorts}
        found: dict[tuple[int, int, int], Counter[str]] = {}
        for criterion, cohort, arm, a, b, n in connection.execute(sa.text(VERDICTS), which):
            found.setdefault((cohort, criterion, arm), Counter())[PLACE[a, b]] += n
        totals: dict[tuple[int, int], Counter[str]] = {}
        for (_, criterion, arm), n in found.items():
            totals.setdefault((criterion, arm), Counter()).update(n)
        common = {"sweep": sweep.id, "against": against}
        rows = [
            common
            | {"criterion": criterion, "arm": arm, "rank": rank}
            | {"sided": contrast["sided"] if primary and rank == 0 else "two"}
            | {c: totals.get((criterion, arm), Counter())[c] for c in COUNTED}
            for criterion, primary in connection.execute(rules, here).all()
            for rank, arm in enumerate(order)
        ]
        if rows:
            connection.execute(counts.insert(), rows)
        each = [
            common | {"cohort": k[0], "criterion": k[1], "arm": k[2]} | {c: n[c] for c in COUNTED}
            for k, n in sorted(found.items())
        ]
        if each:
            connection.execute(by_cohort.insert(), each)


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("cohort_pairs")
    op.drop_table("pair_counts")
    op.execute("ALTER TABLE sweeps DROP COLUMN stopped_cohort")
    op.execute("ALTER TABLE sweeps DROP COLUMN stopped_when")
    op.execute("ALTER TABLE sweeps DROP COLUMN stop")
