"""Statements on the driver's own cursor do what Core's do: types, transactions, errors."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from gambler_ai.errors import StorageError
from gambler_ai.storage import statements
from gambler_ai.storage.database import Database
from gambler_ai.storage.tables import Exact, Utc, lease

AT = datetime(2008, 10, 7, 14, 0, tzinfo=UTC)
scratch = sa.Table(
    "scratch", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("qty", Exact, nullable=False),
    sa.Column("at", Utc), sa.Column("done", sa.Boolean), sa.Column("payload", sa.LargeBinary),
)  # fmt: skip
INSERT, UPSERT = statements.insert(scratch), statements.upsert(scratch)
UPDATE = statements.update(scratch, ["qty"], {"id": "which"})
DELETE = statements.delete(scratch, {"id": "which"})


def row(number: int = 1, qty: str = "0.000000001", **changes: object) -> dict[str, object]:
    return {"id": number, "qty": Decimal(qty), "at": AT, "done": True, "payload": b"\x00"} | changes


@pytest.fixture
def scratched(database: Database) -> Database:
    with database.write() as db:
        scratch.create(db)
    return database


def rows(database: Database) -> list[dict[str, object]]:
    with database.read() as db:
        return [dict(r) for r in db.execute(sa.select(scratch).order_by(scratch.c.id)).mappings()]


def test_rows_come_back_as_they_went_in(scratched):
    wanted = [row(), row(2, "123456789.123456789", at=None, done=False)]
    with scratched.write() as db:
        assert INSERT.run(db, *wanted) == 2
    assert rows(scratched) == wanted


def test_an_upsert_adds_or_overwrites(scratched):
    with scratched.write() as db:
        UPSERT.run(db, row())
        UPSERT.run(db, row(qty="2", done=False), row(2))
    assert rows(scratched) == [row(qty="2", done=False), row(2)]


def test_an_update_and_a_delete_hit_their_rows_and_say_how_many(scratched):
    with scratched.write() as db:
        INSERT.run(db, row(1), row(2))
        assert UPDATE.run(db, {"qty": Decimal(7), "which": 2}) == 1
        assert UPDATE.run(db, {"qty": Decimal(7), "which": 3}) == 0
        assert DELETE.run(db, {"which": 1}) == 1
    assert rows(scratched) == [row(2, "7")]


def test_they_are_part_of_the_transaction(scratched):
    def write() -> None:
        with scratched.write() as db:
            INSERT.run(db, row())
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert rows(scratched) == []


def test_what_the_driver_raises_is_explained_in_one_line_without_values(scratched):
    with scratched.write() as db:
        INSERT.run(db, row())
    with pytest.raises(StorageError) as caught, scratched.write() as db:
        INSERT.run(db, row(qty="987654321"))
    assert "\n" not in caught.value.message
    assert "987654321" not in caught.value.message


def test_an_instant_without_a_zone_is_not_stored(scratched):
    with pytest.raises(ValueError, match="time zone"), scratched.write() as db:
        INSERT.run(db, row(at=AT.replace(tzinfo=None)))


def test_a_missing_value_is_not_a_null(database):
    with pytest.raises(KeyError), database.write() as db:
        statements.insert(lease).run(db, {"account_id": "a"})
