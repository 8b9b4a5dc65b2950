"""What a history says: equity, round trips, how it did. Read in pieces; nothing here writes.

Of one session, or of several of one account, chained in time: they are read in the order in which things happened.

Equity is the account's, as the broker states it (`AccountReported`: about one a minute, and only when it changed). It
is one number that somebody else vouches for, with fees, dividends and what is still open. The other way, our own fills
at our own marks, would need the whole journal replayed and could only repeat what our books believe. The price:
whatever else moves the account (a deposit, shares of others) moves the curve; ``foreign_seen`` tells of the latter.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai.core import events as ev
from gambler_ai.core import performance as perf
from gambler_ai.core.contracts import multiplier_of
from gambler_ai.core.excursions import Excursion, ExcursionFold
from gambler_ai.core.model import NEW_YORK, ZERO, ClosedTrade, Side
from gambler_ai.core.performance import EquityFigures, Point, Span, Thinner, TradeFigures
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.storage import archive
from gambler_ai.storage import tables as t
from gambler_ai.storage.chaining import chained
from gambler_ai.storage.sessions import SessionInfo

#: Rows that are in memory at once.
ROWS_AT_ONCE = 1_000
#: Points of a curve: two of each column that a plot has.
POINTS = 600


class Performance(Struct, frozen=True):
    """How a session did. ``exposure`` and ``turnover`` are parts of one (`core.performance`)."""

    equity: EquityFigures
    trades: TradeFigures
    exposure: float | None
    turnover: float | None
    bought: Decimal
    sold: Decimal
    fills: int
    #: When a process ran it and the market was open.
    runs: list[Span]
    #: Whether the account held shares of others at some time.
    foreign_seen: bool


class _Moment(NamedTuple):
    """The account's equity on a trading day; None: nothing was stated, so it is what it was."""

    at: datetime
    day: str
    equity: Decimal | None


class _Account(Struct):
    equity: Decimal


class _Reading(Struct):
    at: datetime
    account: _Account


class _Marks(Struct, tag="Marked"):
    at: datetime
    marks: dict[str, msgspec.Raw]


class _Split(Struct, tag="SplitApplied"):
    at: datetime
    symbol: str
    new: int
    old: int


_reading = msgspec.json.Decoder(_Reading)
_price_fact = msgspec.json.Decoder(_Marks | _Split)
_price = msgspec.json.Decoder(Decimal)
_opened = msgspec.json.Decoder(ev.DayOpened)
_foreign = msgspec.json.Decoder(ev.ForeignSeen)
_T = TypeVar("_T")


def equity_curve(db: Connection, session_id: str, points: int = POINTS) -> list[Point]:
    """The account's equity, oldest first: at most about ``points`` of its readings, every extreme among them."""
    return _thinned(_readings(db, session_id), _count(db, session_id, ev.AccountReported), points)


def account_curve(db: Connection, infos: Sequence[SessionInfo], points: int = POINTS) -> list[Point]:
    """The same over several sessions of one account."""
    count = sum(_count(db, info.id, ev.AccountReported) for info in infos)
    readings = chained(((i.started_at, partial(_readings, db, i.id)) for i in infos), lambda point: point.at)
    return _thinned(readings, count, points)


def _thinned(readings: Iterator[Point], count: int, points: int) -> list[Point]:
    thinner = Thinner(count, points)
    for reading in readings:
        thinner.add(reading)
    return thinner.points()


def trades_in_pages(db: Connection, session_id: str, size: int = ROWS_AT_ONCE) -> Iterator[list[ClosedTrade]]:
    """All round trips in the order in which they ended, ``size`` at a time; `views.closed_trades` has the newest."""
    found = chain(archive.trades(db, session_id), _hot_trades(db, session_id))
    while page := list(islice(found, size)):
        yield page


def account_trades(db: Connection, infos: Sequence[SessionInfo]) -> Iterator[tuple[str, ClosedTrade]]:
    """All round trips of several sessions in the order in which they ended, each with its session's id."""

    def of(info: SessionInfo) -> Iterator[tuple[str, ClosedTrade]]:
        return ((info.id, trade) for page in trades_in_pages(db, info.id) for trade in page)

    return chained(((info.started_at, partial(of, info)) for info in infos), lambda found: found[1].exit_at)


def _hot_trades(db: Connection, session_id: str) -> Iterator[ClosedTrade]:
    after = 0
    while True:
        query = sa.select(t.closed_trades).where(
            t.closed_trades.c.session_id == session_id, t.closed_trades.c.number > after
        )
        rows = db.execute(query.order_by(t.closed_trades.c.number).limit(ROWS_AT_ONCE)).mappings().all()
        if not rows:
            return
        after = rows[-1]["number"]
        yield from (ClosedTrade(**{name: row[name] for name in ClosedTrade.__struct_fields__}) for row in rows)


def excursions(db: Connection, session_id: str, trades: Sequence[ClosedTrade]) -> list[Excursion | None]:
    """How far each of ``trades`` went against us and for us, from the marks in the journal between its two ends.

    None for a structure: its prices are net, and its symbol's marks are the underlying's.

    Raises:
        CheckpointCorrupt: a row cannot be read; so do all that read the journal here.
    """
    marked = [trade for trade in trades if trade.multiplier == 1]
    found = iter(_excursions(db, session_id, marked) if marked else ())
    return [next(found) if trade.multiplier == 1 else None for trade in trades]


def _excursions(db: Connection, session_id: str, trades: Sequence[ClosedTrade]) -> list[Excursion | None]:
    fold = ExcursionFold(trades)
    begin, end = min(trade.entry_at for trade in trades), max(trade.exit_at for trade in trades)
    for row in _facts(db, session_id, ev.Marked, ev.SplitApplied, begin=begin, end=end):
        symbols = fold.symbols(row.at)
        if not symbols:
            continue
        fact = _decoded(_price_fact, session_id, row.seq, row.payload)
        if isinstance(fact, _Split):
            fold.split(fact.at, fact.symbol, fact.new, fact.old)
            continue
        held = [symbol for symbol in symbols if symbol in fact.marks]
        marks = {symbol: _decoded(_price, session_id, row.seq, fact.marks[symbol]) for symbol in held}
        fold.mark(fact.at, {symbol: _finite(session_id, row.seq, price) for symbol, price in marks.items()})
    return fold.excursions()


def performance(db: Connection, *infos: SessionInfo) -> Performance:
    """The figures of a session as far as it has come, or of several of one account."""
    figures, trades = _equity(db, infos), perf.TradeFold()
    for _, trade in account_trades(db, infos):
        trades.add(trade)
    runs = _all_runs(db, infos)
    held = heapq.merge(*(_held(db, info) for info in infos))
    traded = [_traded(db, info.id) for info in infos]
    bought, sold = sum((found[0] for found in traded), ZERO), sum((found[1] for found in traded), ZERO)
    return Performance(
        figures, trades.figures(), perf.exposure(held, runs), perf.turnover(bought, sold, figures.mean_equity), bought,
        sold, sum(found[2] for found in traded), runs, any(_foreign_seen(db, info.id) for info in infos),
    )  # fmt: skip


def _equity(db: Connection, infos: Sequence[SessionInfo]) -> EquityFigures:
    fold = perf.EquityFold()
    moments = chained(((i.started_at, partial(_moments, db, i)) for i in infos), lambda moment: moment.at)
    for at, day, equity in moments:
        if equity is None:
            fold.carry(at, day)
        else:
            fold.add(at, day, equity)
    return fold.figures()


def _moments(db: Connection, info: SessionInfo) -> Iterator[_Moment]:
    """The readings by trading day: the market's own days, as the session noted them when each opened.

    What comes before the next day opens belongs to the day before. A script's session notes none: New York's dates.
    """
    rows = _facts(db, info.id, ev.DayOpened)
    coming = deque(_decoded(_opened, info.id, row.seq, row.payload) for row in rows)
    has_days, day = bool(coming), coming[0].day if coming else ""
    readings: Iterator[tuple[datetime, Decimal]] = _readings(db, info.id)
    for at, equity in chain(readings, [(info.last_at, None)]):
        day = day if has_days else at.astimezone(NEW_YORK).date().isoformat()
        while coming and coming[0].at <= at:
            fact = coming.popleft()
            day = fact.day
            if fact.at < at:
                yield _Moment(fact.at, day, None)
        yield _Moment(at, day, equity)


def _readings(db: Connection, session_id: str) -> Iterator[Point]:
    for row in _facts(db, session_id, ev.AccountReported):
        reading = _decoded(_reading, session_id, row.seq, row.payload)
        yield Point(reading.at, _finite(session_id, row.seq, reading.account.equity))


def _all_runs(db: Connection, infos: Sequence[SessionInfo]) -> list[Span]:
    """When any of them ran: one after the other, since an account has one runner."""
    found: list[Span] = []
    for run in sorted(run for info in infos for run in _runs(db, info)):
        begin = max(run.begin, found[-1].end) if found else run.begin
        if begin < run.end:
            found.append(Span(begin, run.end))
    return found


def _runs(db: Connection, info: SessionInfo) -> list[Span]:
    """When the session ran. One that was killed ran until its last row before the next start."""
    names = [kind.__name__ for kind in (ev.RunStarted, ev.RunPaused, ev.RunEnded)]
    columns = (t.journal.c.seq, t.journal.c.at, t.journal.c.kind)
    query = sa.select(*columns).where(t.journal.c.session_id == info.id, t.journal.c.kind.in_(names))
    runs: list[Span] = []
    begun: datetime | None = None
    for row in db.execute(query.order_by(t.journal.c.seq)):
        is_start = row.kind == ev.RunStarted.__name__
        if begun is not None:
            runs.append(Span(begun, _last_before(db, info.id, row.seq, row.at) if is_start else row.at))
        begun = max(row.at, runs[-1].end) if is_start and runs else row.at if is_start else None
    if begun is not None:
        runs.append(Span(begun, info.last_at))
    return [run for run in runs if run.end > run.begin]


def _last_before(db: Connection, session_id: str, seq: int, at: datetime) -> datetime:
    """The last instant that was stored before a start; the start's own facts are dated as it is."""
    query = sa.select(sa.func.max(t.journal.c.at)).where(
        t.journal.c.session_id == session_id, t.journal.c.seq < seq, t.journal.c.at < at
    )
    found = [db.execute(query).scalar(), archive.newest_at(db, session_id, seq, at)]
    return max((instant for instant in found if instant is not None), default=at)


def _held(db: Connection, info: SessionInfo) -> Iterator[Span]:
    """When something was held, by its beginning: round trips, and what is held still."""
    columns = t.closed_trades.c
    query = (
        sa.select(columns.entry_at, columns.exit_at)
        .where(columns.session_id == info.id)
        .order_by(columns.entry_at, columns.number)
    )
    begins = sa.select(t.positions.c.entry_at).where(t.positions.c.session_id == info.id)
    still = sorted(Span(at, max(at, info.last_at)) for at in db.execute(begins).scalars())
    rolled_up = sorted(Span(trade.entry_at, trade.exit_at) for trade in archive.trades(db, info.id))
    return heapq.merge((Span(row.entry_at, row.exit_at) for row in _rows(db, query)), rolled_up, still)


def _traded(db: Connection, session_id: str) -> tuple[Decimal, Decimal, int]:
    """Dollars bought, dollars sold, and how many fills. Added here: SQLite would add text as floats."""
    columns = t.fills.c
    query = sa.select(columns.symbol, columns.side, columns.qty, columns.price).where(columns.session_id == session_id)
    total, count = {Side.BUY: ZERO, Side.SELL: ZERO}, 0
    for row in _rows(db, query):
        total[Side(row.side)] += row.qty * row.price * multiplier_of(row.symbol)
        count += 1
    return total[Side.BUY], total[Side.SELL], count


def _foreign_seen(db: Connection, session_id: str) -> bool:
    rows = _facts(db, session_id, ev.ForeignSeen)
    seen = [_decoded(_foreign, session_id, row.seq, row.payload).qty for row in rows]
    return any(seen)


def _count(db: Connection, session_id: str, kind: type[ev.Fact]) -> int:
    query = sa.select(sa.func.count()).select_from(t.journal)
    where = (t.journal.c.session_id == session_id, t.journal.c.kind == kind.__name__)
    return int(db.execute(query.where(*where)).scalar_one()) + archive.count(db, session_id, kind.__name__)


def _facts(
    db: Connection, session_id: str, *kinds: type[ev.Fact], begin: datetime | None = None, end: datetime | None = None
) -> Iterator[Any]:
    """Rows of the journal of these kinds, oldest first, be they rolled up; between two instants if they are given."""
    names = [kind.__name__ for kind in kinds]
    query = sa.select(t.journal.c.seq, t.journal.c.at, t.journal.c.payload)
    query = query.where(t.journal.c.session_id == session_id, t.journal.c.kind.in_(names))
    if begin is not None and end is not None:
        query = query.where(t.journal.c.at >= begin, t.journal.c.at <= end)
    rolled_up = archive.facts(db, session_id, names, begin=begin, end=end)
    return heapq.merge(_rows(db, query.order_by(t.journal.c.seq)), rolled_up, key=lambda row: row.seq)


def _decoded(decoder: msgspec.json.Decoder[_T], session_id: str, seq: int, payload: str | msgspec.Raw) -> _T:
    try:
        return decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise _corrupt(session_id, seq) from error


def _finite(session_id: str, seq: int, amount: Decimal) -> Decimal:
    if not amount.is_finite():
        raise _corrupt(session_id, seq)
    return amount


def _corrupt(session_id: str, seq: int) -> CheckpointCorrupt:
    text = f"journal row {seq} of session {session_id} cannot be read"
    return CheckpointCorrupt(text, hint="see: gambler-ai doctor")


def _rows(db: Connection, query: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
    """Rows of a long answer: on Postgres from a cursor of the server's, which is closed whatever comes."""
    with db.execute(query, execution_options={"yield_per": ROWS_AT_ONCE}) as result:
        yield from result
