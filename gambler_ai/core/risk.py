"""From a proposal to an approved size, or a denial with its code. Pure; a denial is a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from gambler_ai.core import degraded, exposure, sizing
from gambler_ai.core.contracts import underlying_of
from gambler_ai.core.events import ALL, MarketReport
from gambler_ai.core.model import (
    ZERO,
    Account,
    Instrument,
    Proposal,
    Side,
    Trade,
    is_sane_price,
    round_price,
    stop_and_target,
)
from gambler_ai.core.orders import IN_FLIGHT, Purpose, Status
from gambler_ai.core.protection import Protection, protections
from gambler_ai.core.risk_record import pause_end
from gambler_ai.core.state import SessionState

if TYPE_CHECKING:
    from gambler_ai.core.model import BarFrame

#: Alpaca checks a short against the ask plus 3 % (BEHAVIOUR 3, buying power).
SHORT_MARGIN = Decimal("1.03")
#: The span of `max_orders_per_minute`, in session time.
MINUTE = timedelta(minutes=1)
#: Left free of the stated buying power: the far side of the quote and the last cent of rounding.
BUYING_POWER_USED = Decimal("0.98")


class Code(StrEnum):
    """Why a proposal was denied."""

    HALTED = "halted"
    DEGRADED = "degraded"
    MARKET_CLOSED = "market_closed"
    STALE_DATA = "stale_data"
    ABSURD_PRICE = "absurd_price"
    POSITION_OPEN = "position_open"
    ORDER_OPEN = "order_open"
    SYMBOL_BLOCKED = "symbol_blocked"
    FOREIGN_POSITION = "foreign_position"
    NOT_TRADABLE = "not_tradable"
    NOT_SHORTABLE = "not_shortable"
    NO_BUYING_POWER = "no_buying_power"
    STRATEGY_FAILED = "strategy_failed"
    UNPROTECTED = "unprotected"
    BAD_STOP = "bad_stop"
    MAX_POSITIONS = "max_positions"
    MAX_ORDER_VALUE = "max_order_value"
    MAX_ORDERS_PER_DAY = "max_orders_per_day"
    MAX_ORDERS_PER_MINUTE = "max_orders_per_minute"
    DRAWDOWN = "drawdown"
    LOSS_STREAK = "loss_streak"
    MAX_CORRELATION = "max_correlation"
    NO_SIZE = "no_size"
    NO_ROOM = "no_room"
    LOW_CONFIDENCE = "low_confidence"
    LEARNER_FAILED = "learner_failed"
    NO_OPTIONS_LEVEL = "no_options_level"
    MAX_PER_STRATEGY = "max_per_strategy"
    MAX_PER_SECTOR = "max_per_sector"


#: What leaves no room for a share -> why that is denied; else the way of sizing has none.
NO_SHARE = {"buying_power": Code.NO_BUYING_POWER, "position_size": Code.NO_BUYING_POWER} | dict.fromkeys(
    ("max_trade_pct", "max_symbol_pct", "max_sector_pct", "max_exposure_pct"), Code.NO_ROOM
)


class RiskLimits(Struct, frozen=True):
    """How fresh the market must be, and what other sessions of the account use; a plan has the rest."""

    bar_interval: timedelta
    #: Symbols in which another session of this account has an entry under way -> that session.
    taken: dict[str, str] = {}
    #: Symbols that other sessions of the account hold or are opening -> that session; and the entries they have
    #: sent, by market day; and when those of the last minute were decided.
    elsewhere: dict[str, str] = {}
    entries_elsewhere: dict[str, int] = {}
    recent_elsewhere: tuple[datetime, ...] = ()
    #: Symbol -> dollars that other sessions of the account have at stake in it.
    values_elsewhere: dict[str, Decimal] = {}
    entry_cutoff: timedelta = timedelta(minutes=5)
    stale_bars: int = 2


class Denial(Struct, frozen=True):
    """A refusal of ours."""

    code: Code
    context: str


class Approved(Struct, frozen=True):
    """A size and its prices; ``ref_price`` is what a share may cost at most."""

    qty: Decimal
    ref_price: Decimal
    stop_price: Decimal
    target_price: Decimal
    limit_price: Decimal | None = None


def review(
    proposal: Proposal, state: SessionState, at: datetime, limits: RiskLimits, market: MarketReport | None,
    instruments: Mapping[str, Instrument], trade: Trade | None, frame: BarFrame | None = None,
) -> Approved | Denial:  # fmt: skip
    """Approve ``proposal`` with a size, stop and target, or say why not. ``frame`` has the rules' ``bars``, or more."""
    denial = (
        gate(proposal.symbol, state, at, limits, market)
        or _symbol(proposal, state, limits, instruments)
        or counts(state, at, limits)
        or memory(state, at)
        or _alike(proposal, state, frame)
    )
    if denial is not None:
        return denial
    bar_end = proposal.signal_at + limits.bar_interval
    if at - bar_end > limits.stale_bars * limits.bar_interval:
        return Denial(Code.STALE_DATA, f"the signal's bar closed {at - bar_end} ago")
    if trade is None or at - trade.at > limits.stale_bars * limits.bar_interval:
        return Denial(Code.STALE_DATA, "no trade recent enough to price it")
    if not is_sane_price(trade.price):
        return Denial(Code.ABSURD_PRICE, f"last trade at {trade.price}")
    return _sized(proposal, state, trade.price, limits, frame)


def gate(
    symbol: str, state: SessionState, at: datetime, limits: RiskLimits, market: MarketReport | None
) -> Denial | None:
    """What keeps out any entry in ``symbol``: halts, what does not work, the hour, something bare."""
    if state.stopping:
        return Denial(Code.HALTED, state.stopping)
    if state.halts:
        return Denial(Code.HALTED, "; ".join(f"{k}: {v}" for k, v in sorted(state.halts.items())))
    if loss := daily_loss(state):  # a halt stands for it; without one it holds all the same
        return Denial(Code.HALTED, loss)
    if ALL in state.exits:
        return Denial(Code.HALTED, f"closing everything: {state.exits[ALL]}")
    against = degraded.against(state.degraded, symbol)
    if against:
        return Denial(Code.DEGRADED, "; ".join(f"{k}: {v}" for k, v in against.items()))
    if market is None or not market.is_open:
        return Denial(Code.MARKET_CLOSED, "" if market is None else f"next open {market.next_open:%F %R} UTC")
    if at >= market.next_close - limits.entry_cutoff:
        return Denial(Code.MARKET_CLOSED, f"no entries in the last {limits.entry_cutoff} of a session")
    bare = sorted(p.symbol for p, status, _why in protections(state) if status is Protection.NAKED)
    if bare:  # what is held comes first (RECOVERY_PROTOCOL C9)
        return Denial(Code.UNPROTECTED, f"{', '.join(bare)} without a stop for all of it")
    return None


def _symbol(
    proposal: Proposal, state: SessionState, limits: RiskLimits, instruments: Mapping[str, Instrument]
) -> Denial | None:
    symbol = proposal.symbol
    instrument = instruments.get(symbol)
    if instrument is None or not instrument.tradable:
        return Denial(Code.NOT_TRADABLE, f"{symbol} is not tradable")
    if proposal.side is Side.SELL and not instrument.shortable:
        return Denial(Code.NOT_SHORTABLE, f"{symbol} cannot be sold short")
    if symbol in state.positions:
        return Denial(Code.POSITION_OPEN, f"{state.positions[symbol].qty:f} held")
    for structure in state.structures.values():
        if structure.underlying == symbol:
            return Denial(Code.POSITION_OPEN, f"{structure.strategy} on it is open")
    if symbol in limits.taken:
        return Denial(Code.SYMBOL_BLOCKED, f"session {limits.taken[symbol]} has an entry in it under way")
    if denial := foreign(symbol, state):
        return denial
    for record in state.open_intents(symbol):
        if record.status in (Status.VOID, Status.DISPUTED):
            return Denial(Code.SYMBOL_BLOCKED, f"order {record.intent.client_order_id} is {record.status}")
        return Denial(Code.ORDER_OPEN, f"order {record.intent.client_order_id} is {record.status}")
    if state.live_orders(symbol):
        return Denial(Code.ORDER_OPEN, "an order of ours still rests at the broker")
    return None


def foreign(symbol: str, state: SessionState) -> Denial | None:
    """What the account holds beside ours in ``symbol``, or in contracts on it, which may bring or take its shares."""
    for name, qty in state.foreign.items():
        if underlying_of(name) == symbol:
            what = "" if name == symbol else f" {name}"
            return Denial(Code.FOREIGN_POSITION, f"{qty:f}{what} in the account are not ours")
    return None


def counts(state: SessionState, at: datetime, limits: RiskLimits) -> Denial | None:
    """What has been sent and is held already; a structure is one, whatever its legs."""
    plan = state.plan
    open_ = {structure.underlying for structure in state.structures.values()}
    open_ |= {underlying_of(s) for s in state.positions.keys() | entering(state) | limits.elsewhere.keys()}
    held = len(open_)
    if plan.max_positions is not None and held >= plan.max_positions:
        return Denial(Code.MAX_POSITIONS, f"{held} held or being opened, {plan.max_positions} allowed")
    sent = limits.entries_elsewhere.get(state.day, 0) + state.day_entries
    if plan.max_orders_per_day is not None and sent >= plan.max_orders_per_day:
        return Denial(Code.MAX_ORDERS_PER_DAY, f"{sent} entries sent on {state.day}, {plan.max_orders_per_day} allowed")
    if plan.max_orders_per_minute is not None:
        ours = [r.intent.decided_at for r in state.intents.values() if r.intent.purpose is Purpose.ENTRY]
        sent = sum(instant > at - MINUTE for instant in (*ours, *limits.recent_elsewhere))
        if sent >= plan.max_orders_per_minute:
            text = f"{sent} entries sent within a minute, {plan.max_orders_per_minute} allowed"
            return Denial(Code.MAX_ORDERS_PER_MINUTE, text)
    return None


def memory(state: SessionState, at: datetime) -> Denial | None:
    """What was lost before this scan."""
    record = state.risk
    if deep := too_deep(state, record.drawdown_pct):  # by our own marks as well, before the broker says so
        return Denial(Code.DRAWDOWN, deep)
    until = pause_end(record, state.plan.risk)
    if until is not None and at < until:
        text = f"{max(0, -record.streak)} losses in a row; nothing is entered until {until:%F %R} UTC"
        return Denial(Code.LOSS_STREAK, text)
    return None


def too_deep(state: SessionState, drawdown_pct: Decimal) -> str:
    """Why nothing may be entered at this drawdown, "" while the rules allow it."""
    most, peak = state.plan.risk.max_drawdown_pct, state.risk.peak
    if most is None or peak is None or drawdown_pct < most:
        return ""
    return f"{drawdown_pct:.2f} % below the peak of {peak:,.2f}, {most} % allowed"


def _alike(proposal: Proposal, state: SessionState, frame: BarFrame | None) -> Denial | None:
    rules = state.plan.risk
    if rules.max_correlation is None or frame is None:
        return None
    held = exposure.sides(state)
    name, alike = exposure.most_alike(proposal.symbol, proposal.side, held, frame, rules.correlation_bars)
    if alike is None:
        text = f"{proposal.symbol} and {name} do not have {rules.correlation_bars + 1} bars in common"
        return Denial(Code.MAX_CORRELATION, text)
    if alike > rules.max_correlation:
        return Denial(Code.MAX_CORRELATION, f"{alike:.2f} with {name}, {rules.max_correlation} allowed")
    return None


def entering(state: SessionState) -> set[str]:
    """Symbols with an entry that may still open a position."""
    return {record.intent.symbol for record in exposure.under_way(state)}


def daily_loss(state: SessionState) -> str:
    """Why no entry may follow today, "" while the day's loss is within the plan.

    The day's loss is against the equity the broker states for the last close, which no restart of ours can move;
    against the session's first where it states none.
    """
    most, lost = state.plan.max_daily_loss, lost_today(state.account, state.initial_equity)
    if most is None or lost < most:
        return ""
    return f"{lost:,.2f} lost on {state.day}, {most:,.2f} allowed"


def lost_today(account: Account, initial_equity: Decimal | None) -> Decimal:
    """By how much ``account`` is below the last close, or below ``initial_equity`` where none is stated."""
    base = account.last_equity or initial_equity
    return ZERO if base is None else base - account.equity


def _sized(
    proposal: Proposal, state: SessionState, price: Decimal, limits: RiskLimits, frame: BarFrame | None
) -> Approved | Denial:
    plan = state.plan
    buys, limit = proposal.side is Side.BUY, _limit(proposal, plan.limit_pct, price)
    if limit is not None and abs(limit - price) > price / 2:
        return Denial(Code.ABSURD_PRICE, f"a limit of {limit} with the last trade at {price}")
    # At the limit or better: it costs the limit at most, and is at least as good as the last trade.
    expected = price if limit is None else min(limit, price) if buys else max(limit, price)
    price = expected if limit is None or not buys else limit
    cost = price * (1 if buys else SHORT_MARGIN)
    room = _room(proposal, state, price, limits, frame)
    qty = (max(room.dollars, ZERO) / cost).to_integral_value(rounding=ROUND_DOWN)
    if qty < 1:
        code = NO_SHARE.get(room.rule, Code.NO_SIZE)
        return Denial(code, f"{max(room.dollars, ZERO):.2f} buys no whole share at {price} ({room.says})")
    if plan.max_order_value is not None and qty * price > plan.max_order_value:
        return Denial(Code.MAX_ORDER_VALUE, f"{qty * price:,.2f} dollars, {plan.max_order_value:,.2f} allowed")
    sign = proposal.side.sign
    stop = proposal.stop_loss_pct if proposal.stop_loss_pct is not None else plan.stop_loss_pct
    target = proposal.take_profit_pct if proposal.take_profit_pct is not None else plan.take_profit_pct
    stop_price, target_price = stop_and_target(expected, sign, stop, target)
    if limit is not None and (target_price - limit) * sign <= 0:
        return Denial(Code.ABSURD_PRICE, f"a limit of {limit} is beyond the target, {target_price}")
    return Approved(qty, price, stop_price, target_price, limit)


def _room(
    proposal: Proposal, state: SessionState, price: Decimal, limits: RiskLimits, frame: BarFrame | None
) -> sizing.Room:  # fmt: skip
    """What an entry may cost: the least of what is wanted, what the limits leave and what can be paid."""
    power = state.account.buying_power * BUYING_POWER_USED - reserved(state)
    rooms = [
        sizing.wanted(state, proposal.symbol, price, frame, proposal.share),
        *sizing.left(state, proposal.symbol, limits.values_elsewhere),
        sizing.Room(power, "buying_power", f"{state.account.buying_power:,.2f} of buying power"),
    ]
    return min(rooms, key=lambda room: room.dollars)


def _limit(proposal: Proposal, limit_pct: Decimal | None, price: Decimal) -> Decimal | None:
    """The proposal's own limit; else the plan's, in percent beyond the last trade; None at market."""
    if proposal.limit_price is not None or limit_pct is None:
        return proposal.limit_price
    return round_price(price * (1 + proposal.side.sign * limit_pct / 100))


def reserved(state: SessionState) -> Decimal:
    """Buying power spoken for by entries the broker has not counted yet."""
    return sum(
        (
            r.intent.qty * r.intent.ref_price * SHORT_MARGIN
            for r in state.intents.values()
            if r.intent.purpose is Purpose.ENTRY and r.status in IN_FLIGHT
        ),
        ZERO,
    )
