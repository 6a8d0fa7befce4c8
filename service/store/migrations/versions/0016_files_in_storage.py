"""outcomes say which weights were kept; files of deleted sweeps are left to be removed"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.add_column("outcomes", sa.Column("weights", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "leftovers",
        sa.Column("sweep", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("sweep", name=op.f("pk_leftovers")),
    )


def downgrade() -> None:
    """Back to the one before; files that were left are then nobody's."""
    op.drop_table("leftovers")
    op.drop_column("outcomes", "weights")
