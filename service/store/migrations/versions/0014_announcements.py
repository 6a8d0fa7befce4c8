"""the active dispatcher says of itself what those who serve requests need to know"""

import sqlalchemy as sa
from alembic import op

from service.store.types import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "announcements",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("said_at", UtcDateTime(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_announcements")),
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("announcements")
