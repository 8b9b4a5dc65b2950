"""A connection to Postgres: durable, watched by both ends, and clear about what is wrong with it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from gambler_ai.errors import ConfigError, StorageError
from gambler_ai.storage.database import Database
from tests.databases import postgres_only
from tests.postgres import PASSWORD, ROLE, Server

pytestmark = [postgres_only, pytest.mark.usefixtures("backend")]


@pytest.fixture
def name(migrated_url: str) -> str:
    return sa.make_url(migrated_url).database or ""


@pytest.fixture
def remote(postgres: Server, name: str) -> Iterator[Database]:
    """Over TCP."""
    database = Database(postgres.tcp_url(name))
    yield database
    database.close()


def setting(database: Database, name: str) -> str:
    with database.write() as db:
        return str(db.execute(sa.text(f"SHOW {name}")).scalar())


def test_commits_last_whatever_the_server_was_told(url, postgres):
    name = sa.make_url(url).database
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    database = Database(url)
    assert setting(database, "synchronous_commit") == "on"
    database.close()
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = remote_apply")
    database = Database(url)
    assert setting(database, "synchronous_commit") == "remote_apply", "more than on is left as it is"
    database.close()


def test_both_ends_notice_when_the_other_is_gone(remote):
    assert {n: setting(remote, f"tcp_keepalives_{n}") for n in ("idle", "interval", "count")} == {
        "idle": "10", "interval": "5", "count": "3",
    }  # fmt: skip
    with remote.read() as db:
        raw = db.connection.dbapi_connection
        assert raw is not None
        with socket.socket(fileno=socket.dup(raw.fileno())) as ours:
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10


def test_what_the_url_says_wins(postgres, name):
    database = Database(f"{postgres.tcp_url(name)}?application_name=mine&connect_timeout=3")
    assert setting(database, "application_name") == "mine"
    database.close()


def test_writers_and_readers_are_isolated_as_they_need(remote):
    assert setting(remote, "transaction_isolation") == "read committed"
    with remote.read() as db:
        assert db.execute(sa.text("SHOW transaction_isolation")).scalar() == "repeatable read"
        assert db.execute(sa.text("SHOW transaction_read_only")).scalar() == "on"


def test_a_connection_that_ended_while_it_was_idle_is_not_used(remote, postgres, name):
    with remote.write() as db:
        pid = db.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    postgres.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    with remote.write() as db:
        assert db.execute(sa.text("SELECT pg_backend_pid()")).scalar_one() != pid


def test_a_connection_that_ends_in_a_transaction_is_told(remote, postgres):
    def cut_off() -> None:
        with remote.write() as db:
            pid = db.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
            postgres.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
            db.execute(sa.text("SELECT 1"))

    with pytest.raises(StorageError, match="terminating connection") as caught:
        cut_off()
    assert "what is stored is safe" in caught.value.hint


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_name_of_it_is_known(url, scheme):
    database = Database(url.replace("postgresql+psycopg", scheme))
    assert database.revision() is None
    database.close()


# -- what is wrong with it, in one line -------------------------------------------------------------


def refused(database: Database) -> StorageError:
    with pytest.raises(StorageError) as caught:
        database.prepare()
    database.close()
    assert "\n" not in caught.value.message
    assert PASSWORD not in caught.value.message + caught.value.hint
    assert caught.value.hint
    return caught.value


def test_a_wrong_password_is_told_and_not_shown(postgres, name):
    error = refused(Database(postgres.tcp_url(name, "s3cr3t")))
    assert f'password authentication failed for user "{ROLE}"' in error.message
    assert "PGPASSWORD" in error.hint
    assert "s3cr3t" not in error.message
    assert "FATAL" not in error.message


def test_a_password_is_hidden_wherever_it_stands_in_the_url():
    for url in ("postgresql://u:s3cr3t@h/d", "postgresql://u@h/d?password=s3cr3t&sslpassword=s3cr3t"):
        assert "s3cr3t" not in Database.shown(url)
        assert "s3cr3t" not in Database(url).name


def test_a_server_that_is_not_there(postgres):
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        error = refused(Database(f"postgresql://u:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}/d"))
    assert "Connection refused" in error.message
    assert "--database-url" not in error.hint


def test_a_server_that_does_not_answer_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = refused(Database(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=2"))
    assert "timeout expired" in error.message


@pytest.mark.parametrize(
    ("change", "says", "advice"),
    [
        ({"database": "nowhere"}, 'database "nowhere" does not exist', "createdb"),
        ({"username": "nobody-of-ours"}, "authentication failed", "user and password"),
        ({"host": "nowhere.invalid"}, "nowhere.invalid", "host"),
    ],
    ids=["database", "user", "host"],
)
def test_a_place_that_is_not_there_is_named(postgres, name, change, says, advice):
    url = sa.make_url(postgres.tcp_url(name)).set(**change)
    error = refused(Database(url.render_as_string(hide_password=False)))
    assert says in error.message
    assert advice in error.hint


def test_a_server_without_a_free_connection(postgres, name):
    postgres.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
    error = refused(Database(postgres.tcp_url(name)))
    postgres.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
    assert "too many connections" in error.message
    assert "three" in error.hint


def test_a_database_that_cannot_store_every_text_is_refused(postgres):
    postgres.execute("CREATE DATABASE ascii_only TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    error = refused(Database(postgres.url("ascii_only")))
    assert postgres.execute("SELECT * FROM pg_tables WHERE schemaname = 'public'", database="ascii_only") == []
    postgres.drop("ascii_only")
    assert "stores text as SQL_ASCII" in error.message


def test_a_standby_is_refused(name, postgres):
    with postgres.standby():
        error = refused(Database(postgres.url(name)))
    assert "is a standby" in error.message
    assert "primary" in error.hint


def test_without_the_driver_the_extra_is_named():
    code = (
        "import sys; sys.modules['psycopg'] = None; sys.argv[1:1] = ['sessions', 'list', '--database-url']\n"
        "from gambler_ai.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "postgresql+psycopg://u:s3cr3t@h/d"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == ConfigError.exit_code
    assert done.stderr.splitlines() == [
        "error: database postgresql+psycopg://u:***@h/d needs the driver psycopg, which is not installed",
        "       install the extra: pip install 'gambler-ai[postgres]'",
    ]
