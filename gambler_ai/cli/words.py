"""A fact in words: the one place where what happened becomes a line for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from rich.text import Text

from gambler_ai.app.notices import BooksAccepted, NothingToAccept, Notice, StrategyChanged
from gambler_ai.cli import render
from gambler_ai.cli.render import BAD, GOOD, QUIET, STRONG, WARN
from gambler_ai.cli.structure_rows import contract_line, legs_line, price_line
from gambler_ai.cli.wiring import as_called
from gambler_ai.core import degraded
from gambler_ai.core import events as ev
from gambler_ai.core.contracts import parse, underlying_of
from gambler_ai.core.corporate import effect
from gambler_ai.core.orders import ID_PREFIX, OrderIntent, Purpose
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import Structure
from gambler_ai.trading.outage import PATIENCE_S
from gambler_ai.trading.reporter import DatabaseBack, DatabaseLost


class Told(NamedTuple):
    """A line: what kind of thing happened, in which symbol (or ""), the text, and the style of the kind."""

    word: str
    symbol: str
    text: str
    style: str


#: Characters of the longest symbol; what is longer is an id.
_SYMBOL_MAX = 24


def told(fact: ev.Fact, state: SessionState | None = None) -> list[Told]:
    """``fact`` in words that are safe on a terminal, a line each; none for one nobody needs to read.

    ``state`` knows the symbol where the fact only has an order's id.
    """
    say = _FACTS.get(type(fact))
    if say is None:
        return []
    lines = say(fact)
    symbol = _symbol(fact, state) if state is not None else ""
    return [_safe(line, symbol, state) for line in (lines if isinstance(lines, list) else [lines])]


def _safe(line: Told, symbol: str, state: SessionState | None) -> Told:
    """Safe on a terminal; a contract or a structure stands under the share it is on, by its short name."""
    named, text = line.symbol or symbol, line.text
    structure = None if state is None else _structure(state, named)
    if structure is not None:
        text = f"{structure.strategy} {legs_line(structure.legs, structure.opened_at)}: {text}"
        named = structure.underlying
    elif len(named) > _SYMBOL_MAX and parse(named) is None:  # a structure that has ended and is let go
        named, text = "", f"structure {_short(named)}: {text}"
    elif parse(named) is not None:
        named, text = underlying_of(named), f"{contract_line(named)}: {text}"
    elif named.startswith(ID_PREFIX):  # a structure that was opened too long ago: its closed trade names it
        named = ""
    return Told(line.word, render.printable(named), render.printable(text), line.style)


def _structure(state: SessionState, named: str) -> Structure | None:
    """The structure of that id; one that has ended stands in the intent that opened it."""
    record = state.intents.get(named)
    return state.structures.get(named) or (None if record is None else record.intent.structure)


def line(at: datetime, told: Told) -> Text:
    """It on one line, with its time in New York."""
    return Text.assemble(
        (f"{render.clock_time(at)}  ", QUIET), (f"{told.word:<9}", told.style), f"{told.symbol:<6}", told.text
    )


def instant(fact: ev.Fact) -> datetime:
    """When it happened: a fill does at the broker, not when we heard of it."""
    return fact.fill.at if isinstance(fact, ev.FillReported) else fact.at


def is_needed(fact: ev.Fact) -> bool:
    """Whether it is told with --quiet as well."""
    if isinstance(fact, ev.Denied):
        return fact.symbol == ev.ALL
    return type(fact) in _ALWAYS or (isinstance(fact, ev.IntentPlanned) and fact.intent.purpose is not Purpose.ENTRY)


def is_decision(fact: ev.Fact) -> bool:
    """Whether it says what we want or do not want, rather than what came of it."""
    return type(fact) in _DECISIONS


def is_action(fact: ev.Fact) -> bool:
    """Whether it is something a reconciliation does, besides noting differences."""
    return type(fact) in _ACTIONS


def discrepancy(d: ev.Discrepancy) -> str:
    """A difference, its cause and what is done about it."""
    what = f"{d.symbol} {d.kind}".strip()
    return f"{what}: ours {d.ours}, broker {d.broker}. {_sentence(d.cause)} {_sentence(d.action)}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def notice(found: Notice) -> str:
    """What a person should know before a session goes on."""
    if isinstance(found, StrategyChanged):
        path = found.plan.strategy.rpartition(":")[0] or f"a file that {found.plan.strategy} chooses among"
        return f"{path} is not the code this session traded with so far; it goes on with the new"
    if isinstance(found, BooksAccepted):
        return (
            f"journal broken: {found.why}. The books of session {found.session_id} were taken from the broker:"
            f" {found.orders} orders, {found.fills} fills. What was stored is kept as session {found.kept}"
            + "".join(f". {_unclaimed(symbol, qty)}" for symbol, qty in sorted(found.foreign.items()))
        )
    if isinstance(found, NothingToAccept):
        return f"Nothing needed accepting: the journal of session {found.session_id} verifies, and it goes on from that"
    if isinstance(found, DatabaseLost):
        why = found.reason + (f" ({found.hint})" if found.hint else "")
        return (
            f"Database away: {why}; it is tried again for {PATIENCE_S:.0f} s, and nothing is decided or sent meanwhile"
            " (Ctrl+C stops)"
        )
    if isinstance(found, DatabaseBack):
        return f"Database back after {found.away_s:.0f} s; nothing was lost, the session goes on"
    session = found.session
    return (
        f"Session {session.id} is unfinished and belongs to account {session.account_id}; these keys open"
        f" {found.account_id}. A paper account that was reset is a new one. Be done with it:"
        f" {as_called(f'gambler-ai sessions close {session.id}')}"
    )


def _unclaimed(symbol: str, qty: Decimal) -> str:
    return (
        f"{render.qty(qty)} {symbol} are held and none of these orders opened them: NAKED, no stop of ours, no entries"
        f" in it; to take them over: {as_called(f'gambler-ai reconcile --adopt {symbol}')}"
    )


def _symbol(fact: ev.Fact, state: SessionState) -> str:
    """The symbol of a fact that only has an order's id."""
    record = state.intents.get(getattr(fact, "client_order_id", ""))
    order = state.orders.get(getattr(fact, "order_id", ""))
    if record is not None:
        return record.intent.symbol
    return order.symbol if order is not None else ""


def _intent(fact: ev.IntentPlanned) -> Told | list[Told]:
    i = fact.intent
    if i.structure_id:
        return _structure_intent(i)
    prices = f"stop {render.price(i.stop_price)}, target {render.price(i.target_price)}"
    if i.purpose is Purpose.ENTRY:
        order = f"{i.side} {render.qty(i.qty)} {_near(i)} {render.price(i.ref_price)}, {prices}"
        return [Told("signal", i.symbol, i.reason, ""), Told("entry", i.symbol, order, STRONG)]
    if i.purpose is Purpose.REPLACE:
        return Told("move", i.symbol, f"to {prices}: {i.reason}; what rests stays until it is replaced", WARN)
    if i.purpose is Purpose.PROTECT:
        return Told("protect", i.symbol, f"{prices} for {render.qty(i.qty)} ({i.reason})", WARN)
    return Told("exit", i.symbol, f"{i.side} {render.qty(i.qty)} at market ({i.reason})", WARN)


def _structure_intent(i: OrderIntent) -> Told | list[Told]:
    if i.structure is not None:
        entry = _opening(i.structure)
        return [Told("signal", i.symbol, i.structure.reason, ""), Told("entry", i.symbol, entry, STRONG)]
    if i.purpose is Purpose.LEG:
        return Told("leg", i.symbol, f"{i.side} {render.qty(i.qty)} ({i.reason})", STRONG)
    return Told("exit", i.symbol, f"{i.side} {render.qty(i.qty)} at market ({i.reason})", WARN)


def _opening(s: Structure) -> str:
    risk = "no bound to its loss" if s.max_loss is None else f"at most {render.dollars(s.max_loss * s.units)} to lose"
    sure = "" if s.confidence is None else f", {s.confidence * 100:.0f} % likely to win"
    ends = [f"{name} {render.money(at)}" for name, at in (("stop", s.stop_price), ("target", s.target_price)) if at]
    return (
        f"{s.strategy} {legs_line(s.legs, s.opened_at)} x{s.units} for a {price_line(s.entry_price)}, {risk}{sure};"
        f" {', '.join([*ends, *exit_rules(s)])}; GUARDED while this program runs"
    )


def exit_rules(s: Structure) -> list[str]:
    """When it is closed, beside its stop and target."""
    rules = s.exits
    found = [] if rules.days_left is None else [f"out {rules.days_left} days before the expiry"]
    found += [] if rules.max_days is None else [f"after {rules.max_days} days"]
    if rules.time_value is not None:
        found.append(f"before an assignment (time value {render.money(rules.time_value)})")
    return found


def _settled(fact: ev.OptionSettled) -> Told:
    moved = "no shares moved"
    if fact.shares:
        verb = "bought" if fact.shares > 0 else "sold"
        moved = f"{render.qty(abs(fact.shares))} shares {verb} at {render.price(fact.price)}"
    return Told("settled", fact.symbol, f"{render.qty(fact.qty)} {fact.how}: {moved}", WARN)


def _near(intent: OrderIntent) -> str:
    return "at the limit near" if '"type":"limit"' in intent.body else "near"


def _split(fact: ev.SplitApplied) -> Told:
    return Told("split", fact.symbol, f"{fact.new} for {fact.old}: {render.qty(fact.qty)} held ({fact.cause})", WARN)


def _action(fact: ev.ActionNoted) -> Told:
    a = fact.action
    parts = [a.type, a.sub_type, f"qty {render.qty(a.qty)}" if a.qty else "", f"{a.amount:,.2f}" if a.amount else ""]
    return Told("company", a.symbol, f"{' '.join(filter(None, parts))}: {effect(a)}", WARN)


def _fill(fact: ev.FillReported) -> Told:
    f = fact.fill
    verb = "bought" if f.side == "buy" else "sold"
    price = render.price(f.price) if parse(f.symbol) is None else render.money(f.price)
    return Told("fill", f.symbol, f"{verb} {render.qty(f.qty)} @ {price}", "")


def _denied(fact: ev.Denied) -> Told:
    if fact.symbol == ev.ALL:  # not a proposal: the strategy itself failed
        return Told("denied", "", fact.context, BAD)
    return Told("denied", fact.symbol, f"{fact.side}: {fact.code.replace('_', ' ')} ({fact.context})", QUIET)


def _reconciled(fact: ev.Reconciled) -> list[Told]:
    return [Told("differs", "", discrepancy(d), WARN) for d in fact.discrepancies]


def _degraded(fact: ev.Degraded) -> Told:
    style = WARN if degraded.entries(fact.name) is degraded.Entries.ALLOWED else BAD
    why = fact.reason if fact.reason.startswith(f"{fact.name} ") else f"{fact.name}: {fact.reason}"
    return Told("degraded", "", f"{why}; {degraded.consequence(fact.name)}", style)


def _restored(fact: ev.Restored) -> Told:
    condition, _subject = degraded.parts(fact.name)
    works = condition in (degraded.Condition.BROKER, degraded.Condition.MARKET_DATA, degraded.Condition.DATABASE, None)
    return Told("restored", "", f"{fact.name} works again" if works else f"{fact.name}: over", GOOD)


def _memory(fact: ev.ComponentSetAside) -> Told:
    what = "a stored memory was set aside: " if fact.number else ""
    return Told("memory", "", f"{fact.name}: {what}{fact.reason}; {fact.used}", WARN)


def _library_changed(fact: ev.LibraryChanged) -> Told:
    moved = ", ".join(f"{name} {before} is now {now}" for name, (before, now) in fact.versions.items())
    return Told("memory", "", f"{fact.name}: {moved}; {fact.says}", WARN)


def _exit_requested(fact: ev.ExitRequested) -> Told:
    return Told("leave", "" if fact.symbol == ev.ALL else fact.symbol, fact.reason, WARN)


def _plan_changed(fact: ev.PlanChanged) -> Told:
    return Told("plan", "", ", ".join(f"{name} {a:.16} to {b:.16}" for name, (a, b) in fact.changes.items()), "")


def _of_intent(word: str, style: str, after: str = "") -> Callable[[Any], Told]:
    """Facts about an order of ours that give a reason."""
    return lambda f: Told(word, "", f"{_short(f.client_order_id)}: {f.reason}{after}", style)


def _peak(fact: ev.RiskCarried) -> str:
    record = fact.record
    peak = "" if record.peak is None else f": peak {render.dollars(record.peak)}"
    losses = f", {-record.streak} losses in a row" if record.streak < 0 else ""
    return peak + losses


def _short(order_id: str) -> str:
    return order_id[:12]


_FACTS: dict[type, Callable[[Any], Told | list[Told]]] = {
    ev.IntentPlanned: _intent,
    ev.FillReported: _fill,
    ev.Denied: _denied,
    ev.Reconciled: _reconciled,
    ev.ResendPlanned: lambda f: Told(
        "resend", "", f"{_short(f.client_order_id)}: the same order under the same id", WARN
    ),
    ev.IntentUnknown: _of_intent("unknown", WARN, "; looking it up"),
    ev.IntentRefused: _of_intent("rejected", BAD),
    ev.IntentVoided: _of_intent("void", WARN),
    ev.IntentDisputed: _of_intent("disputed", BAD),
    ev.CancelPlanned: lambda f: Told("cancel", "", f"order {_short(f.order_id)}: {f.reason}", WARN),
    ev.Adjusted: lambda f: Told("adjusted", f.symbol, f"quantity set to {render.qty(f.qty)}: {f.cause}", WARN),
    ev.Degraded: _degraded,
    ev.Restored: _restored,
    ev.TradingHalted: lambda f: Told("halted", "", f"no entries: {f.source}: {f.reason}", WARN),
    ev.TradingResumed: lambda f: Told("resumed", "", f"{f.source}: {f.reason}", GOOD),
    ev.ExitRequested: _exit_requested,
    ev.OptionSettled: _settled,
    ev.StructureEnded: lambda f: Told("ended", f.structure_id, f.reason, ""),
    ev.Adopted: lambda f: Told("adopted", f.symbol, f"{render.qty(f.qty)} @ {render.price(f.price)}: {f.reason}", WARN),
    ev.IntentResolved: lambda f: Told("resolved", "", f"{_short(f.client_order_id)}: {f.verdict}: {f.reason}", WARN),
    ev.RequestTaken: lambda f: Told("asked", f.symbol, f"{f.kind}: {f.answer}", STRONG),
    ev.RiskCarried: lambda f: Told("risk", "", f"remembered from session {f.session_id}{_peak(f)}", QUIET),
    ev.PauseKept: lambda f: Told(
        "risk", "", f"the pause after losses holds until {render.day_time(f.until)}, whatever the rules", WARN
    ),
    ev.RiskReset: lambda f: Told("risk", "", f"the peak begins anew: {f.reason}", WARN),
    ev.PlanChanged: _plan_changed,
    ev.SplitApplied: _split,
    ev.ActionNoted: _action,
    ev.ComponentSetAside: _memory,
    ev.LearnerReset: lambda f: Told("learner", "", f"{f.name} begins anew: {f.reason}", WARN),
    ev.LibraryChanged: _library_changed,
    ev.LearnerTaught: lambda f: Told("learner", "", f"{f.name} begins with what was imported of another bot", QUIET),
}

_ALWAYS = frozenset({
    ev.Reconciled, ev.IntentRefused, ev.IntentDisputed, ev.IntentUnknown, ev.IntentVoided, ev.CancelPlanned,
    ev.Adjusted, ev.Degraded, ev.Restored, ev.TradingHalted, ev.TradingResumed, ev.ExitRequested, ev.Adopted,
    ev.IntentResolved, ev.RequestTaken, ev.SplitApplied, ev.ActionNoted, ev.RiskReset,
    ev.ComponentSetAside, ev.LearnerReset, ev.LibraryChanged, ev.OptionSettled,
})  # fmt: skip
_ACTIONS = frozenset({
    ev.FillReported, ev.IntentPlanned, ev.ResendPlanned, ev.IntentVoided, ev.IntentDisputed, ev.CancelPlanned,
    ev.Adjusted, ev.SplitApplied,
})  # fmt: skip
_DECISIONS = frozenset({ev.IntentPlanned, ev.Denied, ev.CancelPlanned, ev.ResendPlanned, ev.ExitRequested})
