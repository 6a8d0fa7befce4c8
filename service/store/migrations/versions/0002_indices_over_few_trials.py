"""indices over the few trials that wait, run or errored, instead of one over all of them

An ended trial leaves `waiting` and `running`, so that both stay as small as what is held; the index
that they replace grew with the sweep and moved at every claim and completion.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PARTIAL = {
    "waiting": ["sweep", "structure", "cohort", "seed", "setting", "arm"],
    "running": ["id"],
    "errored": ["sweep", "id"],
}


def upgrade() -> None:
    """To this version."""
    op.drop_index("ix_trials_queue", table_name="trials")
    for state, columns in PARTIAL.items():
        where = sa.text(f"state = '{state}'")
        op.create_index(
            f"ix_trials_{state}", "trials", columns, sqlite_where=where, postgresql_where=where
        )


def downgrade() -> None:
    """Back to the one before."""
    for state in PARTIAL:
        op.drop_index(f"ix_trials_{state}", table_name="trials")
    op.create_index("ix_trials_queue", "trials", ["sweep", "structure", "state"])
