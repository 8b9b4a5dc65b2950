"""The command lines for Postgres's own programs: complete, of the right version, and without a secret."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gambler_ai.errors import ConfigError, StorageError
from gambler_ai.storage.backups import postgres
from gambler_ai.storage.backups.postgres import Tools
from gambler_ai.storage.database import Database

URL = "postgresql+psycopg://me:ge%27heim@db.example:5433/books?sslmode=require&password=geheim2"


def program(folder: Path, name: str, says: str, code: int = 0) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}' >&{2 if code else 1}\nexit {code}\n")
    path.chmod(0o755)


def test_a_password_is_in_the_environment_and_in_no_argument():
    with closing(Database(URL)) as database:
        where, secrets = postgres.connection(database)
    assert where == "dbname='books' host='db.example' port='5433' sslmode='require' user='me'"
    assert list(secrets) == ["PGPASSWORD"]
    command = postgres.dump_command("pg_dump", where, "public", "7-1", Path("/x"))
    command += postgres.apply_command("psql", where, [Path("/a"), Path("/b")])
    assert "heim" not in " ".join(command)
    assert f"--dbname={where}" in command


def test_the_commands_are_complete():
    assert postgres.dump_command("pg_dump", "c", 'od"d', "7-1", Path("/x")) == [
        "pg_dump", "--format=custom", '--schema="od""d"', "--snapshot=7-1", "--no-owner", "--no-privileges",
        "--lock-wait-timeout=10000", "--file=/x", "--dbname=c",
    ]  # fmt: skip
    assert postgres.apply_command("psql", "c", [Path("/a"), Path("/b")]) == [
        "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
        "--file", "/a", "--file", "/b", "--dbname=c",
    ]  # fmt: skip


def test_a_program_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="needs pg_dump, which is not on the PATH"):
        Tools({"PATH": str(tmp_path)}).path("pg_dump")


@pytest.mark.parametrize(("found", "refused"), [("15.18 (Debian 15.18-0)", True), ("18.4", False), ("19devel", False)])
def test_an_older_program_than_the_server_is_refused(tmp_path: Path, found: str, refused: bool):
    program(tmp_path, "pg_dump", f"pg_dump (PostgreSQL) {found}")
    tools = Tools({"PATH": f"{tmp_path}:/bin:/usr/bin"})
    if refused:
        with pytest.raises(ConfigError, match="pg_dump is of version 15 and the server is of version 18"):
            postgres.refuse_older(tools, "pg_dump", 18, "the server is")
    else:
        postgres.refuse_older(tools, "pg_dump", 18, "the server is")


def test_what_a_program_says_when_it_fails_is_told_in_one_line(tmp_path: Path):
    program(tmp_path, "psql", "psql: error: no such thing", 2)
    tools = Tools({"PATH": f"{tmp_path}:/bin:/usr/bin"})
    with pytest.raises(StorageError, match="psql failed: psql: error: no such thing"):
        tools.run([tools.path("psql")], {})
