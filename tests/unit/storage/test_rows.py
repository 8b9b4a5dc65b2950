"""A row is the same after it was JSON, whichever database it comes from; what is no row is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from gambler_ai.storage import rows
from gambler_ai.storage import tables as t
from gambler_ai.storage.rows import UnfitRow

NIGHT = datetime(2008, 10, 7, 23, 59, 59, 123456, tzinfo=UTC)


def value_of(column: sa.Column[Any]) -> object:
    """Something that only this kind of column holds."""
    kinds = {
        t.Exact: Decimal("-12345678901234567890.123456789"), t.Utc: NIGHT, sa.Boolean: True, sa.Integer: 2**31 - 1,
        sa.LargeBinary: b"\x00\xff bytes", sa.Double: 1e-300,
    }  # fmt: skip
    if isinstance(column.type, sa.BigInteger):
        return 2**63 - 1
    return next((value for kind, value in kinds.items() if isinstance(column.type, kind)), 'é"\n')


class Blobs(dict[str, bytes]):
    def put(self, content: bytes) -> str:
        name = f"b{len(self)}"
        self[name] = content
        return name


def test_every_table_moves_or_is_known_to_be_nobodys():
    """A new one without a place here would stay behind in silence."""
    assert set(rows.OWN) | set(rows.SHARED) == set(t.metadata.sorted_tables)
    assert all(rows.owner_of(table) is not None for table in rows.OWN)
    assert [table.name for table in rows.SHARED] == ["lease", "blobs"]


@pytest.mark.parametrize("table", t.metadata.sorted_tables, ids=lambda table: table.name)
def test_a_row_comes_back_as_it_was(table: sa.Table):
    blobs = Blobs()
    full = {column.name: value_of(column) for column in table.c}
    bare = {name: None if table.c[name].nullable else value for name, value in full.items()}
    for row in (full, bare):
        line = rows.encoded(table, row, blobs.put)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert rows.decoded(table, line, blobs.__getitem__) == row


def test_one_number_has_one_spelling():
    """SQLite keeps 1.50, Postgres 1.5; both are the same row."""
    row = {column.name: value_of(column) for column in t.fills.c}
    lines = {rows.encoded(t.fills, row | {"qty": Decimal(text)}, str) for text in ("100", "100.00", "1E+2")}
    assert len(lines) == 1
    assert b'"qty":"100"' in lines.pop()
    assert b'"qty":"0"' in rows.encoded(t.fills, row | {"qty": Decimal("0.000")}, str)


def changed(table: sa.Table, **values: object) -> bytes:
    row = msgspec.json.decode(rows.encoded(table, {c.name: value_of(c) for c in table.c}, Blobs().put))
    return msgspec.json.encode({k: v for k, v in (row | values).items() if v is not ...})


@pytest.mark.parametrize(
    ("table", "values", "says"),
    [
        (t.fills, {"qty": "NaN"}, "'qty': 'NaN' is no number that fits"),
        (t.fills, {"qty": "Infinity"}, "no number"),
        (t.fills, {"qty": "1e22"}, "no number"),
        (t.fills, {"qty": "1e999999999"}, "no number"),
        (t.fills, {"qty": "0.0000000001"}, "no number"),
        (t.fills, {"qty": 1}, "'1' is no str"),
        (t.fills, {"qty": "x"}, "'qty'"),
        (t.fills, {"qty": None}, "'qty' is empty"),
        (t.fills, {"at": "2008-10-07T14:00:00"}, "no time zone"),
        (t.fills, {"at": "soon"}, "'at'"),
        (t.fills, {"at": "9999-12-31T23:59:59-23:00"}, "'at'"),
        (t.fills, {"side": "s" * 33}, "too long"),
        (t.fills, {"side": "a\0b"}, "NUL"),
        (t.fills, {"side": True}, "no str"),
        (t.fills, {"colour": "red"}, "'colour' is unknown"),
        (t.fills, {"side": ...}, "'side' is missing"),
        (t.fills, {"side": ["buy"]}, "it is no row"),
        (t.closed_trades, {"number": 2**31}, "too large"),
        (t.closed_trades, {"number": True}, "no int"),
        (t.journal, {"seq": 2**63}, "too large"),
        (t.journal, {"seq": 1.0}, "no int"),
        (t.lease, {"released": 1}, "no bool"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_what_is_no_row_is_refused(table: sa.Table, values: dict[str, Any], says: str):
    with pytest.raises(UnfitRow) as caught:
        rows.decoded(table, changed(table, **values), lambda name: b"")
    assert says in str(caught.value)


@pytest.mark.parametrize("line", [b"", b"[]", b"null", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff", b"NaN"])
def test_no_other_line_is_a_row(line: bytes):
    with pytest.raises(UnfitRow):
        rows.decoded(t.fills, line, lambda name: b"")


def test_a_row_of_an_older_schema_gets_what_a_migration_gives_it():
    blobs = Blobs()
    row = {column.name: value_of(column) for column in t.intents.c}
    old = msgspec.json.decode(rows.encoded(t.intents, row, blobs.put))
    del old["token"], old["market_day"], old["side"]
    line = msgspec.json.encode(old | {"side": "buy"})
    found = rows.decoded(t.intents, line, blobs.__getitem__, is_older=True)
    assert found == row | {"token": 0, "market_day": None, "side": "buy"}
    with pytest.raises(UnfitRow, match="'side' is missing"):
        rows.decoded(t.intents, msgspec.json.encode(old), blobs.__getitem__, is_older=True)
    with pytest.raises(UnfitRow, match="is missing"):
        rows.decoded(t.intents, line, blobs.__getitem__)
