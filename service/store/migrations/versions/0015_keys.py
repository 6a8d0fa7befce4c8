"""API keys; Idempotency-Keys are each owner's own

Those that exist were sent where nobody was asked who they are.
"""

import sqlalchemy as sa
from alembic import op

from service.store.types import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("scope IN ('read', 'submit', 'admin')", name=op.f("ck_api_keys_scope")),
        sa.CheckConstraint("owner <> '' AND name <> ''", name=op.f("ck_api_keys_named")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    with op.batch_alter_table("idempotency") as batch:
        batch.add_column(sa.Column("owner", sa.Text(), nullable=False, server_default=""))
        batch.drop_constraint("pk_idempotency", type_="primary")
        batch.create_primary_key("pk_idempotency", ["owner", "key"])


def downgrade() -> None:
    """Back to the one before: keys are lost, and Idempotency-Keys of owners."""
    op.execute("DELETE FROM idempotency WHERE owner <> ''")
    with op.batch_alter_table("idempotency") as batch:
        batch.drop_constraint("pk_idempotency", type_="primary")
        batch.create_primary_key("pk_idempotency", ["key"])
        batch.drop_column("owner")
    op.drop_table("api_keys")
