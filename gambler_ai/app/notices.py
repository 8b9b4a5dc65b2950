"""What a person should know before a session goes on, and what no fact of the session says."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from gambler_ai.core.state import Plan
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.reporter import DatabaseBack, DatabaseLost


class OtherAccount(Struct, frozen=True):
    """An unfinished session belongs to another account than the keys open: they differ, or the account was reset."""

    session: SessionInfo
    account_id: str


class StrategyChanged(Struct, frozen=True):
    """The file of the strategy is not the code that the session traded with so far."""

    plan: Plan


class BooksAccepted(Struct, frozen=True):
    """A journal did not verify, and a person let the broker's word stand for it."""

    session_id: str
    why: str
    kept: str  # the id under which what was stored is kept
    orders: int
    fills: int
    foreign: dict[str, Decimal] = {}  # symbol -> what is held and none of these orders opened


class NothingToAccept(Struct, frozen=True):
    """The broker's word was to stand for a journal, and the journal verifies."""

    session_id: str


Notice = OtherAccount | StrategyChanged | BooksAccepted | NothingToAccept | DatabaseLost | DatabaseBack
