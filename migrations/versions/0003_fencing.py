"""A write under the token of an owner that was replaced is refused by the database itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: Trigger -> when it fires.
FENCES = {
    "journal_fenced": "BEFORE INSERT ON journal",
    "checkpoints_fenced": "BEFORE INSERT ON checkpoints",
    "intents_fenced": "BEFORE INSERT ON intents",
    "intents_token_fenced": "BEFORE UPDATE OF token ON intents",
}
NEWEST = (
    "SELECT lease.token FROM lease JOIN sessions ON sessions.account_id = lease.account_id"
    " WHERE sessions.id = NEW.session_id"
)
REPLACED = "replaced by another runner"
FUNCTION = f"""CREATE FUNCTION refuse_replaced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE newest bigint;
BEGIN
  {NEWEST} INTO newest FOR SHARE OF lease;
  IF NEW.token < newest THEN
    RAISE EXCEPTION '{REPLACED}';
  END IF;
  RETURN NEW;
END $$"""


def upgrade() -> None:
    for table in ("checkpoints", "intents"):
        op.add_column(table, sa.Column("token", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("lease", sa.Column("until_s", sa.Double(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(FUNCTION)
        for name, when in FENCES.items():
            op.execute(f"CREATE TRIGGER {name} {when} FOR EACH ROW EXECUTE FUNCTION refuse_replaced()")
    else:
        for name, when in FENCES.items():
            refuse = f"WHEN NEW.token < ({NEWEST}) BEGIN SELECT RAISE(ABORT, '{REPLACED}'); END"
            op.execute(f"CREATE TRIGGER {name} {when} {refuse}")


def downgrade() -> None:
    on_server = op.get_bind().dialect.name == "postgresql"
    for name, when in FENCES.items():
        op.execute(f"DROP TRIGGER {name}" + (f" ON {when.rpartition(' ')[2]}" if on_server else ""))
    if on_server:
        op.execute("DROP FUNCTION refuse_replaced()")
    op.drop_column("lease", "until_s")
    for table in ("intents", "checkpoints"):
        op.drop_column(table, "token")
