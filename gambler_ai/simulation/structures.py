"""What must hold of structures: one entry each, orders within what is held, money to the cent, and nothing left uneven
or due while nobody does anything about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from gambler_ai.core import events as ev
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.contracts import multiplier_of, parse, underlying_of
from gambler_ai.core.model import ZERO
from gambler_ai.core.options.planning import why_left
from gambler_ai.core.orders import OrderIntent, Purpose
from gambler_ai.core.protection import Protection, protections
from gambler_ai.core.reconcile import Kind, is_under_way
from gambler_ai.core.risk import entering
from gambler_ai.core.state import Changes, SessionState
from gambler_ai.core.structures import Structure
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.proving.audit import Violation

#: A structure may be uneven, or wait to be closed, for so long of an open market with nothing being done: after
#: refusals it is tried ever less often, after a quarter of an hour at last.
UNDONE_MAX = timedelta(minutes=20)
#: An uneven one with nothing on its way is told in this time of an open market that is read.
UNTOLD_MAX = timedelta(minutes=5)
#: Averages are kept to nine places.
NEAR = Decimal("0.01")


class Structures:
    """Follows the journal with books of its own: what each structure has paid and received, and who was told what."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._opened: set[str] = set()
        self._cash: dict[str, Decimal] = {}
        self._settled: set[str] = set()
        self._undone: dict[str, datetime] = {}
        self._untold: dict[str, datetime] = {}
        self._told: set[str] = set()
        self._all = ZERO  # what all that was bought, sold and settled has brought
        self._is_whole = True  # nobody else's deed is in these books
        self.ended = 0

    def before(self, state: SessionState, fact: ev.Fact) -> Iterator[Violation]:
        """What is wrong with a fact, by the state that it meets."""
        if isinstance(fact, ev.IntentPlanned) and fact.intent.structure_id:
            self._undone.pop(fact.intent.structure_id, None)
            yield from self._planned(state, fact.intent, fact.at)
        elif isinstance(fact, ev.OptionSettled):
            yield from self._activity(state, fact)
        elif isinstance(fact, ev.StructureEnded):
            yield from self._ending(state, fact)
        elif isinstance(fact, ev.Reconciled):
            self._told |= {d.order_id for d in fact.discrepancies if d.kind == Kind.STRUCTURE_BROKEN}
        elif isinstance(fact, ev.RunStarted | ev.RunPaused):
            self._undone.clear()
            self._untold.clear()
        elif isinstance(fact, ev.Marked) and fact.iteration is not None:
            yield from self._waiting(state, fact.at)
        self._pay(state, fact)

    def take(self, fact: ev.Fact, changes: Changes) -> Iterator[Violation]:
        """What came of it."""
        if not isinstance(fact, ev.StructureEnded):
            return
        self.ended += 1
        cash = self._cash.pop(fact.structure_id, ZERO)
        for trade in changes.closed:
            if trade.pnl is not None and trade.pnl != cash:
                yield Violation("structure pnl", f"{fact.structure_id} ends with {trade.pnl}, its fills make {cash}")

    def always(self, state: SessionState) -> Iterator[Violation]:
        """What holds at any instant."""
        for structure_id, structure in state.structures.items():
            if structure.cash != self._cash.get(structure_id, ZERO):
                text = f"{structure_id} has {structure.cash}, its fills make {self._cash.get(structure_id)}"
                yield Violation("structure cash", text)
        for position, status, _why in protections(state):
            symbol, structure_id = position.symbol, position.structure_id
            if structure_id and structure_id not in state.structures:
                yield Violation("leg of nothing", f"{position.qty} {symbol} are of {structure_id}, which is not open")
            elif structure_id and status is not Protection.GUARDED:
                yield Violation("guarded", f"{symbol} of {structure_id} is told to be {status}")
        yield from self._realized(state)

    def settled(self, state: SessionState) -> Iterator[Violation]:
        """What holds besides when nothing has gone wrong for a while and the broker was read."""
        for structure_id, since in self._undone.items():
            if structure_id in state.structures and state.last_at - since > UNDONE_MAX:
                yield Violation("structure undone", f"{structure_id} since {since}, and nothing is done")
        if self._is_whole and not state.foreign and not any(s.unpriced for s in state.structures.values()):
            yield from self._equity(state)

    def unguarded(self, before: SessionState, report: CatchUp) -> Iterator[Violation]:
        """Structures that were held when a process ended were guarded by nothing: who starts the next one is told."""
        held = {p.structure_id for p in before.positions.values() if p.structure_id in before.structures}
        if report.unguarded < len(held):
            yield Violation("guarded", f"{len(held)} structures had nobody, and {report.unguarded} were told of")

    # -- orders -----------------------------------------------------------------------------------

    def _planned(self, state: SessionState, intent: OrderIntent, at: datetime) -> Iterator[Violation]:
        name, structure_id = f"{intent.purpose} {intent.client_order_id} at {at}", intent.structure_id
        if intent.purpose is Purpose.ENTRY:
            yield from self._entry(state, intent, name)
            return
        structure = state.structures.get(structure_id)
        if structure is None:
            yield Violation("order of nothing", f"{name}: {structure_id} is not open")
            return
        if is_under_way(state, structure) and intent.purpose is Purpose.LEG:
            yield Violation("two at once", f"{name}: another order of {structure_id} is on its way")
        held = {s: p.qty for s, p in state.positions.items() if p.structure_id == structure_id}
        yield from (
            _leg(structure, intent, held, name)
            if intent.purpose is Purpose.LEG
            else _exit(structure, intent, held, name)
        )

    def _entry(self, state: SessionState, intent: OrderIntent, name: str) -> Iterator[Violation]:
        new, plan = intent.structure, state.plan
        if new is None or intent.structure_id in self._opened:
            yield Violation("entry twice", f"{name}: {intent.structure_id} has an entry")
            return
        self._opened.add(intent.structure_id)
        if any(s.underlying == new.underlying for s in state.structures.values()) or any(
            underlying_of(symbol) == new.underlying for symbol in (*state.positions, *state.foreign)
        ):
            yield Violation("entry beside", f"{name}: {new.underlying} is held")
        if any(leg.contract is not None and leg.contract.expires_at <= intent.decided_at for leg in new.legs):
            yield Violation("expired", f"{name}: {new.legs}")
        value = new.units * new.at_risk
        if value > min(plan.capital_per_trade or plan.position_size, plan.max_order_value or value):
            yield Violation("max_order_value", f"{name}: {value} at risk")
        open_ = state.structures.values()
        if (
            plan.max_per_strategy is not None
            and sum(s.strategy == new.strategy for s in open_) >= plan.max_per_strategy
        ):
            yield Violation("max_per_strategy", name)
        sector = plan.risk.sectors.get(new.underlying, new.underlying)
        alike = sum(plan.risk.sectors.get(s.underlying, s.underlying) == sector for s in open_)
        if plan.max_per_sector is not None and alike >= plan.max_per_sector:
            yield Violation("max_per_sector", name)
        least = plan.learning.min_confidence
        if least is not None and (new.confidence is None or new.confidence < least):
            yield Violation("confidence", f"{name}: {new.confidence}, {least} wanted")

    # -- time -------------------------------------------------------------------------------------

    def _waiting(self, state: SessionState, at: datetime) -> Iterator[Violation]:
        """Uneven, or to be closed, with nothing on its way, while the market is open and read."""
        due = {key: why for key, s in state.structures.items() if (why := _why_due(state, s))}
        if state.degraded:
            due = {}
        self._undone = {key: self._undone.get(key, at) for key in due}
        uneven = {key for key in due if state.structures[key].uneven_since is not None}
        self._untold = {key: self._untold.get(key, at) for key in uneven}
        for key, since in self._undone.items():
            if at - since > UNDONE_MAX:
                yield Violation("structure undone", f"{key}: {due[key]} since {since}, and nothing is done")
        for key, since in self._untold.items():
            if at - since > UNTOLD_MAX and key not in self._told:
                yield Violation("structure untold", f"{key}: {due[key]} since {since}, and nobody was told")

    # -- money ------------------------------------------------------------------------------------

    def _pay(self, state: SessionState, fact: ev.Fact) -> None:
        if isinstance(fact, ev.FillReported):
            fill, intent = fact.fill, state.intents[state.orders[fact.fill.order_id].intent_id].intent
            cash = -fill.qty * fill.side.sign * fill.price * multiplier_of(fill.symbol)
            self._put(intent.structure_id, cash)
        elif isinstance(fact, ev.OptionSettled):
            self._put(state.positions[fact.symbol].structure_id, -fact.shares * fact.price)
        elif isinstance(fact, ev.Adjusted):
            position = state.positions[fact.symbol]
            price = position.avg_entry_price if fact.price is None else fact.price
            self._put(position.structure_id, (position.qty - fact.qty) * price * position.multiplier)
            self._is_whole = False
        elif isinstance(fact, ev.Adopted):
            held = state.positions.get(fact.symbol)
            cash = -fact.qty * fact.price * multiplier_of(fact.symbol)
            self._put(held.structure_id if held is not None else "", cash)
            self._is_whole = False
        elif isinstance(fact, ev.SplitApplied):
            self._is_whole = False

    def _put(self, structure_id: str, cash: Decimal) -> None:
        self._all += cash
        if structure_id:
            self._cash[structure_id] = self._cash.get(structure_id, ZERO) + cash

    def _realized(self, state: SessionState) -> Iterator[Violation]:
        """All that was paid and received, and what is held at what it cost, is what was realized."""
        cost = sum((p.value(p.avg_entry_price) for p in state.positions.values()), ZERO)
        if self._is_whole and abs(state.realized_pnl - self._all - cost) > NEAR:
            text = f"realized {state.realized_pnl}, paid and received {self._all}, held at cost {cost}"
            yield Violation("pnl", text)

    def _equity(self, state: SessionState) -> Iterator[Violation]:
        """What the session has made is what the account has gained, if nobody else has traded in it."""
        exchange = self._exchange
        if any(state.positions.get(s) is None for s in exchange.book.positions) or self._others():
            return
        open_ = (p.unrealized(exchange.mark(s)) for s, p in state.positions.items())
        made, gained = sum(open_, state.realized_pnl), exchange.margins().equity - exchange.initial_cash
        if abs(made - gained) > NEAR:
            yield Violation("equity", f"the session has made {made}, the account has gained {gained}")

    def _others(self) -> bool:
        """Whether a fill of nobody's order of ours, or a split, has moved the account's money."""
        book = self._exchange.book
        ours = {o.id for o in book.orders.values() if book.orders[o.group].client_order_id.startswith("ga1-")}
        return any(f.order_id not in ours for f in book.fills) or any(
            not a.type.startswith(("OPEX", "OPAS", "OPTRD")) for a in self._exchange.annals.activities
        )

    # -- ends -------------------------------------------------------------------------------------

    def _activity(self, state: SessionState, fact: ev.OptionSettled) -> Iterator[Violation]:
        """Each end of a contract is the exchange's, once, at the strike, and no more of it than was held."""
        known = {a.id: a for a in self._exchange.annals.activities}
        told = known.get(fact.activity_ids[0])
        if fact.activity_ids[0] in self._settled:
            yield Violation("settled twice", f"{fact.activity_ids[0]} of {fact.symbol}")
        self._settled.add(fact.activity_ids[0])
        contract, held = parse(fact.symbol), state.positions[fact.symbol].qty
        if contract is None or told is None or told.symbol != fact.symbol or abs(fact.qty) > abs(told.qty):
            yield Violation("settled", f"{fact} and the exchange has {told}")
        elif held * fact.qty <= 0 or abs(fact.qty) > abs(held) or fact.price != contract.strike:
            yield Violation("settled", f"{fact} of {held}")

    def _ending(self, state: SessionState, fact: ev.StructureEnded) -> Iterator[Violation]:
        held = [s for s, p in state.positions.items() if p.structure_id == fact.structure_id]
        if held or is_under_way(state, state.structures[fact.structure_id]):
            yield Violation("ended too soon", f"{fact.structure_id} at {fact.at}: {held} held, or on its way")


def underlyings(state: SessionState) -> set[str]:
    """What counts as a position against a limit of them: by underlying, structures that are being opened too."""
    held = {underlying_of(symbol) for symbol in (*state.positions, *entering(state))}
    return held | {structure.underlying for structure in state.structures.values()}


def _why_due(state: SessionState, structure: Structure) -> str:
    held = {s: p.qty for s, p in state.positions.items() if p.structure_id == structure.structure_id}
    if not held or is_under_way(state, structure):
        return ""
    if why := why_left(state, structure):
        return f"to be closed ({why})"
    return f"uneven: {held}" if structure.uneven_since is not None and not _opens(structure, held) else ""


def _opens(structure: Structure, held: dict[str, Decimal]) -> bool:
    """Whether its shares are there and its contract is not sold yet."""
    return any(leg.contract is None for leg in structure.legs) and len(held) < len(structure.legs) > 1 and (
        structure.decisions == 0
    )  # fmt: skip


def _leg(structure: Structure, intent: OrderIntent, held: dict[str, Decimal], name: str) -> Iterator[Violation]:
    leg = next((leg for leg in structure.legs if leg.symbol == intent.symbol), None)
    if leg is None or leg.symbol in held or intent.qty != abs(leg.ratio) * structure.units:
        yield Violation("leg", f"{name}: {held} held of {structure.legs}")
        return
    shares = sum((qty for symbol, qty in held.items() if parse(symbol) is None), ZERO)
    if intent.side.value == "sell" and shares < intent.qty * 100:
        yield Violation("uncovered", f"{name}: {shares} shares for {intent.qty} contracts")


def _exit(structure: Structure, intent: OrderIntent, held: dict[str, Decimal], name: str) -> Iterator[Violation]:
    """Nothing goes that is not there, and what is short is bought back before what covers it goes."""
    if intent.symbol in held:
        qty = held[intent.symbol]
        if intent.qty > abs(qty) or (qty > 0) != (intent.side.value == "sell"):
            yield Violation("exit", f"{name}: {intent.side} {intent.qty} {intent.symbol} of {qty}")
        mends = intent.reason.startswith("uneven")  # of which the even part keeps its shorts
        if qty > 0 and not mends and any(other < 0 for other in held.values()):
            yield Violation("long first", f"{name}: {intent.symbol} goes while a leg is short: {held}")
        return
    if any(held.get(leg.symbol, ZERO) != leg.ratio * intent.qty for leg in structure.legs):
        yield Violation("exit", f"{name}: {intent.qty} units of {held}")
