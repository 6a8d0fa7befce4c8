"""when a sweep will have ended, as told last"""

import sqlalchemy as sa
from alembic import op

import service.store.types

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "forecasts",
        sa.Column("sweep", sa.String(length=32), nullable=False),
        sa.Column("told_at", service.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("low_s", sa.Float(), nullable=True),
        sa.Column("high_s", sa.Float(), nullable=True),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "(low_s IS NULL) = (high_s IS NULL)", name=op.f("ck_forecasts_interval")
        ),
        sa.ForeignKeyConstraint(
            ["sweep"], ["sweeps.id"], name=op.f("fk_forecasts_sweep"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sweep", name=op.f("pk_forecasts")),
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("forecasts")
