"""What a session knows, and what of it a fact touched. `evolution.apply` is the one function that changes it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from gambler_ai.core.learning import LearningRules, Outcome
from gambler_ai.core.model import ZERO, Account, ClosedTrade, Fill, Position
from gambler_ai.core.orders import (
    IntentRecord,
    Order,
    OrderReport,
)
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.structures import Structure

#: How far back fills are asked for again; an activity already booked is recognised by its id.
FILL_OVERLAP = timedelta(minutes=10)
#: Session time a settled order is kept in mind: a fill after a cancel, a second fill, come late (BEHAVIOUR 10.5).
SETTLED_KEPT = timedelta(minutes=15)
#: The same for orders; wider than any skew between our clock and the broker's that we trade with.
ORDER_OVERLAP = timedelta(minutes=1)

#: What a session trades: shares, or structures of options on its symbols.
SHARES, OPTIONS = "shares", "options"


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """What a session was asked to do. Stored with it, so that a resume needs no flags."""

    symbols: tuple[str, ...]
    duration_s: float
    interval_s: float
    checkpoint_interval_s: float
    timeframe_s: int
    strategy: str
    stop_loss_pct: Decimal
    take_profit_pct: Decimal
    position_size: Decimal
    keep_checkpoints: int
    speed: float
    feed: str
    strategy_parameters: dict[str, Any] = {}
    strategy_name: str = ""  # what its orders and positions are filed under
    strategy_sha256: str = ""  # of the source, for one that comes from a file
    on_exit: str = "keep"
    when_closed: str = "exit"  # what sessions did that were planned before there was a choice
    max_positions: int | None = None
    max_order_value: Decimal | None = None
    max_orders_per_day: int | None = None
    max_daily_loss: Decimal | None = None
    max_orders_per_minute: int | None = None
    risk: RiskRules = RiskRules()
    limit_pct: Decimal | None = None  # entries at a limit so many percent beyond the last trade; None at market
    history_limit: int = 10_000  # rows of a kind that are kept as they are; older ones are rolled up
    learning: LearningRules = LearningRules()
    universe: str = SHARES
    capital_per_trade: Decimal | None = None  # dollars that one structure may cost or lose
    max_per_strategy: int | None = None  # structures of one strategy, and in one sector, at a time
    max_per_sector: int | None = None
    autosave_iterations: int | None = None  # a checkpoint every so many scans, beside the time-based ones

    @property
    def filed_under(self) -> str:
        """The name that its decisions carry; of what a mix proposed as well, so that it is found again by its id."""
        return self.strategy_name or self.strategy


class SessionState(Struct):
    """Everything a decision may depend on. Rebuilt exactly from a checkpoint and the journal after it."""

    session_id: str
    account_id: str
    plan: Plan
    started_at: datetime
    last_at: datetime
    parameters: dict[str, Any] = field(default_factory=dict)
    seq: int = 0
    status: str = "created"
    end_reason: str = ""
    run_started_at: datetime | None = None
    run_budget_s: float = 0.0
    initial_equity: Decimal | None = None
    account: Account = field(default_factory=Account)
    positions: dict[str, Position] = field(default_factory=dict)
    intents: dict[str, IntentRecord] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    fill_ids: dict[str, list[str]] = field(default_factory=dict)  # order id -> its booked activities
    foreign: dict[str, Decimal] = field(default_factory=dict)
    marks: dict[str, Decimal] = field(default_factory=dict)
    bars: dict[str, datetime] = field(default_factory=dict)  # newest bar decided on
    degraded: dict[str, str] = field(default_factory=dict)
    stopping: str = ""  # why this run is to end
    halts: dict[str, str] = field(default_factory=dict)  # what halts entries -> why
    exits: dict[str, str] = field(default_factory=dict)  # symbol to be left, or ALL -> why
    day: str = ""  # the market day of the last reading
    day_entries: int = 0
    last_fill_at: datetime | None = None
    fills: int = 0
    closed_trades: int = 0
    realized_pnl: Decimal = ZERO
    unpriced_closes: int = 0
    actions: list[str] = field(default_factory=list)  # corporate actions that were applied or told
    risk: RiskRecord = field(default_factory=RiskRecord)
    structures: dict[str, Structure] = field(default_factory=dict)  # by structure_id
    iteration: int = 0  # scans so far, in all runs of the session

    @property
    def active_positions(self) -> int:
        """How many things are held: the legs of a structure are one."""
        return len({position.structure_id or symbol for symbol, position in self.positions.items()})

    @property
    def pnl(self) -> Decimal:
        """Our profit so far, realized and open, at the marks we have."""
        open_pnl = (p.unrealized(self.marks[s]) for s, p in self.positions.items() if s in self.marks)
        return sum(open_pnl, self.realized_pnl)

    @property
    def contexts(self) -> dict[str, dict[str, str]]:
        """The words that entries of what is held were proposed with, by symbol."""
        return {s: p.signal.context for s, p in self.positions.items() if p.signal is not None and p.signal.context}

    @property
    def remaining_s(self) -> float:
        """Session time left of the run that was last begun, or paused."""
        if self.run_started_at is None:
            return self.run_budget_s or self.plan.duration_s
        return max(0.0, self.run_budget_s - (self.last_at - self.run_started_at).total_seconds())

    def orders_of(self, record: IntentRecord) -> list[Order]:
        """What the broker made of an intent."""
        return [self.orders[order_id] for order_id in record.order_ids]

    def owner_of(self, report: OrderReport) -> str | None:
        """The intent that an order belongs to: its own, or that of the order whose place it took; None if not ours."""
        if report.client_order_id in self.intents:
            return report.client_order_id
        known = self.orders.get(report.order_id) or self.orders.get(report.replaces or "")
        return known.intent_id if known is not None else None

    def filling(self) -> set[str]:
        """Symbols in which an order's total and its booked fills differ: one of the two is on its way."""
        return {o.symbol for o in self.orders.values() if o.booked_qty != o.filled_qty}

    def live_orders(self, symbol: str) -> list[Order]:
        """Our orders at the broker in ``symbol`` that are not final."""
        return [o for o in self.orders.values() if o.symbol == symbol and o.is_live]

    def open_intents(self, symbol: str) -> list[IntentRecord]:
        """Intents in ``symbol`` whose end is not known (DISPUTED and watched VOID ones among them)."""
        return [
            r for r in self.intents.values()
            if r.intent.symbol == symbol and (not r.status.is_final or r.watch_until is not None)
        ]  # fmt: skip

    def orders_since(self) -> datetime:
        """From when the broker's orders have to be read so that none of ours that may move is missed."""
        since = [o.submitted_at for o in self.orders.values()]
        since += [r.intent.decided_at for r in self.intents.values()]
        return min([*since, self.last_at]) - ORDER_OVERLAP

    def fills_since(self, read_to: datetime | None = None) -> datetime:
        """From when fills have to be read (RECOVERY_PROTOCOL C7): the oldest order that may have one not booked.

        An order that reports more than is booked is read from its beginning, however old it is. ``read_to`` is when
        the broker was last read whole and agreed with our books: what rests as it did then has no older fill.
        """
        unbooked = [o.submitted_at for o in self.orders.values() if o.booked_qty < o.filled_qty]
        live = [o.submitted_at for o in self.orders.values() if o.is_live]
        since = min([*live, self.last_fill_at or self.started_at])
        return min([*unbooked, since if read_to is None else max(since, read_to)]) - FILL_OVERLAP


class Changes(Struct):
    """What a fact touched: keys whose row is to be written, and rows to be added."""

    symbols: set[str] = field(default_factory=set)
    intents: dict[str, IntentRecord] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    closed: list[ClosedTrade] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)  # of those that a stored signal began
    answers: dict[str, str] = field(default_factory=dict)  # request -> what came of it
    structures: set[str] = field(default_factory=set)  # ids whose row is to be written, or is no more
    ended: dict[str, Structure] = field(default_factory=dict)  # those of them that are no more, as they were last

    def merge(self, other: Changes) -> None:
        """Add what a later fact touched."""
        self.symbols |= other.symbols
        self.intents.update(other.intents)
        self.orders.update(other.orders)
        self.fills += other.fills
        self.closed += other.closed
        self.outcomes += other.outcomes
        self.answers.update(other.answers)
        self.structures |= other.structures
        self.ended.update(other.ended)
