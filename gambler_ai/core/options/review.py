"""From a proposed structure to so many units of it at a price, or a denial with its code. Pure; a denial is a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from gambler_ai.core import exposure, risk, sizing
from gambler_ai.core.contracts import Right, underlying_of
from gambler_ai.core.events import MarketReport
from gambler_ai.core.model import AHEAD, CENT, ZERO, Instrument, Side, Trade, is_sane_price, new_york_day
from gambler_ai.core.orders import (
    OrderIntent,
    Purpose,
    client_order_id,
    entry_decision_id,
    market_body,
    mleg_body,
)
from gambler_ai.core.risk import Code, Denial, RiskLimits
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import (
    Leg,
    OptionQuote,
    Structure,
    StructureProposal,
    dollars_at_risk,
    natural_price,
    net_price,
)

if TYPE_CHECKING:
    from gambler_ai.core.model import BarFrame

#: Before the close of its last day a contract is not opened any more (BEHAVIOUR 3, options).
LAST_OPENING = timedelta(minutes=30)
#: What a proposed price may be off the quotes: this part of it, and a few cents.
PRICE_OFF, CENTS_OFF = Decimal("0.1"), Decimal("0.05")
#: Alpaca's levels: covered calls and cash-secured puts, long contracts, several legs.
COVERED, LONG, SPREADS = 1, 2, 3


class Market(Struct, frozen=True):
    """What a review looks at beside the state."""

    at: datetime
    limits: RiskLimits
    clock: MarketReport | None
    instruments: Mapping[str, Instrument]
    quotes: Mapping[str, OptionQuote]
    trade: Trade | None  # the last of the underlying
    frame: BarFrame | None = None


class Approved(Struct, frozen=True):
    """Units, the net price of one, and the dollars that it can lose; ``limit_price`` is the order's own."""

    units: int
    net_price: Decimal
    at_risk: Decimal
    limit_price: Decimal


def review(proposal: StructureProposal, state: SessionState, market: Market) -> Approved | Denial:
    """Approve a structure with its units and price, or say why not."""
    at, limits = market.at, market.limits
    denial = (
        risk.gate(proposal.underlying, state, at, limits, market.clock)
        or _underlying(proposal, state, market)
        or _contracts(proposal, market)
        or _level(proposal, state)
        or risk.counts(state, at, limits)
        or _structures(proposal, state)
        or risk.memory(state, at)
        or _confidence(proposal, state)
        or _decided(proposal, state)
        or _fresh(proposal, market)
    )
    return denial or _sized(proposal, state, market)


def _underlying(proposal: StructureProposal, state: SessionState, market: Market) -> Denial | None:
    """One structure an underlying, and nothing else in it."""
    symbol, limits = proposal.underlying, market.limits
    instrument = market.instruments.get(symbol)
    if instrument is None or not instrument.tradable:
        return Denial(Code.NOT_TRADABLE, f"{symbol} is not tradable")
    for structure in state.structures.values():
        if structure.underlying == symbol:
            return Denial(Code.POSITION_OPEN, f"{structure.strategy} on it is open")
    for held, position in state.positions.items():
        if underlying_of(held) == symbol:
            return Denial(Code.POSITION_OPEN, f"{position.qty:f} {held} held")
    for elsewhere in limits.taken, limits.elsewhere:
        for name, session in elsewhere.items():
            if underlying_of(name) == symbol:
                return Denial(Code.SYMBOL_BLOCKED, f"session {session} trades it")
    if denial := risk.foreign(symbol, state):
        return denial
    for record in state.intents.values():
        if underlying_of(record.intent.symbol) == symbol and (
            not record.status.is_final or record.watch_until is not None
        ):
            return Denial(Code.ORDER_OPEN, f"order {record.intent.client_order_id} is {record.status}")
    if any(o.is_live and underlying_of(o.symbol) == symbol for o in state.orders.values()):
        return Denial(Code.ORDER_OPEN, "an order of ours still rests at the broker")
    return None


def _contracts(proposal: StructureProposal, market: Market) -> Denial | None:
    assert market.clock is not None  # of a market that is not known to be open nothing is entered
    today, last = new_york_day(market.at), market.clock.next_close - LAST_OPENING
    for leg in proposal.legs:
        contract = leg.contract
        if contract is None:
            continue
        if contract.expiry < today:
            return Denial(Code.NOT_TRADABLE, f"{leg.symbol} has expired")
        if contract.expiry == today and market.at >= last:
            return Denial(Code.NOT_TRADABLE, f"{leg.symbol} expires today; none is opened after {last:%R} UTC")
    return None


def level_needed(legs: tuple[Leg, ...]) -> int | None:
    """The options level that an account needs for them; None where none has it: a call sold short by itself."""
    contracts = [leg for leg in legs if leg.contract is not None]
    covered = sum(leg.ratio for leg in legs if leg.contract is None) // 100
    if len(contracts) > 1 and not covered:
        return SPREADS
    needed = [COVERED]
    for leg in contracts:
        assert leg.contract is not None
        if leg.ratio > 0:
            needed.append(LONG)
        elif leg.contract.right is Right.CALL and covered < -leg.ratio:
            return None
    return max(needed)


def _level(proposal: StructureProposal, state: SessionState) -> Denial | None:
    needed, stated = level_needed(proposal.legs), state.account.options_level
    if needed is None:
        return Denial(Code.NO_OPTIONS_LEVEL, "no account may sell a call without the shares")
    if stated is None:
        return Denial(Code.NO_OPTIONS_LEVEL, f"level {needed} is needed, the broker states none")
    if stated < needed:
        return Denial(Code.NO_OPTIONS_LEVEL, f"level {needed} is needed, the account has {stated}")
    return None


def _structures(proposal: StructureProposal, state: SessionState) -> Denial | None:
    plan, open_ = state.plan, state.structures.values()
    same = sum(s.strategy == proposal.strategy for s in open_)
    if plan.max_per_strategy is not None and same >= plan.max_per_strategy:
        text = f"{same} of {proposal.strategy} open, {plan.max_per_strategy} allowed"
        return Denial(Code.MAX_PER_STRATEGY, text)
    sector = exposure.sector_of(proposal.underlying, plan.risk)
    same = sum(s.sector == sector for s in open_)
    if plan.max_per_sector is not None and same >= plan.max_per_sector:
        return Denial(Code.MAX_PER_SECTOR, f"{same} open in {sector}, {plan.max_per_sector} allowed")
    return None


def _confidence(proposal: StructureProposal, state: SessionState) -> Denial | None:
    least = state.plan.learning.min_confidence
    if least is None:
        return None
    if proposal.confidence is None:
        return Denial(Code.LOW_CONFIDENCE, f"no probability of profit is stated, {least * 100:.0f} % wanted")
    if proposal.confidence < least:
        return Denial(
            Code.LOW_CONFIDENCE,
            f"{proposal.confidence * 100:.1f} % likely to end with a profit, {least * 100:.0f} % wanted",
        )
    return None


def _decided(proposal: StructureProposal, state: SessionState) -> Denial | None:
    """A decision is named by its bar: one that was decided on would have the id of an order that went out."""
    decided = state.bars.get(proposal.underlying)
    if decided is not None and proposal.signal_at <= decided:
        return Denial(Code.STALE_DATA, f"the bar of {proposal.signal_at:%F %R} UTC was decided on")
    return None


def _fresh(proposal: StructureProposal, market: Market) -> Denial | None:
    """Each price that it is entered at is there, new enough, and can be one."""
    limits, at, trade = market.limits, market.at, market.trade
    patience = limits.stale_bars * limits.bar_interval
    bar_end = proposal.signal_at + limits.bar_interval
    if at - bar_end > patience:
        return Denial(Code.STALE_DATA, f"the signal's bar closed {at - bar_end} ago")
    if trade is None or at - trade.at > patience:
        return Denial(Code.STALE_DATA, f"no trade of {proposal.underlying} recent enough")
    if not is_sane_price(trade.price):
        return Denial(Code.ABSURD_PRICE, f"last trade at {trade.price}")
    for leg in proposal.legs:
        if leg.contract is not None and (denial := _quoted(leg, market.quotes.get(leg.symbol), at, patience)):
            return denial
    return None


def _quoted(leg: Leg, quote: OptionQuote | None, at: datetime, patience: timedelta) -> Denial | None:
    if quote is None or quote.ask is None or (leg.ratio < 0 and quote.bid is None):
        return Denial(Code.STALE_DATA, f"{leg.symbol} has no {'ask' if leg.ratio > 0 else 'bid and ask'}")
    if not -AHEAD <= at - quote.at <= patience:
        return Denial(Code.STALE_DATA, f"the quote of {leg.symbol} is of {quote.at:%F %T} UTC")
    if not is_sane_price(quote.ask) or (quote.bid is not None and not ZERO <= quote.bid <= quote.ask):
        return Denial(Code.ABSURD_PRICE, f"{leg.symbol} at {quote.bid} bid and {quote.ask} ask")
    return None


def _sized(proposal: StructureProposal, state: SessionState, market: Market) -> Approved | Denial:
    assert market.trade is not None
    plan, spot = state.plan, market.trade.price
    contracts = [leg for leg in proposal.legs if leg.contract is not None]
    limit = natural_price(contracts, market.quotes)
    shares = net_price([leg for leg in proposal.legs if leg.contract is None], {proposal.underlying: spot})
    assert limit is not None
    assert shares is not None
    net, said = (limit + shares).quantize(CENT), proposal.entry_price
    if abs(net - said) > max(abs(said) * PRICE_OFF, CENTS_OFF):
        return Denial(Code.ABSURD_PRICE, f"proposed at {said:f}, the quotes say {net:f}")
    if not limit:
        return Denial(Code.ABSURD_PRICE, "its legs cost and bring the same: no price to enter at")
    at_risk = dollars_at_risk(proposal.max_loss, net)
    if at_risk <= 0:
        return Denial(Code.NO_SIZE, "it costs nothing, and what it can lose is not known")
    room = _room(proposal, state, market, max(at_risk, shares * 100), at_risk)
    units = int((max(room.dollars, ZERO) / at_risk).to_integral_value(rounding=ROUND_DOWN))
    if units < 1:
        text = f"one unit has {at_risk:,.2f} at risk, room is for {max(room.dollars, ZERO):,.2f}: {room.says}"
        return Denial(risk.NO_SHARE.get(room.rule, Code.NO_SIZE), text)
    if plan.max_order_value is not None and units * at_risk > plan.max_order_value:
        return Denial(
            Code.MAX_ORDER_VALUE, f"{units * at_risk:,.2f} dollars at risk, {plan.max_order_value:,.2f} allowed"
        )
    return Approved(units, net, at_risk, limit.quantize(CENT))


def _room(
    proposal: StructureProposal, state: SessionState, market: Market, to_pay: Decimal, at_risk: Decimal
) -> sizing.Room:
    """Dollars at risk: the least of what is wanted, what the limits leave, and what can be paid."""
    account, plan, symbol = state.account, state.plan, proposal.underlying
    assert market.trade is not None
    shares = any(leg.contract is None for leg in proposal.legs)
    stated = account.buying_power if shares or account.options_buying_power is None else account.options_buying_power
    power = (stated * risk.BUYING_POWER_USED - risk.reserved(state)) * at_risk / to_pay
    if plan.capital_per_trade is None:
        wanted = sizing.wanted(state, symbol, market.trade.price, market.frame, Decimal(1))
    else:
        scale = sizing.scaled(state.risk, plan.risk)
        says = f"{plan.capital_per_trade:,.2f} a structure"
        says = says if scale == 1 else f"{scale:.4f} of {says}"
        wanted = sizing.Room(plan.capital_per_trade * scale, "capital_per_trade", says)
    rooms = [
        wanted,
        *sizing.left(state, symbol, market.limits.values_elsewhere),
        sizing.Room(power, "buying_power", f"{stated:,.2f} of buying power"),
    ]
    return min(rooms, key=lambda room: room.dollars)


def entry(proposal: StructureProposal, state: SessionState, market: Market, yes: Approved) -> OrderIntent:
    """The intent that opens an approved structure, the whole plan of it within.

    Two or more contracts go in one order at their natural price; shares come before what is sold on them, at market.
    """
    first = next((leg for leg in proposal.legs if leg.contract is None), proposal.legs[0])
    whole, side = first.contract is not None, Side.BUY
    decision = entry_decision_id(state.plan.filed_under, proposal.underlying, side, proposal.signal_at)
    coid = client_order_id(state.account_id, state.session_id, decision)
    structure = Structure(
        structure_id=coid, strategy=proposal.strategy, underlying=proposal.underlying,
        sector=exposure.sector_of(proposal.underlying, state.plan.risk), legs=proposal.legs, units=yes.units,
        entry_price=yes.net_price, stop_price=proposal.stop_price, target_price=proposal.target_price,
        exits=proposal.exits, max_loss=proposal.max_loss, max_profit=proposal.max_profit,
        confidence=proposal.confidence, greeks=dict(proposal.greeks), opened_at=market.at, reason=proposal.reason,
    )  # fmt: skip
    qty = Decimal(yes.units if whole else first.ratio * yes.units)
    if whole:
        legs = [(leg.symbol, leg.ratio) for leg in proposal.legs]
        body = mleg_body(coid, legs, yes.units, opening=True, limit=yes.limit_price)
    else:
        body = market_body(coid, proposal.underlying, side, qty)
    limits = market.limits
    assert market.trade is not None
    return OrderIntent(
        client_order_id=coid, decision_id=decision, attempt=0, purpose=Purpose.ENTRY, strategy=proposal.strategy,
        symbol=proposal.underlying, side=side, qty=qty, ref_price=yes.at_risk if whole else market.trade.price,
        stop_price=proposal.stop_price, target_price=proposal.target_price, position_id=coid, reason=proposal.reason,
        decided_at=market.at, valid_until=proposal.signal_at + (1 + limits.stale_bars) * limits.bar_interval,
        body=body, market_day=state.day, structure_id=coid, structure=structure,
    )  # fmt: skip
