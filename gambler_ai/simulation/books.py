"""The session's rows as an auditor reads them: with the standard library, and nothing of the program in between."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path


class Books:
    """A second look at the database's file; it sees what is committed and nothing else."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def exists(self, session_id: str) -> bool:
        """Whether the session has its row."""
        return bool(self._db.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,)).fetchone())

    def status(self, session_id: str) -> str:
        """What the session's row says of it."""
        return str(self._db.execute("SELECT status FROM sessions WHERE id = ?", (session_id,)).fetchone()[0])

    def body(self, client_order_id: str) -> str | None:
        """The bytes that were committed to be sent under an id; None when nothing is committed."""
        row = self._db.execute("SELECT body FROM intents WHERE client_order_id = ?", (client_order_id,)).fetchone()
        return str(row[0]) if row else None

    def decisions(self, session_id: str) -> dict[str, str]:
        """Client order id -> the decision it was made for."""
        rows = self._db.execute(
            "SELECT client_order_id, decision_id || '#' || attempt FROM intents WHERE session_id = ?", (session_id,)
        )
        return dict(rows)

    def fills(self, session_id: str) -> dict[str, tuple[Decimal, Decimal]]:
        """Activity -> quantity and price, as booked."""
        rows = self._db.execute("SELECT activity_id, qty, price FROM fills WHERE session_id = ?", (session_id,))
        return {name: (Decimal(qty), Decimal(price)) for name, qty, price in rows}
