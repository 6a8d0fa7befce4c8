"""finished sweeps may be extended: how they were, and what stood at their first plan

A stop rule is judged after more than `judged_after` settled cohorts: 0 of sweeps never extended.
"""

import sqlalchemy as sa
from alembic import op

from service.store.types import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.execute("ALTER TABLE sweeps ADD COLUMN judged_after INTEGER DEFAULT 0 NOT NULL")
    op.create_table(
        "extensions",
        sa.Column("sweep", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("extended_at", UtcDateTime(), nullable=False),
        sa.Column("seeds_before", sa.Integer(), nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=False),
        sa.Column("arms", sa.JSON(), nullable=False),
        sa.Column("grid", sa.JSON(), nullable=False),
        sa.Column("settled", sa.Integer(), nullable=False),
        sa.Column("stopped_when", sa.String(length=16), nullable=True),
        sa.Column("stopped_cohort", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "(stopped_cohort IS NULL) = (stopped_when IS NULL)", name=op.f("ck_extensions_stopped")
        ),
        sa.ForeignKeyConstraint(
            ["sweep"], ["sweeps.id"], name=op.f("fk_extensions_sweep"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sweep", "number", name=op.f("pk_extensions")),
    )
    op.create_table(
        "plans_met",
        sa.Column("sweep", sa.String(length=32), nullable=False),
        sa.Column("met_at", UtcDateTime(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sweep"], ["sweeps.id"], name=op.f("fk_plans_met_sweep"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sweep", name=op.f("pk_plans_met")),
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("plans_met")
    op.drop_table("extensions")
    op.execute("ALTER TABLE sweeps DROP COLUMN judged_after")
