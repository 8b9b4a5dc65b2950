"""Which databases a test runs on."""

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

BACKENDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]

#: For what only one of them has: a file with a mode and pragmas; a server with connections.
sqlite_only = pytest.mark.parametrize("backend", BACKENDS[:1])
postgres_only = pytest.mark.parametrize("backend", BACKENDS[1:])
#: The same way through the program on both; the rooms that know the difference are tried on both at each commit.
postgres_at_night = pytest.mark.parametrize(
    "backend", ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.nightly])]
)


def refuse(db: Connection, verb: str, table: str, says: str) -> None:
    """From here on the database itself refuses to INSERT into a table, or to UPDATE it."""
    if db.dialect.name == "sqlite":
        statements = [f"CREATE TRIGGER refuse BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{says}'); END"]
    else:
        body = f"BEGIN RAISE EXCEPTION '{says}'; END"
        statements = [
            f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            f"CREATE TRIGGER refuse BEFORE {verb} ON {table} EXECUTE FUNCTION refuse()",
        ]
    for statement in statements:
        db.execute(sa.text(statement))
