# ruff: noqa: PT017 (whether it raises is not known beforehand)
"""Export files that were made by an enemy, or cut on their way: one line that says what is wrong, and nothing came in.

Whoever changes a member can change the manifest with it, so most of these have a manifest that fits.
"""

import hashlib
import json
import os
import sqlite3
import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gambler_ai.errors import ConfigError, SchemaMismatch
from gambler_ai.storage import export_file
from gambler_ai.storage.journal import chained
from tests.hostile.nasty import WHOLE, Lot, by_night
from tests.unit.app.moved import Home, write_session
from tests.unit.fakes import SESSION

ROWS, EXCHANGE = f"sessions/{SESSION}", f"exchange/{SESSION}.sqlite3"
Members = dict[str, bytes]

FILL = {
    "session_id": SESSION, "activity_id": "a", "order_id": "none", "symbol": "AAPL", "side": "buy", "qty": "1",
    "price": "1", "at": "2008-10-07T14:00:00+00:00",
}  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """What is in a good file: a session with its embedded exchange."""
    folder = tmp_path_factory.mktemp("good")
    home = Home(folder / "home")
    account_id = home.open_account(SESSION)
    with home.database() as database:
        write_session(database, SESSION, account_id, broker="embedded", held=False)
    home.give(folder / "x.zip")
    with zipfile.ZipFile(folder / "x.zip") as found:
        return {name: found.read(name) for name in found.namelist()}


class Target:
    """A home that must stay empty, and a file to bring there."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "target")
        self.file = folder / "x.zip"

    def is_empty(self) -> bool:
        files = [path for path in self.home.settings.state_dir.rglob("*") if "gambler.sqlite3" not in path.name]
        return not files and not any(self.home.content().values())

    def refuses(self, says: str, kind: type[Exception] = ConfigError) -> None:
        with pytest.raises(kind) as caught:
            self.home.take(self.file)
        message = caught.value.message  # type: ignore[attr-defined]
        assert says in message
        assert message.isprintable()
        assert len(message) < 500
        assert self.is_empty()

    def write(self, members: Members, /, **manifest: Any) -> None:
        """A zip of ``members`` whose manifest fits them, but for what is given."""
        whole = json.loads(members["manifest.json"]) | {"members": listed(members)} | manifest
        with zipfile.ZipFile(self.file, "w", zipfile.ZIP_DEFLATED) as out:
            for name, content in (members | {"manifest.json": json.dumps(whole).encode()}).items():
                out.writestr(name, content)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path)


def listed(members: Members, **sizes: int) -> list[dict[str, Any]]:
    """A manifest's list, with other sizes for some."""
    return [
        {"name": name, "size": sizes.get(name, len(content)), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.items()
        if name != "manifest.json"
    ]


def lines(members: Members, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in members[f"{ROWS}/{table}.jsonl"].splitlines()]


def with_lines(members: Members, table: str, rows: list[dict[str, Any]]) -> Members:
    return members | {f"{ROWS}/{table}.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in rows)}


def with_value(members: Members, table: str, number: int = 0, **values: Any) -> Members:
    """With other values in one row of a table."""
    rows = lines(members, table)
    rows[number] |= values
    return with_lines(members, table, rows)


def session_of(members: Members, **values: Any) -> list[dict[str, Any]]:
    [session] = json.loads(members["manifest.json"])["sessions"]
    return [session | values]


def test_the_good_one_is_taken(good: Members, target: Target):
    target.write(good)
    assert [outcome.what for outcome in target.home.take(target.file).outcomes] == ["imported"]


# -- the zip --------------------------------------------------------------------------------------


def test_no_other_file_is_taken(target: Target):
    for content in WHOLE.values():
        target.file.write_bytes(content)
        assert not export_file.is_ours(target.file)
        with pytest.raises(ConfigError, match="no whole zip file"):
            target.home.take(target.file)
    assert target.is_empty()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_one_that_is_cut_is_not_taken(good: Members, target: Target, share: float):
    target.write(good)
    whole = target.file.read_bytes()
    target.file.write_bytes(whole[: int(len(whole) * share)])
    target.refuses("no whole zip file")


@pytest.mark.parametrize("lot", [Lot(40), *by_night(5_000)])
def test_one_with_a_flipped_bit_is_refused_or_the_same(good: Members, target: Target, lot: Lot):
    """Some bits of a zip mean nothing; those that do are under a checksum. A look is as thorough as an import."""
    target.write(good)
    whole = target.file.read_bytes()
    rng = np.random.default_rng(lot.seed)
    refused = 0
    for place in rng.integers(0, len(whole), 25):
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << int(rng.integers(8))
        target.file.write_bytes(spoiled)
        try:
            target.home.take(target.file, dry_run=True)
        except (ConfigError, SchemaMismatch) as error:
            assert error.message.isprintable()
            refused += 1
    assert refused > 12


def test_what_is_not_there_or_no_file(target: Target):
    target.refuses("cannot be read: No such file or directory")
    target.file.mkdir()
    target.refuses("cannot be read: Is a directory")


def test_a_manifest_is_needed(good: Members, target: Target):
    with zipfile.ZipFile(target.file, "w") as out:
        out.writestr("other.json", b"{}")
    target.refuses("it has no manifest.json")


def test_no_other_document_is_a_manifest(target: Target):
    for content in WHOLE.values():
        with zipfile.ZipFile(target.file, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("manifest.json", content)
        assert not export_file.is_ours(target.file)
        with pytest.raises(ConfigError, match="its manifest"):
            target.home.take(target.file)
    assert target.is_empty()


@pytest.mark.parametrize(
    ("manifest", "says", "kind"),
    [
        ({"version": 2}, "is of format 2, this program reads up to 1", SchemaMismatch),
        ({"schema": "9999"}, "is from schema '9999', this program reads 0004 to", SchemaMismatch),
        ({"schema": "0001"}, "is from schema '0001'", SchemaMismatch),
        ({"format": "other"}, "its manifest is of 'other'", ConfigError),
        ({"sessions": [{}]}, "its manifest cannot be read", ConfigError),
        ({"colour": "red"}, "its manifest cannot be read", ConfigError),
        ({"members": []}, "is in it and not listed", ConfigError),
    ],
)
def test_a_manifest_that_says_something_else(
    good, target: Target, manifest: dict[str, Any], says: str, kind: type[Exception]
):
    target.write(good, **manifest)
    target.refuses(says, kind)


def test_a_newer_format_is_refused_whatever_else_it_has(good: Members, target: Target):
    """A later program may have changed everything but these two names."""
    with zipfile.ZipFile(target.file, "w") as out:
        out.writestr("manifest.json", json.dumps({"format": export_file.FORMAT, "version": 7, "new": {}}))
    assert export_file.is_ours(target.file)
    target.refuses("is of format 7", SchemaMismatch)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "a//b",
        "./x",
        "..",
        "sessions\\..\\evil",
        f"exchange/../{SESSION}.sqlite3",
    ],
)
def test_a_name_that_leads_elsewhere(good: Members, target: Target, name: str):
    target.write(good | {name: b"x"})
    target.refuses("it would lead elsewhere")


@pytest.mark.parametrize("session_id", ["../../x", "/x", "", "a b", "x" * 65, "é", "x\n"])
def test_a_session_whose_id_leads_elsewhere(good: Members, target: Target, session_id: str):
    target.write(good, sessions=session_of(good, id=session_id))
    target.refuses("is not a session id")


def test_what_belongs_to_no_session(good: Members, target: Target):
    target.write(good | {"notes.txt": b"x"})
    target.refuses("'notes.txt' belongs to no session of it")


def test_a_name_that_is_there_twice(good: Members, target: Target):
    target.write(good)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(target.file, "a") as out:
        out.writestr(EXCHANGE, b"another")
    target.refuses("is in it twice")


def test_a_member_that_is_missing(good: Members, target: Target):
    target.write({name: content for name, content in good.items() if name != EXCHANGE})
    target.refuses(f"{EXCHANGE} is not in it")


def test_a_link(good: Members, target: Target):
    target.write(good)
    content = {info: info.filename for info in zipfile.ZipFile(target.file).infolist()}
    with zipfile.ZipFile(target.file) as found, zipfile.ZipFile(f"{target.file}.2", "w") as out:
        for info in content:
            if info.filename == EXCHANGE:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            out.writestr(info, found.read(info.filename))
    os.replace(f"{target.file}.2", target.file)
    target.refuses("is no plain file")


def test_a_bomb(good: Members, target: Target):
    """A hundred kilobytes that would be a hundred megabytes, and say so."""
    size = 96 * 2**20
    with zipfile.ZipFile(target.file, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("blobs/0", bytes(size))
        told = [{"name": "blobs/0", "size": size, "sha256": "0" * 64}]
        out.writestr("manifest.json", json.dumps(json.loads(good["manifest.json"]) | {"members": told}))
    assert target.file.stat().st_size < 2**20
    target.refuses(f"it would unpack to {size} bytes")


def test_a_bomb_that_says_it_is_small(good: Members, target: Target):
    """Nothing is unpacked beyond what the manifest says."""
    size, told = 2**24, 4096
    target.write(good | {EXCHANGE: bytes(size)}, members=listed(good, **{EXCHANGE: told}))
    lie = target.file.read_bytes().replace(struct.pack("<L", size), struct.pack("<L", told))
    target.file.write_bytes(lie)
    target.refuses(EXCHANGE)


def with_named(target: Target, good: Members, count: int, size: int) -> None:
    """So many checkpoints of one blob, which is in the file once and small there."""
    content = bytes(size)
    name = hashlib.sha256(content).hexdigest()
    rows = [lines(good, "checkpoints")[0] | {"number": n, "payload": name} for n in range(1, count + 1)]
    [session] = session_of(good)
    session["rows"]["checkpoints"] = count
    target.write(with_lines(good, "checkpoints", rows) | {f"blobs/{name}": content}, sessions=[session])
    assert target.file.stat().st_size < 2**20


def test_rows_that_name_one_large_blob_are_not_in_memory_all_at_once(good: Members, target: Target):
    count, size = 40, 2**21
    with_named(target, good, count, size)
    tracemalloc.start()
    try:
        target.refuses("checkpoint 1 does not verify")
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < count * size / 2


def test_rows_that_name_more_than_the_file_may_hold(good: Members, target: Target):
    with_named(target, good, 400, 2**21)
    target.refuses("its rows name more bytes than a file of its size may hold")


@pytest.mark.parametrize("name", [EXCHANGE, f"{ROWS}/requests.jsonl"])
def test_a_member_that_is_another_one(good: Members, target: Target, name: str):
    """As long as the right one, and taken by the zip."""
    other = good[name].replace(b"2008", b"2009").replace(b"it is late", b"it is soon")
    assert (len(other), other != good[name]) == (len(good[name]), True)
    target.write(good | {name: other}, members=listed(good))
    target.refuses(f"{name} is not what the manifest says: its checksum does not match")


# -- the rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "values", "says"),
    [
        ("journal", {"payload": "{}"}, "journal row 1 of session s-1 does not verify"),
        ("journal", {"seq": 7}, "does not verify"),
        ("journal", {"token": 4}, "its token is 3, its rows have 4"),
        ("journal", {"colour": "red"}, "journal.jsonl, line 1: column 'colour' is unknown"),
        ("journal", {"session_id": "s-2"}, "journal.jsonl, line 1: it is of another session"),
        ("journal", {"at": "yesterday"}, "line 1: column 'at'"),
        ("sessions", {"id": "s-2"}, "it is of another session"),
        ("sessions", {"account_id": "acc-2"}, "it is of another account"),
        ("sessions", {"seq": 1}, "its row is not what the manifest says"),
        ("sessions", {"plan": "[]"}, "plan of session s-1 cannot be read"),
        ("sessions", {"realized_pnl": "NaN"}, "is no number that fits"),
        ("requests", {"account_id": "acc-2"}, "it is of another account"),
        ("checkpoints", {"sha256": "0" * 64}, "checkpoint 1 does not verify: its checksum does not match"),
        ("checkpoints", {"journal_hash": "0" * 64}, "the journal at its place is another one"),
        ("checkpoints", {"state_version": 99}, "state version 99"),
        ("checkpoints", {"seq": 2}, "it belongs to another session or place in the journal"),
        ("checkpoints", {"payload": "0" * 64}, f"blobs/{'0' * 64} is not in it"),
        ("checkpoints", {"payload": "../../../etc/passwd"}, "is not in it"),
        ("blobs", {"sha256": "0" * 64}, "its content is not what it says"),
        ("blobs", {"length": 10}, "its content is not what it says"),
        ("blobs", {"length": 2**62}, "its content is not what it says"),
        ("blobs", {"length": -1}, "its content is not what it says"),
    ],
)
def test_one_row_is_wrong(good: Members, target: Target, table: str, values: dict[str, Any], says: str):
    """The manifest has the size and the checksum of the wrong one."""
    target.write(with_value(good, table, **values))
    target.refuses(says)


def test_a_journal_that_was_chained_anew(good: Members, target: Target):
    """Each row verifies; one is no fact, or the end is not the session's."""
    for payload, says in (("{}", "journal row 1 is not a fact"), (None, "its row is not what the manifest says")):
        rows, head = lines(good, "journal"), "0" * 64
        rows[0]["payload"] = payload or rows[0]["payload"].replace("60.0", "61.0")
        for row in rows:
            head = row["hash"] = chained(head, row["seq"], row["payload"])
        members = with_lines(good, "journal", rows)
        if payload:
            members = with_value(members, "sessions", journal_hash=head)
        target.write(members, sessions=session_of(good, journal_hash=head))
        target.refuses(says)


@pytest.mark.parametrize(
    ("table", "change", "says"),
    [
        ("journal", lambda rows: [*rows, rows[0]], "rows of journal of session s-1 do not fit"),
        ("journal", lambda rows: rows[:-1], "1 rows of journal, the manifest says 2"),
        ("journal", lambda rows: [], "0 rows of journal"),
        ("sessions", lambda rows: [], "0 rows of sessions, the manifest says 1"),
        ("fills", lambda rows: [FILL], "rows of fills of session s-1 do not fit"),
    ],
    ids=["twice", "cut", "none", "no session", "a fill of no order"],
)
def test_rows_that_are_too_many_or_too_few(good, target: Target, table: str, change: Callable[..., Any], says: str):
    members = with_lines(good, table, change(lines(good, table)))
    [session] = session_of(good)
    if len(lines(members, table)) > len(lines(good, table)):
        session["rows"][table] = len(lines(members, table))
    target.write(members, sessions=[session])
    target.refuses(says)


@pytest.mark.parametrize("table", ["structures", "closed_trades"])
def test_a_table_that_the_file_does_not_mention_is_missed(good: Members, target: Target, table: str):
    """Only a file of an older schema may have none of a later one."""
    [session] = session_of(good)
    del session["rows"][table]
    name = next(name for name in good if name.endswith(f"/{table}.jsonl"))
    target.write({n: content for n, content in good.items() if n != name}, sessions=[session])
    target.refuses(table)


@pytest.mark.parametrize("token", [2, -1, 10**13, 2**63, 2**64])
def test_a_token_that_would_lock_everybody_out_or_nobody(good: Members, target: Target, token: int):
    target.write(good, sessions=session_of(good, token=token))
    target.refuses("its token is" if token < 2**63 else "")


def test_a_session_that_is_there_twice(good: Members, target: Target):
    target.write(good, sessions=session_of(good) * 2)
    target.refuses("do not fit beside what is there")


@pytest.mark.parametrize("content", [b"no newline", b"\n", b"x" * (2**24 + 2) + b"\n"], ids=["cut", "empty", "long"])
def test_lines_that_are_none(good: Members, target: Target, content: bytes):
    target.write(good | {f"{ROWS}/fills.jsonl": content})
    target.refuses("fills.jsonl")


def test_a_blob_that_is_a_bomb(good: Members, target: Target):
    """A row's bytes unpack as well: no further than the row says, and a row cannot say too much."""
    packed = zlib.compress(bytes(2**24))
    name = hashlib.sha256(packed).hexdigest()
    members = good | {f"blobs/{name}": packed}
    target.write(with_value(members, "blobs", payload=name, length=4096))
    target.refuses("its content is not what it says")


@pytest.mark.parametrize("lot", [Lot(30), *by_night(5_000)])
def test_documents_made_wrong_by_seed(good: Members, target: Target, lot: Lot, pytestconfig: pytest.Config):
    """A session's row: taken as another one that could be, or refused in one line."""
    [line] = good[f"{ROWS}/sessions.jsonl"].decode().splitlines()
    refused = 0
    for bad in lot.of(line, pytestconfig):
        target.write(good | {f"{ROWS}/sessions.jsonl": bad.encode("utf-8", "surrogatepass") + b"\n"})
        try:
            target.home.take(target.file, dry_run=True)
        except ConfigError as error:
            assert error.message.isprintable()
            refused += 1
    assert refused > 10


# -- the exchange's file --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("CREATE TRIGGER evil AFTER UPDATE ON meta BEGIN DELETE FROM orders; END", "it holds 'evil'"),
        ("CREATE VIEW evil AS SELECT 1", "it holds 'evil'"),
        ("CREATE TABLE other (x)", "it holds 'other'"),
        ("CREATE INDEX other ON orders (status)", "it holds 'other'"),
        ("DROP TABLE meta", "it is no usable file"),
        ("UPDATE meta SET value='99' WHERE name='schema'", "it has schema '99'"),
        ("UPDATE meta SET value='else' WHERE name='account_id'", "it is of account 'else'"),
        ("UPDATE meta SET value='known' WHERE name='secret_key'", "it holds a secret"),
        ("DELETE FROM meta WHERE name='secret_key'", "it holds a secret"),
    ],
)
def test_an_exchange_that_is_none(good: Members, target: Target, tmp_path: Path, statement: str, says: str):
    file = tmp_path / "account.sqlite3"
    file.write_bytes(good[EXCHANGE])
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute(statement)
    target.write(good | {EXCHANGE: file.read_bytes()})
    target.refuses(says)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", bytes(4096)], ids=["empty", "cut", "nuls"])
def test_an_exchange_that_is_no_database(good: Members, target: Target, content: bytes):
    target.write(good | {EXCHANGE: content})
    target.refuses(EXCHANGE)


def test_an_exchange_that_rots(good: Members, target: Target):
    spoiled = bytearray(good[EXCHANGE])
    for place in range(4096, len(spoiled), 512):
        spoiled[place] ^= 0xFF
    target.write(good | {EXCHANGE: bytes(spoiled)})
    target.refuses(EXCHANGE)


@pytest.mark.parametrize("exchange", [True, False])
def test_an_exchange_for_a_session_that_has_none(good: Members, target: Target, exchange: bool):
    broker = "alpaca" if exchange else "embedded"
    members = with_value(good, "sessions", broker=broker)
    target.write(members, sessions=session_of(good, broker=broker, exchange=exchange))
    target.refuses("an exchange's file does not go with that")


def test_a_manifest_that_is_packed_otherwise_is_no_manifest(tmp_path: Path):
    """Its bytes may say anything to a decompressor that this program never uses."""
    path = tmp_path / "lzma.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as made:
        made.writestr(export_file.MANIFEST, "{" + " " * 500 + "}")
    data = path.read_bytes()
    path.write_bytes(data.replace(data[60:70], b"\xff" * 10, 1))
    assert not export_file.is_ours(path)
