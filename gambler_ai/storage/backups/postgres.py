"""Postgres's own tools: `pg_dump` for a backup, `pg_restore` and `psql` for the way back.

The password is in the environment of the child, never among its arguments, which everybody on the machine can read.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from gambler_ai import crashpoints, secrecy
from gambler_ai.core.text import one_line
from gambler_ai.errors import ConfigError, SessionLeased, StorageError
from gambler_ai.storage.database import Database

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
#: Parts of a connection that are not for the tools, or not for arguments.
_KEPT_BACK = frozenset({"password", "client_encoding", "application_name"})
_SAID_MAX = 300
#: Wall seconds that a restore waits for a runner's transaction.
_WAIT_S = 10
#: What the server says when somebody was quicker than a restore.
TAKEN = "an account was taken by another runner during the restore"
#: Lines of a dump's contents that make the schema itself, which is there.
_OF_SCHEMA = re.compile(r"\d+; \d+ \d+ (SCHEMA|COMMENT|ACL) - ")


class Tools(NamedTuple):
    """How the tools are started: where they are looked for, and the rest of their environment."""

    env: Mapping[str, str]

    def path(self, name: str) -> str:
        """Where one of them is.

        Raises:
            ConfigError: nowhere.
        """
        found = shutil.which(name, path=self.env.get("PATH"))
        if found is None:
            raise ConfigError(
                f"a backup of Postgres needs {name}, which is not on the PATH",
                hint="install the client programs of your server's version (postgresql-client)",
            )
        return found

    def version(self, name: str) -> int:
        """Its major version."""
        said = self.run([self.path(name), "--version"], {})
        found = _VERSION.search(said)
        if found is None:
            raise StorageError(f"{name} does not say what it is: {one_line(said, _SAID_MAX)}")
        return int(found[1])

    def run(self, command: Sequence[str], secrets: Mapping[str, str]) -> str:
        """Run one to its end. Returns what it printed.

        Raises:
            StorageError: it failed, with the last line that it said.
        """
        done = subprocess.run(
            command, env={**self.env, **secrets}, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
            first = next((line for line in said if "error" in line.lower()), said[-1])
            raise StorageError(f"{Path(command[0]).name} failed: {secrecy.masked(one_line(first, _SAID_MAX))}")
        return done.stdout.decode("utf-8", "replace")


def connection(database: Database) -> tuple[str, dict[str, str]]:
    """How libpq's programs reach a database: a connection string, and what of it is only for their environment."""
    given = database.url.translate_connect_args(username="user", database="dbname") | dict(database.url.query)
    password = given.get("password")
    texts = {n: ",".join(v) if isinstance(v, tuple) else str(v) for n, v in given.items() if n not in _KEPT_BACK}
    text = " ".join(f"{name}='{_escaped(value)}'" for name, value in sorted(texts.items()))
    return text, {} if password is None else {"PGPASSWORD": str(password)}


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def server_version(db: sa.Connection) -> int:
    """The server's major version."""
    return int(db.execute(sa.text("SHOW server_version_num")).scalar_one()) // 10_000


def refuse_older(tools: Tools, name: str, server: int, what: str) -> None:
    """Refuse a tool that does not know what a newer server has.

    Raises:
        ConfigError.
    """
    found = tools.version(name)
    if found < server:
        raise ConfigError(
            f"{name} is of version {found} and {what} of version {server}: an older one cannot read a newer",
            hint=f"put the client programs of version {server} or later first on the PATH",
        )


def dump_command(program: str, where: str, schema: str, snapshot: str, target: Path) -> list[str]:
    """`pg_dump` of one schema, as it is in an exported snapshot, in its own compressed format."""
    return [
        program, "--format=custom", f"--schema={_exact(schema)}", f"--snapshot={snapshot}", "--no-owner",
        "--no-privileges", "--lock-wait-timeout=10000", f"--file={target}", f"--dbname={where}",
    ]  # fmt: skip


def _exact(name: str) -> str:
    """A name as a pattern that nothing else matches."""
    return '"' + name.replace('"', '""') + '"'


def script_command(program: str, dump: Path, contents: Path, target: Path) -> list[str]:
    """`pg_restore` of what is listed in ``contents`` into a script; it reads all of the dump."""
    options = ["--no-owner", "--no-privileges", f"--use-list={contents}", f"--file={target}"]
    return [program, *options, str(dump)]


def apply_command(program: str, where: str, scripts: Sequence[Path]) -> list[str]:
    """`psql` of several scripts in one transaction, which the first error ends."""
    files = [part for script in scripts for part in ("--file", str(script))]
    return [
        program, "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
        *files, f"--dbname={where}",
    ]  # fmt: skip


def write_script(path: Path, statements: Iterable[str]) -> None:
    """Statements as a script that only its owner reads."""
    path.touch(0o600)
    path.write_text("".join(f"{statement};\n" for statement in statements), "utf-8")


def schema_of(db: sa.Connection) -> str:
    """Where our tables are."""
    return str(db.execute(sa.text("SELECT current_schema()")).scalar_one())


def dump(database: Database, db: sa.Connection, tools: Tools, target: Path) -> str:
    """Dump what the transaction of ``db`` sees. Returns what the server is.

    Raises:
        ConfigError: the tool is not there, or too old.
        StorageError: it failed.
    """
    version = server_version(db)
    refuse_older(tools, "pg_dump", version, "the server is")
    where, secrets = connection(database)
    snapshot = str(db.execute(sa.text("SELECT pg_export_snapshot()")).scalar_one())
    target.touch(0o600)
    tools.run(dump_command(tools.path("pg_dump"), where, schema_of(db), snapshot, target), secrets)
    crashpoints.hit("copy.inside")
    return f"PostgreSQL {version}"


def checked(tools: Tools, dump: Path, script: Path) -> None:
    """Read all of a dump, as a script into ``script``.

    Raises:
        StorageError: it cannot be read.
    """
    program = tools.path("pg_restore")
    listed = tools.run([program, "--list", str(dump)], {}).splitlines()
    contents = script.with_suffix(".list")
    for path in (script, contents):
        path.touch(0o600)
    contents.write_text("\n".join(line for line in listed if not _OF_SCHEMA.match(line)))
    tools.run(script_command(program, dump, contents, script), {})


def free_schema(db: sa.Connection, stem: str) -> str:
    """A name that no schema has yet."""
    taken = set(sa.inspect(db).get_schema_names())
    return next(name for name in (stem, *(f"{stem}_{n}" for n in range(2, 1_000))) if name not in taken)


def clear(db: sa.Connection, kept: str) -> list[str]:
    """The statements that move every table and function of ours from the present schema into ``kept``."""
    quoted = db.dialect.identifier_preparer.quote
    tables = sorted(sa.inspect(db).get_table_names())
    if not tables:
        return []
    source = quoted(schema_of(db))
    moves = [f"ALTER TABLE {source}.{quoted(name)} SET SCHEMA {quoted(kept)}" for name in tables]
    return [
        f"CREATE SCHEMA {quoted(kept)}", *moves,
        f"ALTER FUNCTION {source}.refuse_replaced() SET SCHEMA {quoted(kept)}",
    ]  # fmt: skip


def fence(database: Database, statement: str, check: Callable[[], None]) -> None:
    """Run a statement on a database that is to be replaced. ``check`` is asked in its transaction."""
    with database.write() as db:
        db.execute(sa.text(statement))  # it has the rows of the leases from here on
        check()


def guard(schema: str, proofs: Sequence[str]) -> list[str]:
    """The statements that go first: nobody takes an account from here to the commit, and nobody has since we looked.

    ``proofs`` are conditions (`ServerLock.proof`) that our locks are still ours.
    """
    prefix = f'"{schema}".'
    whole = " AND ".join([f"NOT EXISTS (SELECT 1 FROM {prefix}lease WHERE NOT released)", *proofs])  # noqa: S608
    return [
        f"SET LOCAL lock_timeout = '{_WAIT_S}s'", f"LOCK TABLE {prefix}lease IN ACCESS EXCLUSIVE MODE",
        f"DO $guard$ BEGIN IF NOT ({whole}) THEN RAISE EXCEPTION '{TAKEN}'; END IF; END $guard$",
    ]  # fmt: skip


def apply(database: Database, tools: Tools, scripts: Sequence[Path]) -> None:
    """Run scripts in one transaction: all of them, or nothing.

    Raises:
        SessionLeased: what `guard` holds does not hold; nothing was changed.
        StorageError: nothing was changed.
    """
    where, secrets = connection(database)
    crashpoints.hit("restore.before_rename")
    try:
        tools.run(apply_command(tools.path("psql"), where, scripts), secrets)
    except StorageError as error:
        if TAKEN not in error.message:
            raise
        raise SessionLeased(TAKEN, hint="nothing was changed; stop whoever trades it, then restore") from error
    crashpoints.hit("restore.after_rename")
