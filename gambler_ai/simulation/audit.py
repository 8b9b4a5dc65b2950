"""What must hold after each resume, after each day and at the end: books against exchange, journal against state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from gambler_ai.core import degraded
from gambler_ai.core import events as ev
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.components import StructComponent
from gambler_ai.core.evolution import apply
from gambler_ai.core.model import ZERO
from gambler_ai.core.orders import ID_PREFIX, IntentRecord, Purpose
from gambler_ai.core.protection import Protection, protections
from gambler_ai.core.risk import RiskLimits, entering
from gambler_ai.core.state import Changes, SessionState
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.exchange.desk.orders import Fill, Order
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.proving.audit import Violation
from gambler_ai.proving.remembering import Chain, follow
from gambler_ai.simulation.books import Books
from gambler_ai.simulation.dice import Dice
from gambler_ai.simulation.lessons import Lessons
from gambler_ai.simulation.structures import Structures, underlyings
from gambler_ai.storage import journal, sessions
from gambler_ai.storage.database import Database
from gambler_ai.trading.recall import recall
from gambler_ai.trading.recovery import empty_state, restore

#: A position may be bare for so long of an open market with nothing being done; a broker that says no is asked ever
#: less often, after a quarter of an hour at last.
BARE_MAX = timedelta(minutes=20)

_bytes = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode  # not by what is judged


def _difference(one: SessionState, other: SessionState) -> str:
    """The first field in which two states differ, bit for bit; "" if none does."""
    for name in one.__struct_fields__:
        if _bytes(getattr(one, name)) != _bytes(getattr(other, name)):
            return f"{name}: {getattr(one, name)!r:.300} and {getattr(other, name)!r:.300}"
    return ""


def _at_stake(state: SessionState) -> Decimal:
    """Positions at their marks; a structure with what it can lose."""
    alone = ((s, p) for s, p in state.positions.items() if p.structure_id not in state.structures)
    held = sum((abs(p.value(state.marks.get(s, p.avg_entry_price))) for s, p in alone), ZERO)
    return sum((s.at_risk * s.units for s in state.structures.values()), held)


class Auditor:
    """Replays the journal from its first row, a part at a time, and looks at each fact before it is applied."""

    def __init__(
        self, database: Database, books: Books, exchange: Exchange, session_id: str, close_of: Callable[[str], datetime]
    ) -> None:
        """``close_of`` is the real close of a market day, as the calendar has it."""
        self._database = database
        self._books = books
        self._exchange = exchange
        self._session_id = session_id
        self._close_of = close_of
        self._state: SessionState | None = None
        self._head = journal.GENESIS
        self._halted = False  # as the requests that were taken have it
        self._fills: set[str] = set()
        self._peak = ZERO
        self._lost: list[datetime] = []  # when the losses in a row ended
        self._chain = Chain()
        self._lessons: Lessons | None = None
        self.entries = self.voids = 0
        self._told_bare: dict[str, datetime] = {}
        self._bare_since: dict[str, datetime] = {}  # or since something was last done about it
        self._structures = Structures(exchange)

    @property
    def head(self) -> str:
        """The hash of the newest journal row."""
        return self._head

    @property
    def state(self) -> SessionState:
        """The state as the journal alone makes it."""
        assert self._state is not None
        return self._state

    def always(self, live: SessionState | None) -> list[Violation]:
        """What holds at any instant; ``live`` is the state in the memory of a process that ended in order."""
        found = list(self._replay())
        found += self._same_state(live)
        if self.is_reset:  # what our books were about is gone
            return found
        found += self._orders()
        found += self._booked(complete=False)
        found += self._structures.always(self.state)
        return found

    def told(self, report: CatchUp | None) -> list[Violation]:
        """Whether a restart said how many structures nobody guarded before it; to be asked before `always`."""
        if report is None or self._state is None:
            return []
        return list(self._structures.unguarded(self._state, report))

    @property
    def is_reset(self) -> bool:
        """Whether the account that the session trades is gone, and its keys open another one."""
        with self._database.read() as db:
            return self._exchange.account_id != sessions.find(db, self._session_id).account_id

    def settled(self) -> list[Violation]:
        """What holds besides when nothing has gone wrong for a while and the broker was read."""
        structures = self._structures.settled(self.state)
        return [*self._booked(complete=True), *self._positions(), *self._protected(), *structures]

    @property
    def structures_ended(self) -> int:
        """How many structures came to their end."""
        return self._structures.ended

    # -- the journal ------------------------------------------------------------------------------

    def _replay(self) -> Iterator[Violation]:
        with self._database.read() as db:
            if self._state is None:
                self._state = empty_state(sessions.find(db, self._session_id))
            state = self._state
            lessons = self._lessons = self._lessons or Lessons(state.plan)
            try:
                for fact, head in journal.read(db, self._session_id, state.seq, self._head):
                    yield from self._before(state, fact)
                    yield from self._structures.before(state, fact)
                    yield from lessons.before(fact)
                    changes = apply(state, fact)
                    yield from self._structures.take(fact, changes)
                    self._remember(fact, changes)
                    lessons.take(fact, changes)
                    self._chain = follow(self._chain, fact)
                    state.seq, self._head = state.seq + 1, head
            except CheckpointCorrupt as error:
                yield Violation("journal", error.message)

    def _same_state(self, live: SessionState | None) -> Iterator[Violation]:
        try:
            with self._database.read() as db:
                info = sessions.find(db, self._session_id)
            restored = restore(self._database, info).state
        except CheckpointCorrupt as error:
            yield Violation("restore", error.message)
            return
        yield from self._same_memory(restored)
        if self._lessons is not None:
            yield from self._lessons.same(self._database, restored)
        where = f"at row {self.state.seq} in"
        if found := _difference(restored, self.state):
            yield Violation("restore", f"checkpoint and journal differ from the journal alone {where} {found}")
        if live is not None and (found := _difference(live, self.state)):
            yield Violation("replay", f"the state in memory is not what the journal makes {where} {found}")

    def _same_memory(self, restored: SessionState) -> Iterator[Violation]:
        if restored.plan.strategy != Dice.name:  # the others remember nothing
            return
        dice = StructComponent(Dice.name, Chain(), follow)
        memory = recall(self._database, restored, [dice])
        for aside in memory.take_told():
            yield Violation("memory", f"{aside.name} #{aside.number}: {aside.reason}; {aside.used}")
        if dice.state != self._chain:
            yield Violation("memory", f"{dice.state} is remembered, and {self._chain} happened")

    def _before(self, state: SessionState, fact: ev.Fact) -> Iterator[Violation]:
        if isinstance(fact, ev.RequestTaken) and not fact.answer.startswith("refused"):
            self._halted = {ev.HALT: True, ev.RESUME_TRADING: False}.get(fact.kind, self._halted)
        elif isinstance(fact, ev.FillReported):
            if fact.fill.activity_id in self._fills:
                yield Violation("fill twice", f"{fact.fill.activity_id} is in the journal twice")
            self._fills.add(fact.fill.activity_id)
        elif isinstance(fact, ev.Reconciled):
            self._told_bare |= {d.symbol: fact.at for d in fact.discrepancies if "NAKED" in d.action}
        elif isinstance(fact, ev.RunStarted | ev.RunPaused):
            self._bare_since.clear()
        elif isinstance(fact, ev.Marked):
            yield from self._bare(state, fact.at)
        elif isinstance(fact, ev.IntentPlanned):
            yield from self._planned(state, fact)
        elif isinstance(fact, ev.IntentVoided):
            yield from self._voided(state, state.intents[fact.client_order_id], fact)
        elif isinstance(fact, ev.ResendPlanned):
            intent = state.intents[fact.client_order_id].intent
            if intent.purpose is Purpose.ENTRY and (state.halts or self._halted):
                yield Violation("halted", f"entry {fact.client_order_id} sent again at {fact.at} while halted")

    def _bare(self, state: SessionState, at: datetime) -> Iterator[Violation]:
        """A position without a stop, that nobody does anything about, while the market is open and read."""
        naked = {p.symbol: why for p, status, why in protections(state) if status is Protection.NAKED}
        held = self._bare_since
        self._bare_since = {s: held.get(s, at) for s in naked if not state.degraded}
        for symbol, since in self._bare_since.items():
            if at - since > BARE_MAX:
                yield Violation("bare", f"{symbol}: NAKED ({naked[symbol]}) since {since} and nothing is done")

    def _voided(self, state: SessionState, record: IntentRecord, fact: ev.IntentVoided) -> Iterator[Violation]:
        """Believed absent takes three look-ups that missed over ten seconds, half a minute after the last byte."""
        self.voids += 1
        if state.run_started_at is not None and fact.at - state.run_started_at < timedelta(seconds=30):
            yield Violation("void", f"{fact.client_order_id} before an earlier owner's last byte can have arrived")
        quiet = fact.at - (record.sent_at or record.intent.decided_at)
        span = fact.at - (record.first_miss_at or fact.at)
        if record.misses < 3 or quiet < timedelta(seconds=30) or span < timedelta(seconds=10):
            what = f"{fact.client_order_id} after {record.misses} look-ups in {span}, {quiet} after it was sent"
            yield Violation("void", what)

    def _planned(self, state: SessionState, fact: ev.IntentPlanned) -> Iterator[Violation]:
        intent, plan = fact.intent, state.plan
        name = f"{intent.purpose} {intent.client_order_id} in {intent.symbol} at {fact.at}"
        if intent.client_order_id in state.intents:
            yield Violation("decision twice", name)
        if intent.purpose is not Purpose.ENTRY:
            self._bare_since.pop(intent.symbol, None)
            return
        self.entries += 1
        if state.halts or state.stopping or self._halted or ev.ALL in state.exits:
            yield Violation("halted", f"{name}: {state.halts or state.stopping or state.exits or 'a person said halt'}")
        if against := degraded.against(state.degraded, intent.symbol):
            yield Violation("degraded", f"{name}: {against}")
        close = self._close_of(state.day)
        if fact.at >= close - RiskLimits(timedelta(minutes=1)).entry_cutoff:
            yield Violation("close", f"{name}: the market really closes at {close}")
        held = (
            len(underlyings(state))
            if state.plan.universe == "options"
            else len(state.positions.keys() | entering(state))
        )
        if plan.max_positions is not None and held >= plan.max_positions:
            yield Violation("max_positions", f"{name}: {held} held or being opened")
        if plan.max_orders_per_day is not None and state.day_entries >= plan.max_orders_per_day:
            yield Violation("max_orders_per_day", f"{name}: {state.day_entries} sent on {state.day}")
        value = intent.qty * intent.ref_price
        if intent.structure is not None:  # what it may lose counts, and `Structures` looks at that
            value = intent.structure.units * intent.structure.at_risk
        elif value > min(plan.position_size, plan.max_order_value or plan.position_size):
            yield Violation("max_order_value", f"{name}: worth {value}")
        yield from self._rested(state, name, fact.at, value)

    def _rested(self, state: SessionState, name: str, at: datetime, value: Decimal) -> Iterator[Violation]:
        """The rules of risk, judged by what was closed and stated, and not by what is remembered of it."""
        rules = state.plan.risk
        if rules.max_loss_streak is not None and len(self._lost) >= rules.max_loss_streak:
            until = self._lost[-1] + timedelta(minutes=float(rules.loss_pause_min))
            if at < until:
                yield Violation("loss_streak", f"{name}: {len(self._lost)} losses in a row, a pause until {until}")
        down = (self._peak - state.account.equity) / self._peak * 100 if self._peak else ZERO
        if rules.max_drawdown_pct is not None and down >= rules.max_drawdown_pct:
            yield Violation("max_drawdown_pct", f"{name}: equity {state.account.equity}, peak {self._peak}")
        if rules.max_exposure_pct is not None:
            held = _at_stake(state)
            most = state.account.equity * rules.max_exposure_pct / 100
            if held + value > most:
                yield Violation("max_exposure_pct", f"{name}: {held} held, {value} more, {most} allowed")

    def _remember(self, fact: ev.Fact, changes: Changes) -> None:
        if isinstance(fact, ev.AccountReported):
            self._peak = max(self._peak, fact.account.equity)
        elif isinstance(fact, ev.RiskReset):
            self._peak = ZERO if self._state is None else self._state.account.equity
            self._lost.clear()
        for trade in changes.closed:
            if trade.pnl is not None and trade.pnl < 0:
                self._lost.append(trade.exit_at)
            elif trade.pnl is not None and trade.pnl > 0:
                self._lost.clear()

    # -- the exchange -----------------------------------------------------------------------------

    def _is_ours(self, order: Order) -> bool:
        """By its group's id, or by that of the order whose place it took: a split gives new ones."""
        orders = self._exchange.book.orders
        while True:
            head = orders[order.group]
            if head.client_order_id.startswith(ID_PREFIX) or order.client_order_id.startswith(ID_PREFIX):
                return True
            before = order.replaces or head.replaces
            if before is None:
                return False
            order = orders[before]

    def _orders(self) -> Iterator[Violation]:
        decisions = self._books.decisions(self._session_id)
        sent: dict[str, str] = {}
        for order in self._exchange.book.orders.values():
            coid = order.client_order_id
            if not coid.startswith(ID_PREFIX):
                continue
            if coid not in decisions:
                yield Violation("order without intent", f"the exchange has {coid}, our books have not")
            elif sent.setdefault(decisions[coid], coid) != coid:
                yield Violation("two orders", f"{sent[decisions[coid]]} and {coid} for {decisions[coid]}")

    def _booked(self, *, complete: bool) -> Iterator[Violation]:
        rows = self._books.fills(self._session_id)
        book = self._exchange.book
        theirs: dict[str, Fill] = {f.id: f for f in book.fills if self._is_ours(book.orders[f.order_id])}
        for activity_id, (qty, price) in rows.items():
            fill = theirs.get(activity_id)
            if fill is None or (fill.qty, fill.price) != (qty, price):
                yield Violation("fill", f"we booked {activity_id} {qty} at {price}, the exchange has {fill}")
        if rows.keys() != self._fills:
            yield Violation("fill", f"rows and journal differ: {sorted(rows.keys() ^ self._fills)[:3]}")
        for activity_id in sorted(theirs.keys() - rows.keys()) if complete else ():
            yield Violation("fill lost", f"{theirs[activity_id]} is not in our books")

    def _positions(self) -> Iterator[Violation]:
        state = self.state
        for symbol in sorted({*state.positions, *state.foreign, *self._exchange.book.positions}):
            ours = state.positions[symbol].qty if symbol in state.positions else ZERO
            theirs = self._exchange.book.position_qty(symbol)
            if ours + state.foreign.get(symbol, ZERO) != theirs:
                yield Violation(
                    "position", f"{symbol}: ours {ours}, not ours {state.foreign.get(symbol, ZERO)}, broker {theirs}"
                )

    def _protected(self) -> Iterator[Violation]:
        for position, status, why in protections(self.state):
            symbol = position.symbol
            covered = self._covered(symbol)
            if status is Protection.PROTECTED and covered < abs(position.qty):
                yield Violation("bare", f"{symbol}: said to be protected, stops at the exchange cover {covered}")
            if status is Protection.NAKED and self._exchange.is_open and symbol not in self._told_bare:
                yield Violation("bare", f"{symbol}: NAKED ({why}) and nobody was told")

    def _covered(self, symbol: str) -> Decimal:
        stops = [o for o in self._exchange.book.open_in(symbol) if o.stop_price is not None and self._is_ours(o)]
        return sum((o.remaining for o in stops if not o.waiting), ZERO)
