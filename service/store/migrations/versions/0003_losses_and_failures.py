"""lost workers and raised attempts are counted, each by itself

Until now both were read off the attempt number, which clean restarts moved too. Of rows that exist
it is only known that one with a traceback raised once at least.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SUSPECTS = "state = 'waiting' AND losses >= 2"


def upgrade() -> None:
    """To this version.

    In plain SQL: Alembic's batch would copy and drop the table on SQLite, and the drop would take
    every outcome with it by ON DELETE CASCADE.
    """
    op.execute(
        "ALTER TABLE trials ADD COLUMN losses INTEGER DEFAULT 0 NOT NULL "
        "CONSTRAINT ck_trials_losses CHECK (losses >= 0)"
    )
    op.execute(
        "ALTER TABLE trials ADD COLUMN failures INTEGER DEFAULT 0 NOT NULL "
        "CONSTRAINT ck_trials_failures CHECK (failures >= 0 AND losses + failures <= attempt)"
    )
    op.execute("UPDATE trials SET failures = 1 WHERE traceback IS NOT NULL")
    where = sa.text(SUSPECTS)
    op.create_index(
        "ix_trials_suspect",
        "trials",
        ["sweep", "structure", "losses"],
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_index("ix_trials_suspect", table_name="trials")
    op.execute("ALTER TABLE trials DROP COLUMN failures")
    op.execute("ALTER TABLE trials DROP COLUMN losses")
