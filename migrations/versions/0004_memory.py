"""What components remember, blobs named by their content; older rows of a long history, compressed; leverage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gambler_ai.storage.tables import Exact, Utc

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: Table -> its fence: a writer that was replaced adds nothing here either (0003).
FENCED = {"components": "components_fenced", "archive": "archive_fenced"}
NEWEST = (
    "SELECT lease.token FROM lease JOIN sessions ON sessions.account_id = lease.account_id"
    " WHERE sessions.id = NEW.session_id"
)
REPLACED = "replaced by another runner"


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blobs")),
    )
    op.create_table(
        "components",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(length=32), nullable=False),
        sa.Column("libraries", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("set_aside", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_components_session_id")),
        sa.PrimaryKeyConstraint("session_id", "name", "number", name=op.f("pk_components")),
    )
    op.create_index("ix_components_account", "components", ["account_id", "name"], unique=False)
    op.create_table(
        "archive",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("begin_at", Utc(), nullable=False),
        sa.Column("end_at", Utc(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_archive_session_id")),
        sa.PrimaryKeyConstraint("session_id", "kind", "first", name=op.f("pk_archive")),
    )
    op.add_column("closed_trades", sa.Column("leverage", Exact(), nullable=True))
    on_server = op.get_bind().dialect.name == "postgresql"
    for table, fence in FENCED.items():
        refuse = f"WHEN NEW.token < ({NEWEST}) BEGIN SELECT RAISE(ABORT, '{REPLACED}'); END"
        call = "FOR EACH ROW EXECUTE FUNCTION refuse_replaced()"
        op.execute(f"CREATE TRIGGER {fence} BEFORE INSERT ON {table} {call if on_server else refuse}")


def downgrade() -> None:
    on_server = op.get_bind().dialect.name == "postgresql"
    for table, fence in FENCED.items():
        op.execute(f"DROP TRIGGER {fence}" + (f" ON {table}" if on_server else ""))
    op.drop_column("closed_trades", "leverage")
    op.drop_table("archive")
    op.drop_index("ix_components_account", table_name="components")
    op.drop_table("components")
    op.drop_table("blobs")
