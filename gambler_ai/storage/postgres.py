"""What a connection to Postgres needs: a deadline, an end that is noticed, commits that last, and no pooler between."""

from __future__ import annotations

import select
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DisconnectionError

from gambler_ai.errors import StorageError

DRIVER = "postgresql+psycopg"
#: Names of the scheme that mean the same database.
SCHEMES = frozenset({"postgres", "postgresql", DRIVER})

#: libpq's own: wall seconds until a server that does not answer is given up, and a dead network is noticed.
_CONNECT: dict[str, str | int] = {
    "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 25_000, "application_name": "gambler-ai",
    "client_encoding": "utf8",
}  # fmt: skip

#: The server's, for our session. Without its keepalives a machine that vanished would hold its lock for two hours.
_SESSION = """
SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
  set_config('tcp_keepalives_count', '3', false), set_config('lock_timeout', '4s', false),
  set_config('idle_in_transaction_session_timeout', '60s', false),
  CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END
"""


def create_engine(url: sa.URL) -> Engine:
    """An engine for a Postgres ``url``; what the URL says itself wins over our settings.

    Raises:
        ImportError: the driver is not installed.
    """
    given = {name: value for name, value in _CONNECT.items() if name not in url.query}
    engine = sa.create_engine(url, hide_parameters=True, isolation_level="READ COMMITTED", connect_args=given)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "checkout", _on_checkout)
    return engine


def has_word(connection: Any) -> bool:
    """Whether the server has said something on a connection that asked nothing: most likely that it has ended."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _on_connect(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SESSION)
    connection.commit()


def _on_checkout(connection: Any, _record: object, _proxy: object) -> None:
    """Only a connection that still lives leaves the pool; unlike a ping, to see that costs no round trip."""
    if connection.closed or has_word(connection):
        raise DisconnectionError


def check(db: Connection, name: str) -> None:
    """Refuse a server that would not keep what we write.

    Raises:
        StorageError: it cannot store every text, or it only reads.
    """
    encoding = db.execute(sa.text("SHOW server_encoding")).scalar()
    if encoding != "UTF8":
        raise StorageError(f"{name} stores text as {encoding}", hint="create a database with ENCODING 'UTF8'")
    if db.execute(sa.text("SELECT pg_is_in_recovery()")).scalar():
        raise StorageError(f"{name} is a standby", hint="name the primary in the URL")
