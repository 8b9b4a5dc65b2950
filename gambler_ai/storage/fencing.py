"""The fence in the database itself: what an owner writes that was replaced is refused, whatever our code thinks.

A row of the journal, a checkpoint, an intent and a structure carry the token that they are written under. One below
the token of the account's lease is not taken (RECOVERY_PROTOCOL 2.2). On Postgres the lease's row is locked while that
is looked at, so that nobody can take over between the look and the commit; on SQLite there is one writer at a time.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

#: What the database says when it refuses.
REPLACED = "replaced by another runner"

#: Trigger -> when it fires.
_FENCES = {
    "journal_fenced": "BEFORE INSERT ON journal",
    "checkpoints_fenced": "BEFORE INSERT ON checkpoints",
    "intents_fenced": "BEFORE INSERT ON intents",
    "intents_token_fenced": "BEFORE UPDATE OF token ON intents",
    "components_fenced": "BEFORE INSERT ON components",
    "archive_fenced": "BEFORE INSERT ON archive",
    "structures_fenced": "BEFORE INSERT ON structures",
    "structures_token_fenced": "BEFORE UPDATE OF token ON structures",
}
_NEWEST = (
    "SELECT lease.token FROM lease JOIN sessions ON sessions.account_id = lease.account_id"
    " WHERE sessions.id = NEW.session_id"
)
_FUNCTION = f"""CREATE FUNCTION refuse_replaced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE newest bigint;
BEGIN
  {_NEWEST} INTO newest FOR SHARE OF lease;
  IF NEW.token < newest THEN
    RAISE EXCEPTION '{REPLACED}';
  END IF;
  RETURN NEW;
END $$"""


def create(db: Connection) -> None:
    """Put the fence around tables that were just made."""
    if db.dialect.name == "postgresql":
        db.exec_driver_sql(_FUNCTION)
        refuse = "FOR EACH ROW EXECUTE FUNCTION refuse_replaced()"
    else:
        refuse = f"WHEN NEW.token < ({_NEWEST}) BEGIN SELECT RAISE(ABORT, '{REPLACED}'); END"
    for name, when in _FENCES.items():
        db.exec_driver_sql(f"CREATE TRIGGER {name} {when} {refuse}")
