"""criteria have versions, so that one that was added later says so

Those that exist were submitted with their sweeps: version 1, not post hoc.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

COLUMNS = {
    "version": """INTEGER DEFAULT 1 NOT NULL
        CONSTRAINT ck_criteria_version CHECK (version >= 1 AND (version = 1 OR "primary" = 0))""",
    "post_hoc": """INTEGER DEFAULT 0 NOT NULL
        CONSTRAINT ck_criteria_post_hoc
        CHECK (post_hoc IN (0, 1) AND (version > 1 OR post_hoc = 0))""",
    "added_at": """{moment}
        CONSTRAINT ck_criteria_added_at CHECK ((version = 1) = (added_at IS NULL))""",
}


def upgrade() -> None:
    """To this version; in plain SQL, since SQLite would drop a copied table with its children."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    moment = "TIMESTAMP WITH TIME ZONE" if postgresql else "DATETIME"
    op.execute("ALTER TABLE sweeps ADD COLUMN criteria_version INTEGER DEFAULT 1 NOT NULL")
    for name, what in COLUMNS.items():
        op.execute(f"ALTER TABLE criteria ADD COLUMN {name} {what.format(moment=moment)}")
    rule = ["sweep", "metric", "comparison", "threshold", "at"]
    op.create_index("ix_criteria_rule", "criteria", rule, unique=True)


def downgrade() -> None:
    """Back to the one before."""
    op.drop_index("ix_criteria_rule", table_name="criteria")
    for name in reversed(COLUMNS):
        op.execute(f"ALTER TABLE criteria DROP COLUMN {name}")
    op.execute("ALTER TABLE sweeps DROP COLUMN criteria_version")
