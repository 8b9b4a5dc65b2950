"""The few statements of each tick, compiled once and run on the driver's own cursor.

Core looks a statement up and wraps its result anew at each call; for rows this small that takes longer than the
database itself. What is run here is still written in Core, so it is the same on SQLite and Postgres.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError

Values = Mapping[str, Any]


class Statement:
    """One insert, update or delete with its parameters by name; ``build`` makes it for a dialect."""

    def __init__(self, build: Callable[[str], Any], names: Sequence[str] | None = None) -> None:
        """``names`` are the columns it writes, for an insert or an update."""
        self._build = build
        self._names = names
        self._compiled: dict[str, _Compiled] = {}

    def run(self, db: Connection, *rows: Values) -> int:
        """Run it for each of ``rows``, in the transaction of ``db``. Returns how many rows of the table it hit.

        Raises:
            DBAPIError: what the driver raised, as Core would have.
        """
        compiled = self._compiled.get(db.dialect.name)
        if compiled is None:
            built = self._build(db.dialect.name)
            compiled = self._compiled[db.dialect.name] = _Compiled(built, self._names, db.dialect)
        proxied = db.connection
        cursor = proxied.cursor()
        try:
            if len(rows) == 1:
                cursor.execute(compiled.text, compiled.bound(rows[0]))
            else:
                cursor.executemany(compiled.text, [compiled.bound(row) for row in rows])
            return int(cursor.rowcount)
        except db.dialect.loaded_dbapi.Error as error:
            if db.dialect.is_disconnect(error, proxied, cursor):
                db.invalidate(error)
            raise DBAPIError(None, None, error, hide_parameters=True) from error
        finally:
            cursor.close()


class _Compiled:
    """A statement as one driver takes it."""

    def __init__(self, statement: Any, names: Sequence[str] | None, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=names)
        self.text: str = str(compiled)
        self._order: Sequence[str] | None = compiled.positiontup
        self._convert = {
            name: found
            for name, bind in compiled.binds.items()
            if (found := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        }

    def bound(self, row: Values) -> Any:
        """A row as the driver takes it: a tuple, or a dict where parameters have names."""
        values = dict(row)
        for name, convert in self._convert.items():
            values[name] = convert(values[name])
        if self._order is None:
            return values
        return tuple([values[name] for name in self._order])


def insert(table: sa.Table) -> Statement:
    """Add a whole row."""
    return Statement(lambda _: table.insert(), [c.name for c in table.c])


def upsert(table: sa.Table) -> Statement:
    """Add a whole row, or overwrite the one whose primary key is there."""
    names, keys = [c.name for c in table.c], [c.name for c in table.primary_key]

    def build(dialect: str) -> Any:
        statement = insert_of(dialect)(table)
        rest = {name: statement.excluded[name] for name in names if name not in keys}
        return statement.on_conflict_do_update(index_elements=keys, set_=rest)

    return Statement(build, names)


def update(table: sa.Table, names: Sequence[str], where: Mapping[str, str]) -> Statement:
    """Write the columns ``names`` of some rows; ``where`` says which: column -> the parameter that it equals."""
    return Statement(lambda _: table.update().where(*equal(table, where)), names)


def delete(table: sa.Table, where: Mapping[str, str]) -> Statement:
    """Delete some rows; ``where`` says which: column -> the parameter that it equals."""
    return Statement(lambda _: table.delete().where(*equal(table, where)))


def equal(table: sa.Table, where: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    """A condition for each column of ``where``: it equals the parameter of that name."""
    return [table.c[column] == sa.bindparam(name, type_=table.c[column].type) for column, name in where.items()]


def insert_of(dialect: str) -> Any:
    """The dialect's own insert; the other dialect is not imported, which takes as long as opening a database."""
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert


def fitting(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    """``row`` with texts of others as ``table`` can hold them; the journal has them whole.

    Postgres refuses a text that is too long, and NUL in any text; SQLite takes both. Keys are left as they are.
    """
    fitted = dict(row)
    for name, value in row.items():
        column = table.c[name]
        if isinstance(value, str) and not column.primary_key:
            fitted[name] = value.replace("\0", "\N{REPLACEMENT CHARACTER}")[: getattr(column.type, "length", None)]
    return fitted
