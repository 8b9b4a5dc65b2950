"""Structures of options for tests: proposals, their quotes, and a floor that takes and fills their orders."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.contracts import multiplier_of
from gambler_ai.core.engine import Decisions, Engine
from gambler_ai.core.model import Account, Activity, Fill, Instrument, MarketView, Side
from gambler_ai.core.orders import OrderIntent, OrderReport
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import (
    ChainQuery,
    ExitRules,
    Greeks,
    Leg,
    OptionQuote,
    Structure,
    StructureProposal,
    natural_price,
)
from tests.unit.fakes import AT, DAY, FIVE, LIMITS, MARKET, MONEY, bars_closed, make_plan, make_state, reading

D = Decimal
CALL, PUT = "AAPL081122C00100000", "AAPL081122P00100000"
#: An iron condor around 100: put wing, short put, short call, call wing.
WINGS = ("AAPL081122P00090000", "AAPL081122P00095000", "AAPL081122C00105000", "AAPL081122C00110000")
STRADDLE = (Leg(CALL, 1), Leg(PUT, 1))
CONDOR = tuple(Leg(symbol, ratio) for symbol, ratio in zip(WINGS, (1, -1, -1, 1), strict=True))
COVERED = (Leg("AAPL", 100), Leg(CALL, -1))
RULES = ExitRules(days_left=7, time_value=D("0.10"), max_days=30)
OPTIONS_MONEY = replace(MONEY, options_level=3, options_buying_power=D(100_000))
GREEKS = Greeks(0.5, 0.02, -0.05, 0.1, 0.25)
#: Contract -> bid and ask of an ordinary moment.
PRICES = {
    CALL: ("4.90", "5.00"), PUT: ("4.80", "4.90"), WINGS[0]: ("0.90", "1.00"), WINGS[1]: ("2.00", "2.10"),
    WINGS[2]: ("2.20", "2.30"), WINGS[3]: ("1.00", "1.10"),
}  # fmt: skip


def quotes_of(
    at: datetime = AT, prices: Mapping[str, tuple[str | None, str | None]] | None = None
) -> dict[str, OptionQuote]:
    """Bid and ask of the contracts above; ``prices`` are others of some."""
    every: Mapping[str, tuple[str | None, str | None]] = {**PRICES, **(prices or {})}
    return {
        s: OptionQuote(s, None if bid is None else D(bid), None if ask is None else D(ask), at, GREEKS)
        for s, (bid, ask) in every.items()
    }


def proposal(legs: Sequence[Leg] = STRADDLE, **changes: Any) -> StructureProposal:
    """One unit of ``legs`` at the quotes above, with the underlying at 100."""
    contracts = [leg for leg in legs if leg.contract is not None]
    shares = sum((leg.weight * 100 for leg in legs if leg.contract is None), D(0))
    net = natural_price(contracts, quotes_of())
    net = changes["entry_price"] if net is None else net + shares
    bounds = {STRADDLE: net * 100, CONDOR: (5 + net) * 100, COVERED: net * 100}
    made = StructureProposal(
        strategy="straddle", underlying="AAPL", legs=tuple(legs), signal_at=AT - FIVE, reason="it is quiet",
        entry_price=net, stop_price=net - abs(net) / 2, target_price=net + abs(net) / 2, exits=RULES,
        max_loss=bounds.get(tuple(legs)), max_profit=None, confidence=D("0.7"),
        greeks={leg.symbol: GREEKS for leg in contracts},
    )  # fmt: skip
    return replace(made, **changes)


def structure_of(legs: Sequence[Leg], units: int = 2, **changes: Any) -> Structure:
    """So many units of ``legs``, whatever they are; ``changes`` are what matters of it."""
    made = Structure(
        structure_id="s-1", strategy="straddle", underlying="AAPL", sector="AAPL", legs=tuple(legs), units=units,
        entry_price=D("9.90"), stop_price=None, target_price=None, exits=RULES, max_loss=None, max_profit=None,
        confidence=None, greeks={leg.symbol: GREEKS for leg in legs if leg.contract is not None}, opened_at=AT,
        reason="it is quiet",
    )  # fmt: skip
    return replace(made, **changes)


def structure(legs: Sequence[Leg] = STRADDLE, units: int = 2, **changes: Any) -> Structure:
    """So many units of what is proposed at the quotes above, as if they had been decided."""
    p = proposal(legs)
    asked = {name: getattr(p, name) for name in p.__struct_fields__ if name in Structure.__struct_fields__}
    return structure_of(**{**asked, "units": units} | changes)


def options_state(**changes: Any) -> SessionState:
    """An options session on AAPL and MSFT, 5,000 dollars a trade, in an account of level 3."""
    plan = make_plan(universe="options", capital_per_trade=D(5_000))
    return make_state(**{"plan": plan, "day": DAY, "account": OPTIONS_MONEY} | changes)


class Chooses:
    """A strategy that proposes what it was told to, and wants one chain an underlying."""

    name = "options"
    history = 1
    daily_history = 30

    def __init__(self, *proposals: Any) -> None:
        self.proposals = list(proposals)
        self.views: list[MarketView] = []
        self.raises: Exception | None = None
        self.unasked: tuple[str, ...] = ()  # underlyings that it wants the chains of beside those it is asked for
        self.dates = False  # what it proposes is dated by the newest bar, as a strategy does it

    def propose(self, view: MarketView) -> list[Any]:
        self.views.append(view)
        newest = view.frame.newest_at(0)
        return [replace(p, signal_at=newest) for p in self.proposals] if self.dates else self.proposals

    def chains(self, underlyings: Collection[str], day: date) -> list[ChainQuery]:
        if self.raises is not None:
            raise self.raises
        return [ChainQuery(s, day, day + timedelta(days=45), D(10)) for s in (*underlyings, *self.unasked)]


class Floor:
    """A broker's floor: it takes bodies, fills what it is told to, and states what is held."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderReport] = {}
        self.fills: list[Fill] = []
        self.held: dict[str, Decimal] = {}
        self.cash = D(0)
        self.actions: list[Activity] = []

    def take(self, intent: OrderIntent, at: datetime) -> OrderReport:
        """The order that a body asks for; one of an id that is known is the same."""
        coid, body = intent.client_order_id, json.loads(intent.body)
        if coid in self.orders:
            return self.orders[coid]
        limit = body.get("limit_price")
        made = OrderReport(
            order_id=f"o{len(self.orders)}-{coid[4:10]}", client_order_id=coid, symbol=intent.symbol,
            side=intent.side, qty=D(body["qty"]), filled_qty=D(0), filled_avg_price=None, type=body["type"],
            order_class=body.get("order_class", "simple"), time_in_force="day",
            limit_price=None if limit is None else D(limit), stop_price=None, status="new", submitted_at=at,
            updated_at=at,
        )  # fmt: skip
        legs = tuple(
            replace(
                made, order_id=f"{made.order_id}-{n}", client_order_id=f"{made.order_id}-{n}", symbol=leg["symbol"],
                side=Side(leg["side"]), qty=made.qty * int(leg["ratio_qty"]), limit_price=None,
            ) for n, leg in enumerate(body.get("legs", ()))
        )  # fmt: skip
        self.orders[coid] = replace(made, legs=legs)
        return self.orders[coid]

    def fill(
        self, coid: str, at: datetime, units: int | None = None, prices: Mapping[str, str] | None = None,
        only: Collection[str] | None = None,
    ) -> None:  # fmt: skip
        """Execute so many units (all that are left), at ``prices`` or a dollar; ``only`` some of its legs."""
        order = self.orders[coid]
        left = order.qty - order.filled_qty if units is None else D(units)
        parts = order.legs or (order,)
        done = []
        for part in parts:
            qty = left * part.qty / order.qty
            if only is not None and part.symbol not in only:
                done.append(part)
                continue
            self.execute(part, qty, D((prices or {}).get(part.symbol, "1")), at)
            done.append(_filled(part, qty, at))
        self.orders[coid] = replace(_filled(order, left, at), legs=tuple(done)) if order.legs else done[0]

    def execute(self, part: OrderReport, qty: Decimal, price: Decimal, at: datetime) -> None:
        fill = Fill(f"f{len(self.fills):04}", part.order_id, part.symbol, part.side, qty, price, at)
        self.fills.append(fill)
        self.move(part.symbol, qty * part.side.sign, price)

    def move(self, symbol: str, qty: Decimal, price: Decimal) -> None:
        """So much (signed) changes hands."""
        self.held[symbol] = self.held.get(symbol, D(0)) + qty
        self.cash -= qty * price * multiplier_of(symbol)

    def end(self, coid: str, status: str, at: datetime) -> None:
        """An order and its legs end as they are."""
        order = self.orders[coid]
        legs = tuple(replace(leg, status=status, updated_at=at) for leg in order.legs)
        self.orders[coid] = replace(order, status=status, updated_at=at, legs=legs)

    def positions(self) -> list[ev.PositionReport]:
        return [ev.PositionReport(s, qty, D(1), None) for s, qty in self.held.items() if qty]


def _filled(order: OrderReport, qty: Decimal, at: datetime) -> OrderReport:
    filled = order.filled_qty + qty
    status = "filled" if filled == order.qty else "partially_filled"
    return replace(order, filled_qty=filled, filled_avg_price=D(1), status=status, updated_at=at)


class Pit:
    """An engine of an options session on a floor of its own; time goes on by a second with each step."""

    def __init__(self, *proposals: Any, state: SessionState | None = None, **changes: Any) -> None:
        self.strategy = Chooses(*proposals)
        self.floor = Floor()
        self.at = AT
        self.facts: list[ev.Fact] = []
        self.sends = True
        self._build(state if state is not None else options_state(**changes))
        self.read()

    def _build(self, state: SessionState) -> None:
        every = {s: Instrument(s) for s in ("AAPL", "MSFT")}
        self.engine = Engine(state, self.strategy, LIMITS, every, lambda _ids: set())

    @property
    def state(self) -> SessionState:
        return self.engine.state

    @property
    def structure(self) -> Structure:
        [found] = self.state.structures.values()
        return found

    def crash(self, state: SessionState) -> None:
        """Begin anew from ``state``, as it was stored."""
        self._build(state)

    def step(self, event: ev.Input) -> Decisions:
        decisions = self.engine.step(event)
        self.facts += decisions.facts
        for fact in decisions.facts:
            if isinstance(fact, ev.IntentPlanned) and self.sends:
                report = self.floor.take(fact.intent, self.at)
                self.facts += self.engine.step(ev.SubmitAnswered(self.at, fact.intent.client_order_id, report)).facts
        return decisions

    def read(
        self, after_s: float = 1, *, market: ev.MarketReport = MARKET, account: Account = OPTIONS_MONEY
    ) -> Decisions:
        """A whole reading of the floor, so many seconds later."""
        self.at += timedelta(seconds=after_s)
        floor = self.floor
        report = reading(
            orders=floor.orders.values(), fills=floor.fills, positions=floor.positions(), market=market,
            account=account, actions=floor.actions,
        )  # fmt: skip
        return self.step(ev.BrokerReported(self.at, report, reconcile=False))

    def scan(
        self, after_s: float = 1, quotes: Mapping[str, OptionQuote] | None = None, price: str = "100"
    ) -> Decisions:
        """Prices come, so many seconds later."""
        self.at += timedelta(seconds=after_s)
        event = bars_closed(self.at, ("AAPL", "MSFT"), price)
        quotes = quotes_of(self.at) if quotes is None else quotes
        return self.step(ev.BarsClosed(event.at, event.frame, event.trades, quotes=quotes))

    def entered(self) -> Pit:
        """What is proposed is planned, sent, and filled whole at its natural prices."""
        self.scan()
        self.strategy.proposals = []
        self.fill_all()
        self.read()
        return self

    def fill_all(self, **prices: str) -> None:
        """All that rests is filled at the far side of the quotes."""
        for coid, order in list(self.floor.orders.items()):
            if order.status in ("new", "partially_filled"):
                at = {p.symbol: _far_side(p) for p in order.legs or (order,)} | prices
                self.floor.fill(coid, self.at, prices=at)

    def intents(self, kind: str = "") -> list[OrderIntent]:
        """What was planned so far, of one purpose."""
        planned = [f.intent for f in self.facts if isinstance(f, ev.IntentPlanned)]
        return [intent for intent in planned if not kind or intent.purpose == kind]

    def of(self, kind: type[ev.Fact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


def _far_side(order: OrderReport) -> str:
    bid, ask = PRICES.get(order.symbol, ("100", "100"))
    return ask if order.side is Side.BUY else bid


def legs_of(intent: OrderIntent) -> list[tuple[str, str, str]]:
    """Symbol, side and intent of each leg of an order's body."""
    body: Iterable[dict[str, str]] = json.loads(intent.body)["legs"]
    return [(leg["symbol"], leg["side"], leg["position_intent"]) for leg in body]
