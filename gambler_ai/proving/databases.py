"""Databases of our own on a Postgres server, one a world. What is there already is neither read nor touched."""

from __future__ import annotations

import secrets
import threading
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

from gambler_ai.errors import ConfigError
from gambler_ai.proving.books import libpq_url
from gambler_ai.storage.database import Database

#: Every name begins with it.
PREFIX = "gambler_verify"


class Databases:
    """Made from one that has our schema, and dropped. Any thread may ask."""

    def __init__(self, url: str) -> None:
        """``url`` names a server and a database on it that we may connect to, as a role that may create others.

        Raises:
            ConfigError: it is not Postgres, or the role may not.
            StorageError: the server cannot be reached.
        """
        if urlsplit(url).scheme.partition("+")[0] not in ("postgres", "postgresql"):
            raise ConfigError(
                "verify-crash takes a Postgres URL; SQLite files it makes itself, in a folder of its own",
                hint="leave --database-url out, or name a server: postgresql+psycopg://user@host/postgres",
            )
        self._url = url
        self._name = Database.shown(url)
        self._lock = threading.Lock()
        self._stem = f"{PREFIX}_{secrets.token_hex(4)}"
        self._made: set[str] = set()
        self._count = 0
        with closing(Database(url)) as probe, probe.read():
            pass  # it says in one line what is wrong with it
        self._refuse_unless_allowed()
        self._template = self._create("template0")
        with closing(Database(self._url_of(self._template))) as template:
            template.prepare()

    def make(self) -> str:
        """The URL of a database with our schema that nobody has used."""
        return self._url_of(self._create(self._template))

    def drop(self, url: str) -> None:
        """One of ours is not needed any more, whoever still uses it."""
        name = urlsplit(url).path.lstrip("/")
        with self._lock:
            if name in self._made:
                self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
                self._made.discard(name)

    def close(self) -> None:
        """Drop what is left."""
        for name in sorted(self._made):
            with suppress(ConfigError):
                self.drop(self._url_of(name))

    def _create(self, template: str) -> str:
        with self._lock:
            self._count += 1
            name = f"{self._stem}_{self._count}"
            self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            self._made.add(name)
        return name

    def _url_of(self, name: str) -> str:
        scheme, _, rest = self._url.partition("://")
        host, _, tail = rest.partition("/")
        _, mark, query = tail.partition("?")
        return f"{scheme}://{host}/{name}{mark}{query}"

    def _refuse_unless_allowed(self) -> None:
        [(role, may)] = self._execute(
            "SELECT rolname::text, rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
        )
        if not may:
            raise ConfigError(
                f"role {role} may not create databases on {self._name}, and verify-crash uses none but its own",
                hint=f'let it: ALTER ROLE "{role}" CREATEDB; or leave --database-url out, for SQLite',
            )

    def _execute(self, statement: str) -> list[Any]:
        import psycopg

        try:
            with psycopg.connect(libpq_url(self._url), autocommit=True) as db:
                cursor = db.execute(statement.encode())
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            text = " ".join(str(error).split())
            raise ConfigError(f"{self._name}: {text}", hint="verify-crash makes databases of its own there") from error
