"""Opening a database: private, durable, ours; and what is said when it is not."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import StatementError

from gambler_ai.errors import ConfigError, SchemaMismatch, StorageError
from gambler_ai.storage.database import Database
from gambler_ai.storage.tables import SCHEMA_HEAD, Exact, Utc
from tests.databases import BACKENDS, sqlite_only
from tests.unit.fakes import AT

nano = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**15), max_value=10**15)
LONG_AGO = datetime(1000, 1, 1)  # noqa: DTZ001 (hypothesis wants it so)


@pytest.fixture(scope="module", params=BACKENDS)
def values(request):
    """A table with one column of each of our types."""
    url = "sqlite://"
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        url = server.url(server.create(migrated=False))
    engine = sa.create_engine(url)
    table = sa.Table(
        "v", sa.MetaData(), sa.Column("n", sa.Integer, primary_key=True), sa.Column("d", Exact), sa.Column("at", Utc)
    )
    table.create(engine)
    with engine.connect() as db:
        yield db, table
    engine.dispose()


def there_and_back(values, **row):
    db, table = values
    db.execute(table.delete())
    db.execute(table.insert(), {"n": 1, **row})
    return db.execute(sa.select(table)).one()


@given(number=nano)
def test_a_decimal_of_nine_places_comes_back_exactly(values, number):
    assert there_and_back(values, d=number, at=None).d == number


@pytest.mark.parametrize("text", ["0.1", "1E+3", "-0", "123456789012345.123456789", "1E-9"])
def test_a_decimal_is_kept_as_digits(values, text):
    found = there_and_back(values, d=Decimal(text), at=None).d
    assert found == Decimal(text)
    assert isinstance(found, Decimal)
    kept_as = {"sqlite": "SELECT typeof(d) FROM v", "postgresql": "SELECT pg_typeof(d)::text FROM v"}
    db = values[0]
    assert db.exec_driver_sql(kept_as[db.dialect.name]).scalar() in ("text", "numeric")


def test_nothing_is_nothing(values):
    assert there_and_back(values, d=None, at=None)[1:] == (None, None)


@given(st.datetimes(timezones=st.timezones(), allow_imaginary=False).filter(lambda d: 2 < d.year < 9998))
def test_an_instant_comes_back_as_the_same_instant_in_utc(values, instant):
    found = there_and_back(values, d=None, at=instant).at
    assert found == instant.astimezone(UTC)
    assert found.tzinfo == UTC


def test_an_instant_without_a_zone_is_refused(values):
    naive = AT.replace(tzinfo=None)
    with pytest.raises(StatementError, match="without a time zone"):
        there_and_back(values, d=None, at=naive)


@given(st.lists(st.datetimes(timezones=st.just(UTC), min_value=LONG_AGO), min_size=2, max_size=5))
def test_instants_sort_in_the_database_as_they_do_in_time(values, instants):
    db, table = values
    db.execute(table.delete())
    db.execute(table.insert(), [{"n": i, "at": t, "d": None} for i, t in enumerate(instants)])
    assert list(db.execute(sa.select(table.c.at).order_by(table.c.at)).scalars()) == sorted(instants)


def test_other_databases_get_numbers_and_zones():
    from sqlalchemy.dialects import postgresql

    dialect = postgresql.dialect()
    east = datetime(2008, 10, 7, 16, tzinfo=timezone(timedelta(hours=2)))
    assert Exact().process_bind_param(Decimal("1.5"), dialect) == Decimal("1.5")
    assert Utc().process_bind_param(east, dialect) == datetime(2008, 10, 7, 14, tzinfo=UTC)
    assert Utc().process_result_value(east, dialect) == AT
    assert "NUMERIC(30, 9)" in str(Exact().compile(dialect))
    assert "WITH TIME ZONE" in str(Utc().compile(dialect))


# -- the file -------------------------------------------------------------------------------------


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=["umask 000", "umask 022", "umask 077"])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@sqlite_only
def test_files_and_folder_are_private_whatever_the_umask(umask, url, tmp_path):
    database = Database(url)
    database.prepare()
    with database.write() as db:
        db.execute(sa.text("CREATE TABLE x (y integer)"))
        found = {p.name: mode(p) for p in (tmp_path / "state").iterdir()}
    assert set(found) >= {"gambler.sqlite3", "gambler.sqlite3-wal", "gambler.sqlite3-shm"}
    assert set(found.values()) == {0o600}
    assert mode(tmp_path / "state") == 0o700
    database.close()


@sqlite_only
def test_a_file_of_ours_that_others_may_read_is_made_private(database, tmp_path):
    path = tmp_path / "state" / "gambler.sqlite3"
    path.chmod(0o644)
    database.prepare()
    assert mode(path) == 0o600


def test_a_file_that_is_away_is_not_made_anew_beside_its_log(tmp_path):
    """SQLite deletes the log of a file that is new: whoever put the old one back would find it without its rows."""
    path, log = tmp_path / "gone.sqlite3", tmp_path / "gone.sqlite3-wal"
    log.write_bytes(b"what was last stored")
    with pytest.raises(StorageError, match="is gone and its log is still there") as caught:
        Database(f"sqlite:///{path}")
    assert str(path) in (caught.value.hint or "")
    assert not path.exists()
    path.touch()
    with pytest.raises(StorageError, match="is gone and its log is still there"):
        Database(f"sqlite:///{path}")
    assert log.read_bytes() == b"what was last stored"


def test_a_link_is_refused(tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StorageError, match="is a symbolic link"):
        Database(f"sqlite:///{tmp_path / 'link'}")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="is a symbolic link"):
        Database(f"sqlite:///{tmp_path / 'dangling'}")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["folder", "file/below"])
def test_a_path_that_can_be_no_file_is_told_in_one_line(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be opened") as caught:
        Database(f"sqlite:///{tmp_path / name}")
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "^'nonsense' is not a database URL$"),
        ("", "^'' is not a database URL$"),
        ("u:geheim@h", "^the database URL is not a database URL$"),
        ("nosuch://x", "cannot be used"),
        ("mysql://u:geheim@h/d", "cannot be used"),
    ],
)
def test_a_url_that_cannot_be_used_is_the_users_to_mend(url, says):
    with pytest.raises(ConfigError, match=says) as caught:
        Database(url)
    assert "\n" not in caught.value.message
    assert "geheim" not in str(caught.value)


def test_the_name_has_no_password():
    assert Database("sqlite://").name == "sqlite://"


def test_a_database_in_memory_has_no_file():
    database = Database("sqlite:///:memory:")
    assert database.path is None
    database.close()


# -- durability -----------------------------------------------------------------------------------


@sqlite_only
def test_each_connection_is_durable_and_says_so(database):
    with database.write() as db:
        read = {p: db.execute(sa.text(f"PRAGMA {p}")).scalar() for p in ("journal_mode", "synchronous", "foreign_keys")}
    assert read == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.check()


@sqlite_only
@pytest.mark.parametrize(
    ("pragma", "value"), [("synchronous", 1), ("synchronous", 0), ("foreign_keys", 0), ("busy_timeout", 1)]
)
def test_a_database_that_would_lose_a_commit_is_refused(database, pragma, value):
    def weaken(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA {pragma}={value}")

    database.close()
    sa.event.listen(database.engine, "connect", weaken)
    with pytest.raises(StorageError, match=f"{pragma} is {value} and not"):
        database.check()


def test_a_write_is_whole_or_nothing(database):
    with database.write() as db:
        db.execute(sa.text("CREATE TABLE x (y integer)"))

    def half() -> None:
        with database.write() as db:
            db.execute(sa.text("INSERT INTO x VALUES (1)"))
            raise KeyError

    with pytest.raises(KeyError):
        half()
    with database.read() as db:
        assert db.execute(sa.text("SELECT count(*) FROM x")).scalar() == 0


def test_a_reader_does_not_keep_a_writer_out_and_sees_one_moment(database):
    with database.write() as db:
        db.execute(sa.text("CREATE TABLE x (y integer)"))
    with database.read() as reader:
        assert reader.execute(sa.text("SELECT count(*) FROM x")).scalar() == 0
        with database.write() as writer:
            writer.execute(sa.text("INSERT INTO x VALUES (1)"))
        assert reader.execute(sa.text("SELECT count(*) FROM x")).scalar() == 0
    with database.read() as reader:
        assert reader.execute(sa.text("SELECT count(*) FROM x")).scalar() == 1


# -- whose database it is -------------------------------------------------------------------------


def test_an_empty_database_becomes_ours_once(url):
    database = Database(url)
    assert database.revision() is None
    with pytest.raises(SchemaMismatch, match=f"has schema none, this program needs {SCHEMA_HEAD}"):
        database.check()
    database.prepare()
    assert database.revision() == SCHEMA_HEAD
    database.prepare()
    database.close()


@sqlite_only
def test_tables_of_others_are_refused_and_left_exactly_as_they_are(url, tmp_path):
    path = tmp_path / "state" / "gambler.sqlite3"
    path.parent.mkdir()
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE customers (name)")
    theirs.close()
    path.chmod(0o644)
    before = path.read_bytes()
    database = Database(url)
    with pytest.raises(SchemaMismatch, match=r"holds other tables \(customers\), not ours"):
        database.prepare()
    database.close()
    assert path.read_bytes() == before
    assert mode(path) == 0o644


@sqlite_only
def test_a_database_of_ours_that_lost_its_write_ahead_log_gets_it_back(database, url, tmp_path):
    database.close()
    with sqlite3.connect(tmp_path / "state" / "gambler.sqlite3") as db:
        db.execute("PRAGMA journal_mode=delete")
    db.close()
    again = Database(url)
    again.prepare()
    again.close()


@sqlite_only
def test_a_file_with_a_transaction_left_half_way_by_a_power_cut_is_read(database, tmp_path):
    """Without a write-ahead log, as when the file is made: the next one to open it has to undo that first."""
    database.close()
    with closing(sqlite3.connect(database.path, isolation_level=None)) as writer:
        for statement in ("journal_mode=delete", "cache_size=2", "synchronous=2"):
            writer.execute(f"PRAGMA {statement}")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("CREATE TABLE others AS WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n"
                       " WHERE i < 200) SELECT hex(randomblob(900)) AS text FROM n")  # fmt: skip
        journal = Path(f"{database.path}-journal")
        assert journal.stat().st_size > 0
        cut = tmp_path / "cut.sqlite3"
        cut.write_bytes(database.path.read_bytes())
        cut.with_name("cut.sqlite3-journal").write_bytes(journal.read_bytes())
        writer.execute("ROLLBACK")
    after = Database(f"sqlite:///{cut}")
    after.prepare()
    with after.read() as db:
        assert "others" not in sa.inspect(db).get_table_names()
    after.close()


def test_a_newer_schema_is_refused_and_left_alone(database):
    with database.write() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for refused in (database.prepare, database.check):
        with pytest.raises(SchemaMismatch, match="has schema 9999"):
            refused()
    assert database.revision() == "9999"


# -- what it says when it fails -------------------------------------------------------------------


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path):
    path = tmp_path / "text.sqlite3"
    path.write_text("this is not a database, and has been here for longer than you think" * 50)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(StorageError, match="not a database") as caught:
        database.prepare()
    assert "\n" not in caught.value.message
    assert "keep the file" in caught.value.hint
    assert path.read_text().startswith("this is not")
    database.close()


def test_a_statement_that_fails_shows_neither_itself_nor_its_values(database):
    with pytest.raises(StorageError) as caught, database.write() as db:
        db.execute(sa.text("INSERT INTO nowhere VALUES (:secret)"), {"secret": "geheim"})
    assert re.search('no such table: nowhere|relation "nowhere" does not exist', caught.value.message)
    assert "geheim" not in caught.value.message
    assert "INSERT" not in caught.value.message
    assert "\n" not in caught.value.message


@sqlite_only
def test_a_full_disk_says_what_to_do(database):
    with database.write() as db:
        db.execute(sa.text("CREATE TABLE x (y integer)"))

    def fill_up() -> None:
        with database.write() as db:
            db.execute(sa.text("PRAGMA max_page_count=1"))
            db.execute(sa.text("INSERT INTO x VALUES (zeroblob(1000000))"))

    with pytest.raises(StorageError, match="full") as caught:
        fill_up()
    assert caught.value.hint == "free some disk space, then --resume"
