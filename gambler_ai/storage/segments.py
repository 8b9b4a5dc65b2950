"""What is in a segment of older history: rows, written and read again. No database here.

A segment of facts is JSON, a `_Columns`: what the rows share is said once (`packing`). One of round trips, and one of
facts that cannot be packed or that an earlier program wrote, is a JSON list: a fact as [number, token, beginning of
its hash, payload], a round trip as [number, its fields].
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import TypeVar

import msgspec
from msgspec import Struct

from gambler_ai.core import events as ev
from gambler_ai.core.model import ZERO, ClosedTrade
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.storage import packing
from gambler_ai.storage import tables as t

#: What round trips are filed under.
ROUND_TRIPS = t.closed_trades.name
#: What the facts of decisions and orders are filed under, all kinds together: what they came to has rows of its own.
ORDER_FACTS = "order_facts"
_OF_ORDERS = (
    ev.IntentPlanned, ev.IntentRecalled, ev.ResendPlanned, ev.IntentUnknown, ev.LookupMissed, ev.IntentRefused,
    ev.IntentVoided, ev.IntentDisputed, ev.IntentResolved, ev.OrderUpdated, ev.FillReported, ev.CancelPlanned,
    ev.Adjusted, ev.Denied, ev.Reconciled, ev.ExitRequested, ev.ExitDone,
)  # fmt: skip
#: Name of a file -> the kinds of facts in it. A kind that is not here is rare, and stays in the journal.
FILES: dict[str, tuple[str, ...]] = {
    ev.Marked.__name__: (ev.Marked.__name__,),
    ev.AccountReported.__name__: (ev.AccountReported.__name__,),
    ORDER_FACTS: tuple(kind.__name__ for kind in _OF_ORDERS),
}
#: How much of a row's hash is kept: the row can be named where the chain breaks, and the next whole one proves it.
MARK = 2


class FactRow(Struct, frozen=True, array_like=True):
    """A row of the journal, without what follows from the others."""

    seq: int
    token: int
    mark: str
    payload: str

    @property
    def at(self) -> datetime:
        """When it was.

        Raises:
            CheckpointCorrupt: its payload does not say.
        """
        return self._said.at

    @property
    def kind(self) -> str:
        """What kind of fact it is.

        Raises:
            CheckpointCorrupt: its payload does not say.
        """
        return self._said.type

    @property
    def _said(self) -> _Said:
        try:
            return _said.decode(self.payload)
        except msgspec.MsgspecError as error:
            raise CheckpointCorrupt(f"journal row {self.seq} is not a fact: it has no instant") from error


class TradeRow(Struct, frozen=True, array_like=True):
    """A round trip with its number."""

    seq: int
    trade: ClosedTrade

    @property
    def at(self) -> datetime:
        return self.trade.exit_at


class _Said(Struct):
    type: str
    at: datetime


class _Columns(Struct):
    """Facts as columns. ``head`` is the whole hash of the last; ``mark`` the beginnings of all, one behind the other;
    numbers and tokens are the first, then differences."""

    head: str
    mark: str
    seq: list[int]
    token: list[int]
    tables: list[packing.Table]


class _Head(Struct):
    head: str


_T = TypeVar("_T")
_encoder = msgspec.json.Encoder(decimal_format="string")
_said = msgspec.json.Decoder(_Said)
_columns = msgspec.json.Decoder(_Columns)
_head = msgspec.json.Decoder(_Head)
_fact_rows = msgspec.json.Decoder(list[FactRow])
_trade_rows = msgspec.json.Decoder(list[TradeRow])


def write_facts(rows: Sequence[FactRow], head: str) -> bytes:
    """Facts, oldest first; ``head`` is the whole hash of the last."""
    try:
        tables = packing.pack([row.payload for row in rows])
    except ValueError:
        return _encoder.encode(rows)
    seqs, tokens = ([getattr(row, name) for row in rows] for name in ("seq", "token"))
    mark = "".join(row.mark for row in rows)
    return _encoder.encode(_Columns(head, mark, packing.differences(seqs), packing.differences(tokens), tables))


def write_trades(rows: Sequence[TradeRow]) -> bytes:
    """Round trips, oldest first."""
    return _encoder.encode(rows)


def read_facts(raw: bytes) -> list[FactRow]:
    """The facts of a segment.

    Raises:
        ValueError: it is none.
    """
    if raw[:1] == b"[":
        return _decoded(_fact_rows, raw)
    found = _decoded(_columns, raw)
    payloads = packing.unpack(found.tables)
    size, rest = divmod(len(found.mark), len(found.seq) or 1)
    if not size or rest:
        raise ValueError("rows without the beginning of their hash")
    marks = [found.mark[at : at + size] for at in range(0, len(found.mark), size)]
    rows = zip(accumulate(found.seq), accumulate(found.token), marks, payloads, strict=True)
    return [FactRow(*row) for row in rows]


def read_trades(raw: bytes) -> list[TradeRow]:
    """The round trips of a segment.

    Raises:
        ValueError: it is none.
    """
    return _decoded(_trade_rows, raw)


def head_of(raw: bytes) -> str | None:
    """The whole hash of the last fact of a segment; None if it does not say.

    Raises:
        ValueError: it is none.
    """
    return None if raw[:1] == b"[" else _decoded(_head, raw).head


def _decoded(decoder: msgspec.json.Decoder[_T], raw: bytes) -> _T:
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"no segment: {error}") from error


def summary_of(rows: Sequence[FactRow] | Sequence[TradeRow]) -> dict[str, Decimal]:
    """What round trips came to; of facts nothing."""
    pnl = [row.trade.pnl for row in rows if isinstance(row, TradeRow)]
    if not pnl:
        return {}
    known = [value for value in pnl if value is not None]
    return {
        "won": Decimal(sum(value > 0 for value in known)), "lost": Decimal(sum(value < 0 for value in known)),
        "unpriced": Decimal(len(pnl) - len(known)), "pnl": sum(known, ZERO),
    }  # fmt: skip
