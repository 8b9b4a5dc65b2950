"""What people ask of a session while a runner has it: rows that the runner takes and answers."""

from __future__ import annotations

import secrets
from datetime import datetime

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai.core.events import REQUESTS, Request
from gambler_ai.core.text import one_line
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.storage.tables import requests as table

#: What a person may write, so that a row stays a row.
TEXT_MAX = 500


class RequestRow(Struct, frozen=True):
    """A request and what came of it; ``taken_at`` (wall time) is None until a runner has taken it."""

    request: Request
    asked_at: datetime
    taken_at: datetime | None
    answer: str


def add(
    db: Connection, info: SessionInfo, kind: str, argument: str, reason: str, by: str, wall: datetime, mark: str = ""
) -> str:  # fmt: skip
    """Ask something of a session. Returns the request's id, which ends in ``mark``: random, unless it is given."""
    assert kind in REQUESTS
    request_id = f"{wall:%Y%m%d-%H%M%S}-{mark or secrets.token_hex(4)}"
    db.execute(table.insert(), {
        "id": request_id, "account_id": info.account_id, "session_id": info.id, "kind": kind,
        "argument": _plain(argument), "reason": _plain(reason), "asked_by": _plain(by)[:TEXT_MAX // 2],
        "asked_at": wall, "taken_at": None, "answer": "",
    })  # fmt: skip
    return request_id


def waiting(db: Connection, session_id: str) -> list[Request]:
    """What nobody has taken yet, oldest first."""
    where = (table.c.session_id == session_id, table.c.taken_at.is_(None))
    rows = db.execute(sa.select(table).where(*where).order_by(table.c.asked_at, table.c.id)).mappings()
    return [_request(row) for row in rows]


def answer(db: Connection, request_id: str, text: str, wall: datetime) -> None:
    """Write what came of a request."""
    db.execute(table.update().where(table.c.id == request_id).values(taken_at=wall, answer=text))


def find(db: Connection, request_id: str) -> RequestRow | None:
    """One request."""
    row = db.execute(sa.select(table).where(table.c.id == request_id)).mappings().one_or_none()
    return None if row is None else RequestRow(_request(row), row["asked_at"], row["taken_at"], row["answer"])


def _plain(text: str) -> str:
    """One line without control characters: it is shown on terminals."""
    return one_line(text, TEXT_MAX).strip()


def _request(row: sa.RowMapping) -> Request:
    return Request(
        id=row["id"], kind=row["kind"], argument=row["argument"], reason=row["reason"], asked_by=row["asked_by"]
    )
