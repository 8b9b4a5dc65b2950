"""What a database says when something is wrong, in one line, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gambler_ai.errors import DatabaseOutage, SessionLeased, StorageError
from gambler_ai.storage.fencing import REPLACED

_HELD = "another program holds it; try again, or see who: gambler-ai sessions list"
_DAMAGED = "it is not an SQLite database or is damaged; keep the file, and give another with --database-url"
_CROWDED = "the server has no connection left; this program needs three"
#: What is in a message -> advice; the first that fits. While connecting, Postgres has words only and no codes.
_ADVICE = (
    (_LOCKED := "database is locked|database table is locked|lock timeout", _HELD),
    ("not a database|malformed", _DAMAGED),
    ("disk is full|No space left", "free some disk space, then --resume"),
    ("disk I/O error|could not (write|extend|fsync)", "look at the disk, and at the system's log"),
    ("readonly database", "see who owns the file, and whether its disk is mounted read-only"),
    ("unable to open", "see that the file and its folder are there and can be written"),
    ("password|authentication", "check user and password: in the URL, in PGPASSWORD, or in ~/.pgpass"),
    ("pg_hba.conf", "the server does not admit this user from here: see its pg_hba.conf"),
    ('role ".*" does not exist', "check the user in the URL"),
    ('database ".*" does not exist', "create it first: createdb NAME"),
    ("permission denied|no schema has been selected", "the user needs CREATE on the database and on its schema"),
    ("too many (clients|connections)|connection slots", _CROWDED),
    ("read-only transaction", "this server is a standby: name the primary in the URL"),
    ("certificate|SSL (?!SYSCALL|connection has)", "see sslmode in the URL: ?sslmode=require"),
    ("resolve host|translate host name", "check the host in the URL"),
    ("connection|shutting down|starting up|SSL", "see that the server runs and can be reached; what is stored is safe"),
)

#: SQLite's result codes for what may pass: busy, locked, read-only, I/O error, full, cannot open, protocol.
_PASSING = frozenset({5, 6, 8, 10, 13, 14, 15})
#: The same of Postgres: classes of SQLSTATE (connection, resources, operator, system), and single ones
#: (lock not available, read-only transaction).
_PASSING_CLASSES, _PASSING_STATES = ("08", "53", "57P", "58"), frozenset({"55P03", "25006", "25P03"})
#: While connecting there are words only. What a person has to mend comes first.
#: TLS names itself as well where a connection only broke off.
_BROKE_OFF = "SSL SYSCALL error|SSL connection has been closed|unexpected eof"
_MENDED = (
    rf"password|authentication|pg_hba.conf|does not exist|permission denied|^(?!.*({_BROKE_OFF})).*SSL|certificate"
)
_AWAY = "connect|shutting down|starting up|timeout expired|closed|terminat|No space left|too many clients|recovery mode"


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Whatever the database ``name`` says, in one line, without statement or parameters.

    Raises:
        DatabaseOutage: it may work again by itself.
        SessionLeased: the database has refused a write under an old token.
        StorageError: in place of whatever else SQLAlchemy raised.
    """
    try:
        yield
    except DBAPIError as error:
        text = one_line(str(error.orig))
        if text == REPLACED:
            raise SessionLeased("this runner was replaced by another one; nothing was written") from error
        if error.connection_invalidated or _may_pass(error.orig, text):
            is_lock = re.search(_LOCKED, text) is not None
            raise DatabaseOutage(f"database {name}: {text}", hint=advice(text), is_lock=is_lock) from error
        raise StorageError(f"database {name}: {text}", hint=advice(text)) from error
    except SQLAlchemyError as error:
        raise StorageError(f"database {name}: {one_line(str(error))}") from error


def _may_pass(error: BaseException | None, text: str) -> bool:
    """Whether it is the database that is away, rather than something that we did, or that rots."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _PASSING
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return state.startswith(_PASSING_CLASSES) or state in _PASSING_STATES
    is_operational = type(error).__name__ == "OperationalError"  # of either driver, neither of which is imported here
    return is_operational and not re.search(_MENDED, text) and re.search(_AWAY, text) is not None


def one_line(text: str) -> str:
    """The first line, without the words that psycopg and the server put in front of what happened."""
    first = (text.strip().splitlines() or ["no reason given"])[0].strip()
    for words in ("connection failed: ", "FATAL:  ", "ERROR:  "):
        first = first.replace(words, "", 1)
    return first


def advice(text: str) -> str:
    """What the user can do about it; "" when that is not known."""
    return next((what for found, what in _ADVICE if re.search(found, text)), "")
