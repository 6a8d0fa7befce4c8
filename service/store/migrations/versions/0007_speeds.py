"""how fast structures trained here"""

import sqlalchemy as sa
from alembic import op

import service.store.types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "speeds",
        sa.Column("structure", sa.String(length=32), nullable=False),
        sa.Column("class_id", sa.String(length=64), nullable=False),
        sa.Column("experiment", sa.String(length=200), nullable=False),
        sa.Column("lane_steps", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("measured_at", service.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint("lane_steps >= 1", name=op.f("ck_speeds_lane_steps")),
        sa.CheckConstraint("seconds > 0", name=op.f("ck_speeds_seconds")),
        sa.PrimaryKeyConstraint("structure", "class_id", name=op.f("pk_speeds")),
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("speeds")
