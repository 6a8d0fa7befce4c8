"""widths that measured best are remembered"""

import sqlalchemy as sa
from alembic import op

import service.store.types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "widths",
        sa.Column("structure", sa.String(length=32), nullable=False),
        sa.Column("class_id", sa.String(length=64), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("lanes", sa.Integer(), nullable=False),
        sa.Column("measured_at", service.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint("lanes >= 1", name=op.f("ck_widths_lanes")),
        sa.PrimaryKeyConstraint("structure", "class_id", "level", name=op.f("pk_widths")),
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("widths")
