"""whose sweep it is and how it is to be treated: owner, priority, labels, note

Sweeps that exist are nobody's, of ordinary priority, without labels or note.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS = {
    "owner": "TEXT DEFAULT '' NOT NULL",
    "priority": "INTEGER DEFAULT 0 NOT NULL "
    "CONSTRAINT ck_sweeps_priority CHECK (priority BETWEEN -100 AND 100)",
    "labels": "JSON DEFAULT '[]' NOT NULL",
    "note": "TEXT DEFAULT '' NOT NULL",
}


def upgrade() -> None:
    """To this version; in plain SQL, since SQLite would drop a copied table with its children."""
    for name, what in COLUMNS.items():
        op.execute(f"ALTER TABLE sweeps ADD COLUMN {name} {what}")
    op.create_index("ix_sweeps_owner", "sweeps", ["owner", "id"])


def downgrade() -> None:
    """Back to the one before: owners, priorities, labels and notes are lost."""
    op.drop_index("ix_sweeps_owner", table_name="sweeps")
    for name in reversed(COLUMNS):
        op.execute(f"ALTER TABLE sweeps DROP COLUMN {name}")
