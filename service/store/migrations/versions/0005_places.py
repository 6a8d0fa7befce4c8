"""where a trial ran: its pack, its lane, its worker's device

Of outcomes that exist it is not known.
"""

import sqlalchemy as sa
from alembic import op

import service.store.types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "workers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("seen_at", service.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )
    op.execute("ALTER TABLE outcomes ADD COLUMN pack INTEGER")
    op.execute("ALTER TABLE outcomes ADD COLUMN lane INTEGER")


def downgrade() -> None:
    """Back to the one before."""
    op.execute("ALTER TABLE outcomes DROP COLUMN lane")
    op.execute("ALTER TABLE outcomes DROP COLUMN pack")
    op.drop_table("workers")
