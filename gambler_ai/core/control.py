"""What a person may ask of a session, and the facts it comes to. Each ends in a `RequestTaken` with an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from gambler_ai.core import events as ev
from gambler_ai.core import replacing
from gambler_ai.core.contracts import parse
from gambler_ai.core.degraded import Condition
from gambler_ai.core.learning import CHOOSER
from gambler_ai.core.model import Position, is_sane_price
from gambler_ai.core.orders import ID_PREFIX, Role, Status
from gambler_ai.core.protection import still_open
from gambler_ai.core.reconcile import surplus
from gambler_ai.core.risk import entering
from gambler_ai.core.state import SessionState

#: Characters of a structure's id that name it well enough for a person, `ga1-` and eight more; fewer may do.
SHORT_ID, SHORT_ID_LEAST = 12, 4
#: Statuses in which a person's word on an order is wanted.
RESOLVABLE = frozenset({Status.UNKNOWN, Status.VOID, Status.DISPUTED})

Answer = tuple[list[ev.Fact], str]


def take(
    state: SessionState, request: ev.Request, at: datetime, report: ev.BrokerReport | None,
    elsewhere: Mapping[str, str] | None = None,
) -> list[ev.Fact]:  # fmt: skip
    """The facts of ``request``; ``report`` is the last reading of the broker, None before the first.

    ``elsewhere`` names symbols that another session of the account has -> that session. What cannot be done is
    answered with "refused: ..." and changes nothing.
    """
    owner = (elsewhere or {}).get(request.argument, "")
    if request.kind not in _TAKE:
        facts, answer = _nothing(f"this program does not know how to {request.kind}")
    elif request.kind == ev.ADOPT and owner:
        facts, answer = _nothing(f"session {owner} has {request.argument}; resume it, or close it first")
    else:
        facts, answer = _TAKE[request.kind](state, request, at, report)
    return [*facts, ev.RequestTaken(at, request.id, request.kind, answer, _symbol(state, request))]


def _symbol(state: SessionState, request: ev.Request) -> str:
    """What a request is about, "" if not one symbol."""
    first = request.argument.partition(" ")[0]
    if request.kind == ev.RESOLVE:
        record = state.intents.get(first)
        return record.intent.symbol if record is not None else ""
    if request.kind == ev.FLATTEN and first not in state.positions:
        named = _structures(state, first)
        return state.structures[named[0]].underlying if named and first else first
    return first if request.kind in (ev.FLATTEN, ev.ADOPT, ev.MOVE_STOP, ev.MOVE_TARGET) else ""


def _nothing(why: str) -> Answer:
    return [], f"refused: {why}"


def _halt(state: SessionState, request: ev.Request, at: datetime, _: ev.BrokerReport | None) -> Answer:
    if ev.PERSON in state.halts:
        return [], f"was halted already: {state.halts[ev.PERSON]}"
    return [ev.TradingHalted(at, ev.PERSON, _why(request))], "no entries from here on; stops and targets stay"


def _resume_trading(state: SessionState, request: ev.Request, at: datetime, _: ev.BrokerReport | None) -> Answer:
    if ev.ALL in state.exits:
        open_ = sorted(name for name in still_open(state) if not name.startswith(ID_PREFIX))
        return _nothing(f"everything is still being closed ({', '.join(open_) or 'to be read'})")
    others = "; ".join(f"{source}: {why}" for source, why in sorted(state.halts.items()) if source != ev.PERSON)
    still = f"; still halted by {others}" if others else ""
    if ev.PERSON not in state.halts:
        return [], f"was not halted{still}"
    return [ev.TradingResumed(at, ev.PERSON, _why(request))], f"entries are allowed again{still}"


def _flatten(state: SessionState, request: ev.Request, at: datetime, report: ev.BrokerReport | None) -> Answer:
    symbol, why = request.argument or ev.ALL, f"flatten: {_why(request)}"
    if symbol != ev.ALL:
        return _flatten_one(state, symbol, at, report, why)
    facts: list[ev.Fact] = [] if ev.PERSON in state.halts else [ev.TradingHalted(at, ev.PERSON, why)]
    facts += [] if ev.ALL in state.exits else [ev.ExitRequested(at, ev.ALL, why)]
    plain = sum(not position.structure_id for position in state.positions.values())
    counts = [_count(len(state.structures), "structure")] if state.structures else []
    counts += [_count(plain, "position")] if plain or not counts else []
    when = _when(report, structures=bool(state.structures), plain=bool(plain))
    return facts, f"closing {' and '.join(counts)}, no entries from here on{when}"


def _flatten_one(state: SessionState, name: str, at: datetime, report: ev.BrokerReport | None, why: str) -> Answer:
    """A symbol with all that is on it, or a structure by its id. A leg is not closed without the others."""
    named, position = _structures(state, name), state.positions.get(name)
    if len(named) > 1 and all(state.structures[one].underlying != name for one in named):
        return _nothing(f"{name} begins the ids of {len(named)} structures; write more of it")
    if not named and position is not None and position.structure_id:
        one = state.structures.get(position.structure_id)
        whole = one.underlying if one is not None else ev.ALL
        return _nothing(f"{name} is a leg of a structure, which is closed as a whole: flatten {whole}")
    plain = [name] if position is not None and not position.structure_id else []
    asked = [one for one in (*named, *plain) if one not in state.exits]
    if (named or plain or name in state.exits) and (not asked or ev.ALL in state.exits):
        return [], "is being closed already"
    if not asked:
        return _nothing(f"no position in {name}")
    what = ", ".join(_as_whole(state, one) for one in asked)
    when = _when(report, structures=bool(named), plain=bool(plain))
    return [ev.ExitRequested(at, one, why) for one in asked], f"closing {what}{when}"


def _as_whole(state: SessionState, name: str) -> str:
    structure = state.structures.get(name)
    if structure is None:
        return f"{state.positions[name].qty:f} {name}"
    return f"the structure on {structure.underlying} ({name[:SHORT_ID]}, {_count(structure.units, 'unit')})"


def _structures(state: SessionState, name: str) -> list[str]:
    """Those on an underlying; or whose id is ``name``, or begins with it, the `ga1-` of all left out or not."""
    found = [one for one, structure in state.structures.items() if name in (structure.underlying, one)]
    start = name.lower()
    if found or name in state.positions or len(start.removeprefix(ID_PREFIX)) < SHORT_ID_LEAST:
        return found
    return [one for one in state.structures if one.startswith(start) or one.removeprefix(ID_PREFIX).startswith(start)]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _when(report: ev.BrokerReport | None, *, structures: bool, plain: bool) -> str:
    """The delay of what a closed market does not take, and what holds until then."""
    if report is None or report.market.is_open:
        return ""
    holds = ["no contract can be closed"] if structures else []
    holds += ["stops and targets stay"] if plain or not holds else []
    return f" when the market opens ({report.market.next_open:%F %R} UTC); until then {' and '.join(holds)}"


def _adopt(state: SessionState, request: ev.Request, at: datetime, report: ev.BrokerReport | None) -> Answer:
    """What the last reading shows beyond ours; never what an earlier one showed."""
    symbol = request.argument
    if parse(symbol) is not None:
        return _nothing(f"{symbol} is a contract, and nothing would guard it by itself; close it at the broker")
    if replacing.is_on_structure(state, symbol):
        return _nothing(f"a structure on {symbol} is held, and shares may come of it; ask again when it is closed")
    theirs = {p.symbol: p for p in report.positions} if report is not None else {}
    held = state.positions.get(symbol)
    qty = surplus(held, theirs[symbol].qty) if symbol in theirs else None
    if not qty:
        return _nothing(f"the account holds nothing in {symbol} that is not ours already")
    if symbol in state.filling() or symbol in entering(state):
        return _nothing(f"a fill of ours in {symbol} is on its way; ask again in a minute")
    if held is not None and (held.qty > 0) != (qty > 0):
        return _nothing(f"{qty:f} {symbol} are on the other side of ours")
    resting = _strangers(state, symbol, report)
    if resting:
        return _nothing(f"another's order rests in {symbol} and holds its shares; cancel {resting[0]} first")
    fact = ev.Adopted(at, symbol, qty, _price(held, qty, theirs[symbol]), _why(request))
    return [fact], f"{qty:f} {symbol} are ours from here on, with a stop and a target"


def _price(held: Position | None, qty: Decimal, theirs: ev.PositionReport) -> Decimal:
    """What ``qty`` was bought or sold at: the broker's average is of all it holds, ours among it."""
    if held is None:
        return theirs.avg_entry_price
    price = (theirs.avg_entry_price * theirs.qty - held.avg_entry_price * held.qty) / qty
    return price if is_sane_price(price) else theirs.avg_entry_price


def _strangers(state: SessionState, symbol: str, report: ev.BrokerReport | None) -> list[str]:
    orders = report.orders if report is not None else ()
    return [
        o.order_id for order in orders for o in (order, *order.legs)
        if o.symbol == symbol and not o.is_done and state.owner_of(o) is None and state.owner_of(order) is None
    ]  # fmt: skip


def _resolve(state: SessionState, request: ev.Request, at: datetime, report: ev.BrokerReport | None) -> Answer:
    coid, _blank, verdict = request.argument.partition(" ")
    if verdict not in (ev.GONE, ev.AT_BROKER):
        return _nothing(f"{verdict!r} is neither {ev.GONE} nor {ev.AT_BROKER}")
    record = state.intents.get(coid)
    if record is None or record.status not in RESOLVABLE:
        what = "it is settled" if record is None else f"it is {record.status}"
        return _nothing(f"{coid} needs nobody's word: {what}")
    missing = report is not None and report.lookups.get(coid, record) is None  # the broker's own 404
    if verdict == ev.GONE and not missing and any(o.is_live or o.filled_qty for o in state.orders_of(record)):
        return _nothing(f"the broker has shown an order under {coid}; say broker, and its word is taken")
    said = "it never arrived" if verdict == ev.GONE else "whatever the broker holds under this id is taken"
    return [ev.IntentResolved(at, coid, verdict, _why(request))], said


def _move(role: Role) -> Callable[[SessionState, ev.Request, datetime, ev.BrokerReport | None], Answer]:
    def move(state: SessionState, request: ev.Request, at: datetime, _: ev.BrokerReport | None) -> Answer:
        symbol, _blank, text = request.argument.partition(" ")
        try:
            price = Decimal(text)
        except ArithmeticError:
            return _nothing(f"{text!r} is no price")
        moved = replacing.move(state, symbol, role, price, at, _why(request))
        if isinstance(moved, str):
            return _nothing(moved)
        return [moved], f"the {role} of {symbol} is being moved to {price:f}; the one that rests stays until then"

    return move


def _recall(_state: SessionState, request: ev.Request, at: datetime, _: ev.BrokerReport | None) -> Answer:
    """What `db restore` asks: until the broker was compared, what is unknown to us may still be ours."""
    return [ev.Degraded(at, Condition.BOOKS, request.reason)], "orders of ours from after the backup are looked for"


def _risk_reset(state: SessionState, request: ev.Request, at: datetime, _: ev.BrokerReport | None) -> Answer:
    facts: list[ev.Fact] = [ev.RiskReset(at, _why(request))]
    if ev.DRAWDOWN in state.halts:
        facts.append(ev.TradingResumed(at, ev.DRAWDOWN, "risk was reset"))
    others = "; ".join(f"{source}: {why}" for source, why in sorted(state.halts.items()) if source != ev.DRAWDOWN)
    equity = state.risk.equity
    peak = "the peak begins anew" if equity is None else f"the peak is {equity:,.2f} from here on"
    return facts, f"{peak}, no losses in a row{f'; still halted by {others}' if others else ''}"


def _learner_reset(state: SessionState, request: ev.Request, at: datetime, _: ev.BrokerReport | None) -> Answer:
    name, known = request.argument, (*state.plan.learning.learners, *_that_chooses(state))
    if name not in known:
        has = f"it has {', '.join(known)}" if known else "it has none"
        return _nothing(f"session {state.session_id} has no learner {name}: {has}")
    return [ev.LearnerReset(at, name, _why(request))], f"{name} has forgotten what it had learned"


def _that_chooses(state: SessionState) -> tuple[str, ...]:
    return (CHOOSER,) if state.plan.strategy_name == CHOOSER else ()


def _why(request: ev.Request) -> str:
    by = f" ({request.asked_by})" if request.asked_by else ""
    return f"{request.reason or 'no reason given'}{by}"


_TAKE: dict[str, Callable[[SessionState, ev.Request, datetime, ev.BrokerReport | None], Answer]] = {
    ev.HALT: _halt,
    ev.RESUME_TRADING: _resume_trading,
    ev.FLATTEN: _flatten,
    ev.ADOPT: _adopt,
    ev.RESOLVE: _resolve,
    ev.MOVE_STOP: _move(Role.STOP),
    ev.MOVE_TARGET: _move(Role.TARGET),
    ev.RECALL: _recall,
    ev.RISK_RESET: _risk_reset,
    ev.LEARNER_RESET: _learner_reset,
}
