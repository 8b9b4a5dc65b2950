"""Option structures: a row each, which stays when it has ended; what belongs to one names it; scans are counted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from gambler_ai.storage.tables import Exact, Utc

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

#: Trigger -> when it fires: a writer that was replaced changes nothing here either (0003).
FENCES = {
    "structures_fenced": "BEFORE INSERT ON structures",
    "structures_token_fenced": "BEFORE UPDATE OF token ON structures",
}
NEWEST = (
    "SELECT lease.token FROM lease JOIN sessions ON sessions.account_id = lease.account_id"
    " WHERE sessions.id = NEW.session_id"
)
REPLACED = "replaced by another runner"
#: Table -> the columns that it gains.
NEW: dict[str, list[tuple[str, sa.types.TypeEngine[Any], str | None]]] = {
    "sessions": [("iteration", sa.BigInteger(), "0")],
    "intents": [("structure_id", sa.String(length=64), None)],
    "positions": [("structure_id", sa.String(length=64), None), ("greeks", sa.Text(), None)],
    "closed_trades": [("multiplier", sa.Integer(), "1"), ("structure_id", sa.String(length=64), None)],
}


def upgrade() -> None:
    op.create_table(
        "structures",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("structure_id", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("underlying", sa.String(length=32), nullable=False),
        sa.Column("sector", sa.Text(), nullable=False),
        sa.Column("legs", sa.Text(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("entry_price", Exact(), nullable=False),
        sa.Column("stop_price", Exact(), nullable=True),
        sa.Column("target_price", Exact(), nullable=True),
        sa.Column("max_loss", Exact(), nullable=True),
        sa.Column("max_profit", Exact(), nullable=True),
        sa.Column("confidence", Exact(), nullable=True),
        sa.Column("exits", sa.Text(), nullable=False),
        sa.Column("greeks", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cash", Exact(), nullable=False),
        sa.Column("filled", sa.Boolean(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("opened_at", Utc(), nullable=False),
        sa.Column("ended_at", Utc(), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_structures_session_id")),
        sa.PrimaryKeyConstraint("session_id", "structure_id", name=op.f("pk_structures")),
    )
    op.create_index("ix_structures_open", "structures", ["session_id", "ended_at"], unique=False)
    for table, columns in NEW.items():
        for name, kind, default in columns:
            op.add_column(table, sa.Column(name, kind, server_default=default, nullable=default is None))
    on_server = op.get_bind().dialect.name == "postgresql"
    for fence, when in FENCES.items():
        refuse = f"WHEN NEW.token < ({NEWEST}) BEGIN SELECT RAISE(ABORT, '{REPLACED}'); END"
        call = "FOR EACH ROW EXECUTE FUNCTION refuse_replaced()"
        op.execute(f"CREATE TRIGGER {fence} {when} {call if on_server else refuse}")


def downgrade() -> None:
    on_server = op.get_bind().dialect.name == "postgresql"
    for fence in FENCES:
        op.execute(f"DROP TRIGGER {fence}" + (" ON structures" if on_server else ""))
    for table, columns in NEW.items():
        for name, _kind, _default in columns:
            op.drop_column(table, name)
    op.drop_index("ix_structures_open", table_name="structures")
    op.drop_table("structures")
