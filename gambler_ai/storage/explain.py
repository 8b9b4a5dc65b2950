"""What a database says when something is wrong, in one line, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gambler_ai.errors import StorageError

_HELD = "another program holds it; try again, or see who: gambler-ai sessions list"
_DAMAGED = "it is not an SQLite database or is damaged; keep the file, and give another with --database-url"
_CROWDED = "the server has no connection left; this program needs three"
#: What is in a message -> advice; the first that fits. While connecting, Postgres has words only and no codes.
_ADVICE = (
    ("database is locked|database table is locked|lock timeout", _HELD),
    ("not a database|malformed", _DAMAGED),
    ("disk is full|No space left", "free some disk space, then --resume"),
    ("password|authentication", "check user and password: in the URL, in PGPASSWORD, or in ~/.pgpass"),
    ("pg_hba.conf", "the server does not admit this user from here: see its pg_hba.conf"),
    ('role ".*" does not exist', "check the user in the URL"),
    ('database ".*" does not exist', "create it first: createdb NAME"),
    ("permission denied|no schema has been selected", "the user needs CREATE on the database and on its schema"),
    ("too many (clients|connections)|connection slots", _CROWDED),
    ("read-only transaction", "this server is a standby: name the primary in the URL"),
    ("SSL|certificate", "see sslmode in the URL: ?sslmode=require"),
    ("resolve host|translate host name", "check the host in the URL"),
    ("connection|shutting down|starting up", "see that the server runs and can be reached; what is stored is safe"),
)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Whatever the database ``name`` says, in one line, without statement or parameters.

    Raises:
        StorageError: in place of whatever SQLAlchemy raised.
    """
    try:
        yield
    except DBAPIError as error:
        text = one_line(str(error.orig))
        raise StorageError(f"database {name}: {text}", hint=advice(text)) from error
    except SQLAlchemyError as error:
        raise StorageError(f"database {name}: {one_line(str(error))}") from error


def one_line(text: str) -> str:
    """The first line, without the words that psycopg and the server put in front of what happened."""
    first = (text.strip().splitlines() or ["no reason given"])[0].strip()
    for words in ("connection failed: ", "FATAL:  ", "ERROR:  "):
        first = first.replace(words, "", 1)
    return first


def advice(text: str) -> str:
    """What the user can do about it; "" when that is not known."""
    return next((what for found, what in _ADVICE if re.search(found, text)), "")
