"""The first schema: sessions, lease, journal, intents, orders, fills, positions, trades, checkpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gambler_ai.storage.tables import Exact, Utc

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPEN = sa.text(
    "purpose = 'entry' AND status IN ('planned', 'unknown', 'working', 'partially_filled',"
    " 'pending_cancel', 'pending_replace', 'disputed')"
)


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("acquired_at", Utc(), nullable=False),
        sa.Column("until", Utc(), nullable=False),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_lease")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("broker", sa.String(length=32), nullable=False),
        sa.Column("trading_url", sa.String(length=255), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("symbols", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("initial_capital", Exact(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("end_reason", sa.Text(), nullable=False),
        sa.Column("started_at", Utc(), nullable=False),
        sa.Column("last_at", Utc(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("journal_hash", sa.String(length=64), nullable=False),
        sa.Column("checkpoints", sa.Integer(), nullable=False),
        sa.Column("closed_trades", sa.Integer(), nullable=False),
        sa.Column("realized_pnl", Exact(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_account_id"), "sessions", ["account_id"], unique=False)
    op.create_index(op.f("ix_sessions_created_at"), "sessions", ["created_at"], unique=False)
    op.create_table(
        "checkpoints",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("journal_hash", sa.String(length=64), nullable=False),
        sa.Column("state_version", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("portfolio_value", Exact(), nullable=False),
        sa.Column("equity", Exact(), nullable=False),
        sa.Column("buying_power", Exact(), nullable=False),
        sa.Column("cash", Exact(), nullable=False),
        sa.Column("active_positions", sa.Integer(), nullable=False),
        sa.Column("closed_trades", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_checkpoints_session_id")),
        sa.PrimaryKeyConstraint("session_id", "number", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "closed_trades",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position_id", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=32), nullable=False),
        sa.Column("qty", Exact(), nullable=False),
        sa.Column("entry_price", Exact(), nullable=False),
        sa.Column("entry_at", Utc(), nullable=False),
        sa.Column("exit_price", Exact(), nullable=True),
        sa.Column("exit_at", Utc(), nullable=False),
        sa.Column("pnl", Exact(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_closed_trades_session_id")),
        sa.PrimaryKeyConstraint("session_id", "number", name=op.f("pk_closed_trades")),
    )
    op.create_table(
        "discrepancies",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.String(length=128), nullable=False),
        sa.Column("ours", sa.Text(), nullable=False),
        sa.Column("broker", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_discrepancies_session_id")),
        sa.PrimaryKeyConstraint("session_id", "seq", "number", name=op.f("pk_discrepancies")),
    )
    op.create_table(
        "intents",
        sa.Column("client_order_id", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("decision_id", sa.String(length=255), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=32), nullable=False),
        sa.Column("qty", Exact(), nullable=False),
        sa.Column("stop_price", Exact(), nullable=True),
        sa.Column("target_price", Exact(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("decided_at", Utc(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_intents_session_id")),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_intents")),
        sa.UniqueConstraint("account_id", "session_id", "decision_id", "attempt", name="uq_intents_decision"),
    )
    op.create_index("ix_intents_session_id", "intents", ["session_id"], unique=False)
    op.create_index(
        "uq_intents_open_entry",
        "intents",
        ["account_id", "symbol"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "journal",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_journal_session_id")),
        sa.PrimaryKeyConstraint("session_id", "seq", name=op.f("pk_journal")),
    )
    op.create_table(
        "positions",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("qty", Exact(), nullable=False),
        sa.Column("side", sa.String(length=32), nullable=False),
        sa.Column("avg_entry_price", Exact(), nullable=False),
        sa.Column("entry_at", Utc(), nullable=False),
        sa.Column("stop_price", Exact(), nullable=True),
        sa.Column("target_price", Exact(), nullable=True),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("position_id", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_positions_session_id")),
        sa.PrimaryKeyConstraint("session_id", "symbol", name=op.f("pk_positions")),
    )
    op.create_table(
        "orders",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("client_order_id", sa.String(length=128), nullable=False),
        sa.Column("intent_id", sa.String(length=64), nullable=False),
        sa.Column("parent_id", sa.String(length=64), nullable=True),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=32), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("order_class", sa.String(length=32), nullable=False),
        sa.Column("qty", Exact(), nullable=False),
        sa.Column("filled_qty", Exact(), nullable=False),
        sa.Column("filled_avg_price", Exact(), nullable=True),
        sa.Column("booked_qty", Exact(), nullable=False),
        sa.Column("limit_price", Exact(), nullable=True),
        sa.Column("stop_price", Exact(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("broker_status", sa.String(length=32), nullable=False),
        sa.Column("submitted_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.client_order_id"], name=op.f("fk_orders_intent_id")),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_orders_session_id")),
        sa.PrimaryKeyConstraint("session_id", "order_id", name=op.f("pk_orders")),
    )
    op.create_table(
        "fills",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("activity_id", sa.String(length=128), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=32), nullable=False),
        sa.Column("qty", Exact(), nullable=False),
        sa.Column("price", Exact(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id", "order_id"], ["orders.session_id", "orders.order_id"], name="fk_fills_order"
        ),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_fills_session_id")),
        sa.PrimaryKeyConstraint("session_id", "activity_id", name=op.f("pk_fills")),
    )


def downgrade() -> None:
    op.drop_table("fills")
    op.drop_table("orders")
    op.drop_table("positions")
    op.drop_table("journal")
    op.drop_index(
        "uq_intents_open_entry",
        table_name="intents",
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.drop_index("ix_intents_session_id", table_name="intents")
    op.drop_table("intents")
    op.drop_table("discrepancies")
    op.drop_table("closed_trades")
    op.drop_table("checkpoints")
    op.drop_index(op.f("ix_sessions_created_at"), table_name="sessions")
    op.drop_index(op.f("ix_sessions_account_id"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_table("lease")
