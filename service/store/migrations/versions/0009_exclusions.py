"""workers that were excluded from a sweep, and what their trials had come to"""

import sqlalchemy as sa
from alembic import op

import service.store.types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    moment = service.store.types.UtcDateTime(timezone=True)
    op.create_table(
        "exclusions",
        sa.Column("id", identity, autoincrement=True, nullable=False),
        sa.Column("sweep", sa.String(length=32), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("excluded_at", moment, nullable=False),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.CheckConstraint("trials >= 0", name=op.f("ck_exclusions_trials")),
        sa.ForeignKeyConstraint(
            ["sweep"], ["sweeps.id"], name=op.f("fk_exclusions_sweep"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exclusions")),
        sa.UniqueConstraint("sweep", "worker", name=op.f("uq_exclusions_sweep_worker")),
    )
    op.create_table(
        "excluded_trials",
        sa.Column("exclusion", identity, nullable=False),
        sa.Column("trial", identity, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exclusion"],
            ["exclusions.id"],
            name=op.f("fk_excluded_trials_exclusion"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["trial"], ["trials.id"], name=op.f("fk_excluded_trials_trial"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("exclusion", "trial", name=op.f("pk_excluded_trials")),
    )
    op.create_index("ix_excluded_trials_trial", "excluded_trials", ["trial"])


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("excluded_trials")
    op.drop_table("exclusions")
