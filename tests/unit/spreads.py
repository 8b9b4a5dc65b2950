"""Structures as sessions of options hold them: a vertical, a covered call, and what a broker says of their orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import Activity, Fill, Side
from gambler_ai.core.orders import (
    OrderIntent,
    OrderReport,
    Purpose,
    client_order_id,
    entry_decision_id,
    market_body,
    mleg_body,
    position_decision_id,
)
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import ExitRules, Leg, Structure
from tests.unit import structures
from tests.unit.fakes import ACCOUNT, AT, DAY, FIVE, SESSION, D, make_plan, make_state

STRATEGY = "straddle"
C100, C105 = "AAPL081017C00100000", "AAPL081017C00105000"
P100, P95 = "AAPL081017P00100000", "AAPL081017P00095000"
DECISION = entry_decision_id(STRATEGY, "AAPL", Side.BUY, AT - FIVE)
COID = client_order_id(ACCOUNT, SESSION, DECISION)
VERTICAL = {C100: 1, C105: -1}
COVERED = {"AAPL": 100, C105: -1}
PRICES = {C100: "3.20", C105: "1.10", P100: "2.90", P95: "1.00", "AAPL": "100"}


def plan_of(**changes: Any) -> Any:
    return make_plan(strategy=STRATEGY, universe="options", **changes)


def structure_of(ratios: Mapping[str, int], units: int = 1, **changes: Any) -> Structure:
    """One on AAPL; its id is that of an entry decided at `AT`."""
    given: dict[str, Any] = {
        "structure_id": COID, "strategy": STRATEGY, "sector": "", "entry_price": D("2.10"), "stop_price": D("1.05"),
        "target_price": D("3.15"), "exits": ExitRules(days_left=1), "max_loss": D(210), "max_profit": D(290),
        "greeks": {},
    }  # fmt: skip
    legs = tuple(Leg(symbol, ratio) for symbol, ratio in ratios.items())
    return structures.structure_of(legs, units, **given | changes)


def entry_of(structure: Structure) -> OrderIntent:
    """What opens it: one order for all its contracts, or the shares of a covered call."""
    legs = [(leg.symbol, leg.ratio) for leg in structure.legs if leg.contract is not None]
    shares = [leg for leg in structure.legs if leg.contract is None]
    qty = D(shares[0].ratio * structure.units) if shares else D(structure.units)
    body = (
        market_body(COID, "AAPL", Side.BUY, qty) if shares
        else mleg_body(COID, legs, structure.units, opening=True, limit=structure.entry_price)
    )  # fmt: skip
    return OrderIntent(
        client_order_id=COID, decision_id=DECISION, attempt=0, purpose=Purpose.ENTRY, strategy=STRATEGY, symbol="AAPL",
        side=Side.BUY, qty=qty, ref_price=D(210), stop_price=structure.stop_price, target_price=structure.target_price,
        position_id=COID, reason=structure.reason, decided_at=AT, valid_until=AT + 2 * FIVE, body=body, market_day=DAY,
        structure_id=COID, structure=structure,
    )  # fmt: skip


def exit_of(structure: Structure, ordinal: int = 0, **changes: Any) -> OrderIntent:
    """What closes all its contracts in one order."""
    decision = position_decision_id(Purpose.EXIT, structure.structure_id, ordinal)
    coid = client_order_id(ACCOUNT, SESSION, decision)
    legs = [(leg.symbol, leg.ratio) for leg in structure.legs]
    intent = replace(
        entry_of(structure), client_order_id=coid, decision_id=decision, purpose=Purpose.EXIT, side=Side.SELL,
        valid_until=None, body=mleg_body(coid, legs, structure.units, opening=False), structure=None, market_day="",
    )  # fmt: skip
    return replace(intent, **changes)


def report_of(intent: OrderIntent, ratios: Mapping[str, int], status: str = "filled", **changes: Any) -> OrderReport:
    """What a broker says of an order for several contracts, after `broker.convert`."""
    sign, filled = (1 if intent.purpose is Purpose.ENTRY else -1), status == "filled"
    limit = intent.structure.entry_price if intent.structure is not None else None
    parent = OrderReport(
        order_id=f"o-{intent.client_order_id[4:12]}", client_order_id=intent.client_order_id, symbol=intent.symbol,
        side=intent.side, qty=intent.qty, filled_qty=intent.qty if filled else D(0), filled_avg_price=None,
        type="market" if limit is None else "limit", order_class="mleg", time_in_force="day", limit_price=limit,
        stop_price=None, status=status, submitted_at=intent.decided_at, updated_at=intent.decided_at,
    )  # fmt: skip
    legs = tuple(_leg(parent, symbol, sign * ratio, filled) for symbol, ratio in ratios.items())
    return replace(parent, **{"legs": legs} | changes)


def _leg(parent: OrderReport, symbol: str, ratio: int, filled: bool) -> OrderReport:
    qty = parent.qty * abs(ratio)
    return replace(
        parent, order_id=f"{parent.order_id}-{symbol}", client_order_id=f"theirs-{parent.order_id}-{symbol}",
        symbol=symbol, side=Side.BUY if ratio > 0 else Side.SELL, qty=qty, filled_qty=qty if filled else D(0),
        filled_avg_price=D(PRICES[symbol]) if filled else None, limit_price=None,
    )  # fmt: skip


def fills_of(report: OrderReport, at: datetime = AT) -> list[Fill]:
    """A fill of each leg, whole."""
    return [
        Fill(f"act-{leg.order_id}", leg.order_id, leg.symbol, leg.side, leg.qty, D(PRICES[leg.symbol]), at)
        for leg in report.legs
    ]


def bare_state(**changes: Any) -> SessionState:
    return make_state(**{"plan": plan_of(), "day": DAY} | changes)


def holding(ratios: Mapping[str, int], units: int = 1, **changes: Any) -> SessionState:
    """A session that holds a structure of these contracts."""
    state, structure = bare_state(), structure_of(ratios, units, **changes)
    intent = entry_of(structure)
    parent = report_of(intent, ratios)
    booked = [ev.FillReported(AT, fill) for fill in fills_of(parent)]
    evolve(state, [ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent), *booked])
    return state


def covered(units: int = 1) -> SessionState:
    """A session that holds a covered call: the shares were bought first, the call was sold after them."""
    state, structure = bare_state(), structure_of(COVERED, units)
    shares = entry_of(structure)
    decision = position_decision_id(Purpose.LEG, COID, 0)
    call = replace(
        shares, client_order_id=client_order_id(ACCOUNT, SESSION, decision), decision_id=decision, purpose=Purpose.LEG,
        symbol=C105, side=Side.SELL, qty=D(units), structure=None,
    )  # fmt: skip
    for intent in (shares, call):
        report = replace(report_of(intent, {}), order_class="simple", type="market", limit_price=None)
        fill = Fill(f"act-{report.order_id}", report.order_id, intent.symbol, intent.side, intent.qty,
                    D(PRICES[intent.symbol]), AT)  # fmt: skip
        evolve(state, [ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, report), ev.FillReported(AT, fill)])
    return state


def activity(type_: str, symbol: str, qty: str | None, at: datetime, number: int = 1, **more: Any) -> Activity:
    """An option activity; ``more`` gives its amount, price or group."""
    given = {"amount": D(0)} | more
    return Activity(
        f"nta-{type_}-{symbol}-{number}", type_, "", symbol, None if qty is None else D(qty), at=at, **given
    )


def quantities(state: SessionState) -> dict[str, str]:
    """What is held, by symbol."""
    return {symbol: f"{position.qty:f}" for symbol, position in sorted(state.positions.items())}


def positions(quantities: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> list[ev.PositionReport]:
    """Position rows, at the prices that everything here has."""
    return [
        ev.PositionReport(symbol, D(str(qty)), D(PRICES.get(symbol, "100")), None)
        for symbol, qty in dict(quantities).items() if D(str(qty))
    ]  # fmt: skip
