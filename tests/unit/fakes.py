"""The far ends, swapped: what a broker says, a broker that says it, a strategy that is told what to want."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np
from msgspec.structs import replace

from gambler_ai.core import bars
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions, Engine
from gambler_ai.core.model import (
    Account,
    Activity,
    BarFrame,
    Fill,
    Instrument,
    MarketView,
    MoveStop,
    Proposal,
    Side,
    Trade,
)
from gambler_ai.core.orders import (
    OrderIntent,
    OrderReport,
    Purpose,
    bracket_body,
    client_order_id,
    entry_decision_id,
    oco_body,
    position_decision_id,
)
from gambler_ai.core.risk import RiskLimits
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.core.structures import ChainQuery, OptionQuote

F = TypeVar("F")
D = Decimal
AT = datetime(2008, 10, 7, 14, 0, tzinfo=UTC)  # a Tuesday, 10:00 in New York
CLOSE = datetime(2008, 10, 7, 20, 0, tzinfo=UTC)
SESSION, ACCOUNT = "s-1", "acc-1"
FIVE = timedelta(minutes=5)
DAY = "2008-10-07"
MARKET = ev.MarketReport(AT, is_open=True, next_open=CLOSE + timedelta(hours=17, minutes=30), next_close=CLOSE)
SHUT = ev.MarketReport(AT, is_open=False, next_open=CLOSE, next_close=CLOSE + timedelta(hours=6))
MONEY = Account(cash=D(100_000), equity=D(100_000), portfolio_value=D(100_000), buying_power=D(200_000))
LIMITS = RiskLimits(bar_interval=FIVE)


def after(**duration: float) -> datetime:
    """So long after `AT`."""
    return AT + timedelta(**duration)


def make_plan(**changes: Any) -> Plan:
    plan = Plan(
        symbols=("AAPL", "MSFT"), duration_s=3600.0, interval_s=60.0, checkpoint_interval_s=30.0, timeframe_s=300,
        strategy="momentum", stop_loss_pct=D(2), take_profit_pct=D(4), position_size=D(10_000),
        keep_checkpoints=100, speed=0.0, feed="iex",
    )  # fmt: skip
    return replace(plan, **changes)


def make_state(**changes: Any) -> SessionState:
    """A session that has begun and been told of its money."""
    state = SessionState(session_id=SESSION, account_id=ACCOUNT, plan=make_plan(), started_at=AT, last_at=AT)
    state.account, state.initial_equity = MONEY, MONEY.equity
    for name, value in changes.items():
        setattr(state, name, value)
    return state


def entry(symbol: str = "AAPL", side: Side = Side.BUY, qty: str = "10", **changes: Any) -> OrderIntent:
    """An entry decided at `AT`: a bracket around 100."""
    decision = entry_decision_id("momentum", symbol, side, AT - FIVE)
    coid = client_order_id(ACCOUNT, SESSION, decision)
    stop, target = (D(98), D(104)) if side is Side.BUY else (D(102), D(96))
    intent = OrderIntent(
        client_order_id=coid, decision_id=decision, attempt=0, purpose=Purpose.ENTRY, strategy="momentum",
        symbol=symbol, side=side, qty=D(qty), ref_price=D(100), stop_price=stop, target_price=target,
        position_id=coid, reason="it moved", decided_at=AT, valid_until=AT + 2 * FIVE,
        body=bracket_body(coid, symbol, side, D(qty), target, stop),
    )  # fmt: skip
    return replace(intent, **changes)


def protect(position_id: str, qty: str = "10", ordinal: int = 0, **changes: Any) -> OrderIntent:
    """A re-armed stop and target of a long position."""
    decision = position_decision_id(Purpose.PROTECT, position_id, ordinal)
    coid = client_order_id(ACCOUNT, SESSION, decision)
    intent = OrderIntent(
        client_order_id=coid, decision_id=decision, attempt=0, purpose=Purpose.PROTECT, strategy="momentum",
        symbol="AAPL", side=Side.SELL, qty=D(qty), ref_price=D(100), stop_price=D(98), target_price=D(104),
        position_id=position_id, reason="re-armed", decided_at=AT, valid_until=None,
        body=oco_body(coid, "AAPL", Side.SELL, D(qty), D(104), D(98)),
    )  # fmt: skip
    return replace(intent, **changes)


def report_of(intent: OrderIntent, status: str = "new", filled: str = "0", **changes: Any) -> OrderReport:
    """What a broker says of the order of ``intent``."""
    bracket = intent.purpose is Purpose.ENTRY
    oco = intent.purpose is Purpose.PROTECT
    report = OrderReport(
        order_id=f"o-{intent.client_order_id[4:12]}", client_order_id=intent.client_order_id, symbol=intent.symbol,
        side=intent.side, qty=intent.qty, filled_qty=D(filled), filled_avg_price=D(100) if D(filled) else None,
        type="limit" if oco else "market", order_class="bracket" if bracket else "oco" if oco else "simple",
        time_in_force="gtc", limit_price=intent.target_price if oco else None, stop_price=None, status=status,
        submitted_at=intent.decided_at, updated_at=intent.decided_at,
    )  # fmt: skip
    return replace(report, **changes)


def leg(parent: OrderReport, kind: str, status: str = "held", **changes: Any) -> OrderReport:
    """The ``limit`` or ``stop`` leg of ``parent``."""
    exit_side = parent.side.opposite if parent.order_class == "bracket" else parent.side
    report = replace(
        parent, order_id=f"{parent.order_id}-{kind}", client_order_id=f"theirs-{parent.order_id}-{kind}",
        side=exit_side, filled_qty=D(0), filled_avg_price=None, type=kind, status=status, legs=(),
        limit_price=D(104) if kind == "limit" else None, stop_price=D(98) if kind == "stop" else None,
    )  # fmt: skip
    return replace(report, **changes)


def bracket_of(intent: OrderIntent, status: str = "filled", filled: str | None = None, **legs: str) -> OrderReport:
    """An entry with both its legs; ``limit`` and ``stop`` give their statuses."""
    whole = str(intent.qty) if status == "filled" else "0"
    parent = report_of(intent, status, whole if filled is None else filled)
    both = (leg(parent, "limit", legs.get("limit", "held")), leg(parent, "stop", legs.get("stop", "held")))
    return replace(parent, legs=both)


def fill_of(report: OrderReport, qty: str, price: str = "100", number: int = 1, **changes: Any) -> Fill:
    fill = Fill(
        activity_id=f"act-{report.order_id}-{number}", order_id=report.order_id, symbol=report.symbol,
        side=report.side, qty=D(qty), price=D(price), at=AT,
    )  # fmt: skip
    return replace(fill, **changes)


def held(symbol: str, qty: str, price: str = "100") -> ev.PositionReport:
    return ev.PositionReport(symbol, D(qty), D(price), D(price))


def reading(
    *, orders: Iterable[OrderReport] = (), fills: Iterable[Fill] = (), positions: Iterable[ev.PositionReport] = (),
    lookups: Mapping[str, OrderReport | None] | None = None, market: ev.MarketReport = MARKET, account: Account = MONEY,
    by_id: Mapping[str, OrderReport | None] | None = None, actions: Iterable[Activity] = (),
) -> ev.BrokerReport:  # fmt: skip
    return ev.BrokerReport(
        market, account, tuple(orders), tuple(fills), tuple(positions), lookups or {}, by_id or {}, tuple(actions)
    )


def reported(at: datetime = AT, *, reconcile: bool = False, **parts: Any) -> ev.BrokerReported:
    return ev.BrokerReported(at, reading(**parts), reconcile)


def frame_of(closes: Mapping[str, Sequence[float]], newest: datetime = AT - FIVE) -> BarFrame:
    """Five-minute bars with these closes, the newest beginning at ``newest``."""
    columns = {}
    for symbol, prices in closes.items():
        first = newest - (len(prices) - 1) * FIVE
        rows = [((first + i * FIVE).timestamp(), p, p, p, p, 1000.0) for i, p in enumerate(prices)]
        columns[symbol] = np.asarray(rows, dtype=np.float64).reshape(-1, 6)
    return bars.from_columns(tuple(closes), FIVE, columns, 100)


def trades_of(at: datetime = AT, **prices: str) -> dict[str, Trade]:
    return {symbol: Trade(symbol, D(price), at) for symbol, price in prices.items()}


def bars_closed(at: datetime = AT, symbols: Sequence[str] = ("AAPL",), price: str = "100") -> ev.BarsClosed:
    newest = at - FIVE
    frame = frame_of({s: [float(price)] for s in symbols}, newest)
    return ev.BarsClosed(at, frame, trades_of(at, **dict.fromkeys(symbols, price)))


def wish(symbol: str = "AAPL", side: Side = Side.BUY, signal_at: datetime = AT - FIVE) -> Proposal:
    return Proposal(symbol, side, signal_at, "it moved", D(2), D(4))


class Told:
    """A strategy that proposes what it was told to, or raises it."""

    name = "momentum"
    history = 1
    daily_history = 0

    def __init__(self, *proposals: Proposal | BaseException) -> None:
        self.proposals: list[Proposal | MoveStop | BaseException] = list(proposals)
        self.views: list[MarketView] = []
        self.queries: list[ChainQuery] = []

    def chains(self, underlyings: Collection[str], day: date) -> list[ChainQuery]:
        return self.queries

    def propose(self, view: MarketView) -> list[Proposal | MoveStop]:
        self.views.append(view)
        for proposal in self.proposals:
            if isinstance(proposal, BaseException):
                raise proposal
        return [p for p in self.proposals if isinstance(p, Proposal | MoveStop)]


class Desk:
    """An engine with its strategy, and what it has decided so far."""

    def __init__(
        self, *proposals: Proposal | BaseException, state: SessionState | None = None, limits: RiskLimits = LIMITS,
        instruments: Mapping[str, Instrument] | None = None, known: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.strategy = Told(*proposals)
        self.known = set(known)
        self.facts: list[ev.Fact] = []
        every = {s: Instrument(s) for s in ("AAPL", "MSFT", "IBM")}
        self.engine = Engine(
            state if state is not None else make_state(day=DAY), self.strategy, limits,
            every if instruments is None else instruments, lambda ids: ids & self.known,
        )  # fmt: skip

    @property
    def state(self) -> SessionState:
        return self.engine.state

    def step(self, event: ev.Input) -> Decisions:
        decisions = self.engine.step(event)
        self.facts += decisions.facts
        return decisions

    def record(self, *facts: ev.Fact) -> None:
        self.facts += self.engine.record(*facts).facts

    def opened(self, at: datetime = AT) -> Desk:
        """The market is open and its broker was read."""
        self.step(reported(at))
        return self

    def entered(self, at: datetime = AT) -> OrderIntent:
        """A planned entry in AAPL, ten shares at 100."""
        intent = entry()
        self.record(ev.IntentPlanned(at, intent))
        return intent

    def holding(self, at: datetime = AT, **legs: str) -> OrderIntent:
        """Ten AAPL bought at 100, their bracket resting."""
        intent = self.entered(at)
        parent = bracket_of(intent, **{"limit": "new", "stop": "held"} | legs)
        self.record(ev.OrderUpdated(at, parent), ev.FillReported(at, fill_of(parent, "10")))
        return intent


def kinds(decisions: Decisions | Iterable[ev.Fact]) -> list[str]:
    """The names of the facts, in order."""
    facts = decisions.facts if isinstance(decisions, Decisions) else decisions
    return [type(fact).__name__ for fact in facts]


def only(kind: type[F], decisions: Decisions | Iterable[Any]) -> F:
    """The one fact of ``kind``."""
    facts = decisions.facts if isinstance(decisions, Decisions) else list(decisions)
    [found] = [fact for fact in facts if isinstance(fact, kind)]
    return found


class FakeBroker:
    """A broker and its prices in memory. ``calls`` is what was asked.

    ``raises[name]`` makes that call fail; ``on[name]`` is called in the middle of it, with what was given.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.raises: dict[str, BaseException] = {}
        self.on: dict[str, Callable[..., None]] = {}
        self.report = reading()
        self.answer: Callable[[dict[str, Any]], OrderReport] | None = None
        self.by_id: dict[str, OrderReport | None] = {}
        self.opened: datetime | None = None
        self.without_options: set[str] = set()
        self.quotes: dict[str, OptionQuote] = {}
        self.daily = frame_of({"AAPL": [100.0], "MSFT": [50.0]})
        self.frame = frame_of({"AAPL": [100.0], "MSFT": [50.0]})
        self.prices = trades_of(AAPL="100", MSFT="50")

    def _called(self, name: str, *given: Any) -> None:
        self.calls.append((name, given))
        self.on.get(name, lambda *_: None)(*given)
        if name in self.raises:
            raise self.raises[name]

    def asked(self, name: str) -> list[Any]:
        return [given for called, given in self.calls if called == name]

    def account_id(self) -> str:
        self._called("account_id")
        return ACCOUNT

    def account(self) -> Account:
        self._called("account")
        return self.report.account

    def market(self) -> ev.MarketReport:
        self._called("market")
        return self.report.market

    def instruments(self, symbols: Collection[str]) -> dict[str, Instrument | None]:
        self._called("instruments", symbols)
        return {s: Instrument(s) for s in symbols}

    def with_options(self, symbols: Collection[str], day: date) -> set[str]:
        self._called("with_options", symbols, day)
        return set(symbols) - self.without_options

    def orders(self, since: datetime) -> list[OrderReport]:
        self._called("orders", since)
        return list(self.report.orders)

    def order_by_client_id(self, client_order_id: str) -> OrderReport | None:
        self._called("order_by_client_id", client_order_id)
        return self.by_id.get(client_order_id)

    def order(self, order_id: str) -> OrderReport | None:
        self._called("order", order_id)
        return next((o for o in self.report.orders if o.order_id == order_id), None)

    def fills(self, since: datetime) -> list[Fill]:
        self._called("fills", since)
        return list(self.report.fills)

    def actions(self, since: datetime) -> list[Activity]:
        self._called("actions", since)
        return list(self.report.actions)

    def opened_at(self) -> datetime | None:
        self._called("opened_at")
        return self.opened

    def positions(self) -> list[ev.PositionReport]:
        self._called("positions")
        return list(self.report.positions)

    def submit(self, body: str) -> OrderReport:
        self._called("submit", body)
        assert self.answer is not None
        return self.answer(json.loads(body))

    def replace(self, order_id: str, body: str) -> OrderReport:
        self._called("replace", order_id, body)
        assert self.answer is not None
        return self.answer(json.loads(body))

    def cancel(self, order_id: str) -> None:
        self._called("cancel", order_id)

    def bars(self, symbols: Sequence[str], interval: timedelta, start: datetime, end: datetime, keep: int) -> BarFrame:
        self._called("bars", tuple(symbols), interval, start, end, keep)
        return self.daily if interval == timedelta(days=1) else self.frame

    def trades(self, symbols: Sequence[str]) -> dict[str, Trade]:
        self._called("trades", tuple(symbols))
        return self.prices

    def chain(self, query: ChainQuery, spot: Decimal) -> dict[str, OptionQuote]:
        self._called("chain", query, spot)
        return {symbol: quote for symbol, quote in self.quotes.items() if symbol.startswith(query.underlying)}

    def option_quotes(self, symbols: Sequence[str]) -> dict[str, OptionQuote]:
        self._called("option_quotes", tuple(symbols))
        return {symbol: quote for symbol, quote in self.quotes.items() if symbol in symbols}
