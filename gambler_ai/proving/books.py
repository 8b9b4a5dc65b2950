"""Our side's books, read from the database itself and not through the program that wrote them."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gambler_ai.proving.exchange import Fill
from gambler_ai.proving.processes import Surprise
from gambler_ai.proving.unpacking import rolled_up

SQLITE = "sqlite:///"


class Books:
    """The database at a URL, SQLite or Postgres. Each question is a transaction of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Numbers and instants as text, as SQLite keeps them; "?" where a value goes.

        Raises:
            Surprise: the database cannot be read.
        """
        if not self._url.startswith(SQLITE):
            from psycopg.rows import dict_row

            with connected(self._url) as db:
                found = db.cursor(row_factory=dict_row).execute(query.replace("?", "%s"), values or None).fetchall()
                return [{name: as_text(value) for name, value in row.items()} for row in found]
        try:
            with closing(sqlite3.connect(f"file:{self._url.removeprefix(SQLITE)}?mode=ro", uri=True)) as file:
                file.row_factory = sqlite3.Row
                return [dict(row) for row in file.execute(query, values)]
        except sqlite3.Error as error:
            raise Surprise(f"{error}: {query}") from error

    def write(self, statement: str, *values: Any) -> int:
        """Change them while nobody uses them, as a hand or a bad disk does. Returns how many rows it hit."""
        if not self._url.startswith(SQLITE):
            with connected(self._url) as db:
                return int(db.execute(statement.replace("?", "%s"), values or None).rowcount)
        with closing(sqlite3.connect(self._url.removeprefix(SQLITE))) as file, file:
            return file.execute(statement, values).rowcount

    def session(self) -> dict[str, Any]:
        """The one session there is.

        Raises:
            Surprise: there is none, or there are several.
        """
        found = self.rows("SELECT * FROM sessions")
        if len(found) != 1:
            raise Surprise(f"there are {len(found)} sessions: {', '.join(row['id'] for row in found)}")
        return found[0]

    def fills(self) -> list[Fill]:
        """The fills in our books, in the order in which they happened."""
        return [
            Fill(
                r["activity_id"], r["symbol"], r["side"], Decimal(r["qty"]), Decimal(r["price"]),
                datetime.fromisoformat(r["at"]),
            )
            for r in self.rows("SELECT * FROM fills ORDER BY at, activity_id")
        ]  # fmt: skip

    def positions(self) -> dict[str, Decimal]:
        """Symbol -> signed quantity."""
        return {r["symbol"]: Decimal(r["qty"]) for r in self.rows("SELECT * FROM positions")}

    def facts(self, kind: str = "") -> list[dict[str, Any]]:
        """The journal's payloads, oldest first; of one kind if one is named."""
        return [json.loads(r["payload"]) for r in self.journal() if kind in ("", r["kind"])]

    def journal(self) -> list[dict[str, Any]]:
        """Its rows by number; of one that was rolled up the beginning of its hash is known, and that it was.

        Raises:
            Surprise: the database cannot be read, or what was rolled up is damaged.
        """
        found = [row | {"rolled_up": False} for row in self.rows("SELECT * FROM journal")]
        for segment in self.rows("SELECT kind, payload FROM archive WHERE kind <> 'closed_trades'"):
            try:
                for seq, token, mark, payload in rolled_up(json.loads(zlib.decompress(segment["payload"]))):
                    fact = json.loads(payload)
                    found.append({
                        "seq": seq, "token": token, "hash": mark, "payload": payload, "kind": fact["type"],
                        "at": fact["at"], "rolled_up": True,
                    })  # fmt: skip
            except (zlib.error, ValueError, TypeError, LookupError) as error:
                raise Surprise(f"what was rolled up of {segment['kind']} cannot be read: {error}") from error
        return sorted(found, key=lambda row: int(row["seq"]))


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """One transaction on a Postgres database.

    Raises:
        Surprise: the server refuses.
    """
    import psycopg

    try:
        with psycopg.connect(libpq_url(url)) as db:
            yield db
    except psycopg.Error as error:
        raise Surprise(str(error)) from error


def libpq_url(url: str) -> str:
    """A URL of ours as the driver takes it."""
    return f"postgresql://{url.partition('://')[2]}"


def as_text(value: Any) -> Any:
    """A value of Postgres's as SQLite has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value
