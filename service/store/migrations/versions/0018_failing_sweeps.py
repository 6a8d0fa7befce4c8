"""how the first trials of a sweep died, of one that was paused for it"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.execute("ALTER TABLE sweeps ADD COLUMN failing TEXT")


def downgrade() -> None:
    """Back to the one before; sweeps that are paused for it stay paused."""
    op.execute("ALTER TABLE sweeps DROP COLUMN failing")
