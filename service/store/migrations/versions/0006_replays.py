"""replays of trials, and what came of them"""

import sqlalchemy as sa
from alembic import op

import service.store.types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('waiting', 'running')")


def upgrade() -> None:
    """To this version."""
    identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    moment = service.store.types.UtcDateTime(timezone=True)
    op.create_table(
        "replays",
        sa.Column("id", identity, autoincrement=True, nullable=False),
        sa.Column("trial", identity, nullable=False),
        sa.Column("sweep", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("losses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("requested_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("equal", sa.Integer(), nullable=True),
        sa.Column("differs", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed')", name=op.f("ck_replays_state")
        ),
        sa.CheckConstraint(
            "(state IN ('done', 'failed')) = (ended_at IS NOT NULL)", name=op.f("ck_replays_ended")
        ),
        sa.CheckConstraint("(state = 'done') = (equal IS NOT NULL)", name=op.f("ck_replays_equal")),
        sa.CheckConstraint(
            "equal IN (0, 1) AND (equal = 0) = (differs IS NOT NULL)",
            name=op.f("ck_replays_differs"),
        ),
        sa.CheckConstraint(
            "(state = 'failed') = (error IS NOT NULL)", name=op.f("ck_replays_error")
        ),
        sa.CheckConstraint("losses >= 0", name=op.f("ck_replays_losses")),
        sa.ForeignKeyConstraint(
            ["sweep"], ["sweeps.id"], name=op.f("fk_replays_sweep"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["trial"], ["trials.id"], name=op.f("fk_replays_trial"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replays")),
    )
    op.create_index("ix_replays_trial", "replays", ["trial"])
    op.create_index("ix_replays_sweep", "replays", ["sweep"])
    op.create_index("ix_replays_open", "replays", ["id"], sqlite_where=OPEN, postgresql_where=OPEN)


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("replays")
