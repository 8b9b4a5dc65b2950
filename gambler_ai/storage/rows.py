"""Rows of any table as JSON and back, by the types of its columns; bytes are kept elsewhere, by their checksum."""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gambler_ai.storage import tables as t
from gambler_ai.storage.statements import fitting

#: Nobody's in particular: who holds an account is true of one database only, and a blob may be of several sessions.
SHARED = (t.lease, t.blobs)
#: What is a session's own, in an order in which the rows can be put in: what they point at comes first.
OWN = tuple(table for table in t.metadata.sorted_tables if table not in SHARED)

#: What `Exact` holds on every database: 30 digits, nine of them behind the point.
_NUMBER = re.compile(r"-?[0-9]{1,21}(\.[0-9]{1,9})?")
_PLACE = Decimal("1e-9")
_EXACTLY = Context(prec=60, rounding=ROUND_HALF_UP)
_INT_MAX, _BIG_MAX = 2**31 - 1, 2**63 - 1

#: Their payload is under zlib, and says how long it is without, and its checksum.
PACKED = (t.blobs, t.archive)
#: Of what one such payload may unpack to.
UNPACKED_MAX = 256 * 2**20

PutBlob = Callable[[bytes], str]
GetBlob = Callable[[str], bytes]


class UnfitRow(Exception):
    """A row of others that this schema has no place for; the text says why."""


def owner_of(table: sa.Table) -> sa.Column[str]:
    """The column that says whose rows those of a table are."""
    column: sa.Column[str] = table.c.id if table is t.sessions else table.c.session_id
    return column


def has_blobs(table: sa.Table) -> bool:
    """Whether its rows hold bytes."""
    return any(isinstance(column.type, sa.LargeBinary) for column in table.c)


def of_session(db: Connection, table: sa.Table, session_id: str) -> Iterator[dict[str, Any]]:
    """The rows of a session, in an order that is the same on every database."""
    return _ordered(db, table, owner_of(table) == session_id)


def of_blobs(db: Connection, session_id: str) -> Iterator[dict[str, Any]]:
    """The blobs that a session's components name."""
    named = sa.select(t.components.c.sha256).where(t.components.c.session_id == session_id)
    return _ordered(db, t.blobs, t.blobs.c.sha256.in_(named))


def _ordered(db: Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> Iterator[dict[str, Any]]:
    collation = "BINARY" if db.dialect.name == "sqlite" else "C"
    keys = [
        sa.collate(column, collation) if isinstance(column.type, sa.String) else column
        for column in table.primary_key.columns
    ]
    query = sa.select(table).where(where).order_by(*keys).execution_options(yield_per=1_000)
    for row in db.execute(query).mappings():
        yield dict(row)


def is_sound(row: dict[str, Any]) -> bool:
    """Whether the payload of a row of `PACKED` is what the row says."""
    if not 0 <= row["length"] <= UNPACKED_MAX:
        return False
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(row["payload"], row["length"] + 1)
    except zlib.error:
        return False
    return unpacker.eof and len(content) == row["length"] and hashlib.sha256(content).hexdigest() == row["sha256"]


def encoded(table: sa.Table, row: dict[str, Any], put: PutBlob) -> bytes:
    """A row as one line; ``put`` keeps bytes and returns their name."""
    row = fitting(table, row)
    values = {column.name: _out(column, row[column.name], put) for column in table.c}
    return msgspec.json.encode(values) + b"\n"


def _out(column: sa.Column[Any], value: Any, put: PutBlob) -> Any:
    if value is None:
        return None
    if isinstance(column.type, t.Exact):
        return _plain(value)
    if isinstance(column.type, t.Utc):
        return value.isoformat(timespec="microseconds")
    if isinstance(column.type, sa.LargeBinary):
        return put(bytes(value))
    return value


def _plain(value: Decimal) -> str:
    """A number in one spelling, with as many places as every database has for it."""
    rounded = _EXACTLY.quantize(value, _PLACE)
    whole, _, places = f"{rounded:f}".partition(".")
    places = places.rstrip("0")
    text = f"{whole}.{places}" if places else whole
    return "0" if text == "-0" else text


def decoded(table: sa.Table, line: bytes, get: GetBlob, *, is_older: bool = False) -> dict[str, Any]:
    """The row that a line holds; ``get`` finds the bytes of a name.

    ``is_older``: it is from an older schema, whose rows get what a migration would have given them in columns that
    came later.

    Raises:
        UnfitRow: it is no row of this table.
    """
    try:
        values = msgspec.json.decode(line, type=dict[str, str | int | float | bool | None])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnfitRow(f"it is no row: {error}") from None
    names = {column.name for column in table.c}
    if is_older:
        values = {column.name: _default(column) for column in table.c if _has_default(column)} | values
    for what, wrong in (("unknown", values.keys() - names), ("missing", names - values.keys())):
        if wrong:
            raise UnfitRow(f"column {min(wrong)!r} is {what}")
    return {column.name: _in(column, values[column.name], get) for column in table.c}


def _has_default(column: sa.Column[Any]) -> bool:
    return bool(column.nullable) or column.server_default is not None


def _default(column: sa.Column[Any]) -> Any:
    if column.server_default is None:
        return None
    text = str(column.server_default.arg)  # type: ignore[attr-defined]
    return int(text) if isinstance(column.type, sa.Integer) else text


def _in(column: sa.Column[Any], value: Any, get: GetBlob) -> Any:
    if value is None:
        if not column.nullable:
            raise UnfitRow(f"column {column.name!r} is empty")
        return None
    try:
        return _converted(column.type, value, get)
    except (ValueError, ArithmeticError) as error:
        raise UnfitRow(f"column {column.name!r}: {error}") from None


def _converted(kind: sa.types.TypeEngine[Any], value: Any, get: GetBlob) -> Any:
    """
    Raises:
        ValueError, ArithmeticError: it is none of that kind.
    """
    if isinstance(kind, sa.Boolean):
        return _one_of(bool, value)
    if isinstance(kind, sa.Integer):
        return _integer(value, _BIG_MAX if isinstance(kind, sa.BigInteger) else _INT_MAX)
    if isinstance(kind, sa.Double):
        return _one_of(float, float(value) if type(value) is int else value)
    text = str(_one_of(str, value))
    if isinstance(kind, t.Exact):
        return _exact(text)
    if isinstance(kind, t.Utc):
        return _instant(text)
    if isinstance(kind, sa.LargeBinary):
        return get(text)
    if "\0" in text or len(text) > (getattr(kind, "length", None) or math.inf):
        raise ValueError("the text is too long, or holds NUL")
    return text


def _one_of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{str(value)[:40]!r} is no {kind.__name__}")
    return value


def _integer(value: Any, largest: int) -> int:
    number = int(_one_of(int, value))
    if abs(number) > largest:
        raise ValueError(f"{number} is too large")
    return number


def _exact(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no number that fits")
    return Decimal(text)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no time zone")
    return instant.astimezone(UTC)
