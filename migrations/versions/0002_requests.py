"""What people ask of a running session, and what a day's limits are counted by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gambler_ai.storage.tables import Utc

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("argument", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.String(length=255), nullable=False),
        sa.Column("asked_at", Utc(), nullable=False),
        sa.Column("taken_at", Utc(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_requests_session_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
    )
    op.create_index("ix_requests_open", "requests", ["session_id", "taken_at"], unique=False)
    op.add_column("intents", sa.Column("market_day", sa.String(length=32), nullable=True))
    op.create_index("ix_intents_day", "intents", ["account_id", "market_day"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_intents_day", table_name="intents")
    op.drop_column("intents", "market_day")
    op.drop_index("ix_requests_open", table_name="requests")
    op.drop_table("requests")
