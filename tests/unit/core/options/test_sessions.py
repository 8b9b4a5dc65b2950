"""An options session in its engine: what it asks for, what it shows its strategy, what it marks and counts."""

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import apply
from gambler_ai.core.model import Proposal, Side
from gambler_ai.core.orders import Purpose
from gambler_ai.core.risk import Code
from gambler_ai.core.structures import ChainQuery
from tests.unit.fakes import AT, FIVE, frame_of, kinds
from tests.unit.structures import CALL, COVERED, PUT, Pit, options_state, proposal, quotes_of

D = Decimal


def test_chains_are_asked_for_of_underlyings_without_a_structure():
    pit = Pit(proposal())
    day = date(2008, 10, 7)
    assert pit.engine.chains(AT) == [
        ChainQuery(s, day, day + timedelta(days=45), D(10)) for s in ("AAPL", "MSFT")
    ]  # fmt: skip
    pit.entered()
    assert [q.underlying for q in pit.engine.chains(AT)] == ["MSFT"]
    assert pit.engine.daily_history == 30


def test_a_strategy_that_fails_to_name_its_chains_is_told_with_the_next_prices():
    pit = Pit(proposal())
    pit.strategy.raises = ValueError("which?")
    assert pit.engine.chains(AT) == []
    pit.strategy.raises = None
    decisions = pit.scan()
    [denied] = [f for f in decisions.facts if isinstance(f, ev.Denied)]
    assert (denied.code, denied.symbol) == (Code.STRATEGY_FAILED, ev.ALL)
    assert "which?" in denied.context
    assert Code.STRATEGY_FAILED not in {f.code for f in pit.scan().facts if isinstance(f, ev.Denied)}


def test_a_chain_of_what_was_not_named_is_a_failure():
    pit = Pit(proposal()).entered()
    pit.strategy.unasked = ("AAPL",)
    assert pit.engine.chains(AT) == []


def test_contracts_of_a_structure_are_asked_for_from_its_intent_to_its_end():
    pit = Pit(proposal())
    assert not pit.engine.held_contracts
    pit.scan()
    assert pit.engine.held_contracts == (CALL, PUT)
    pit.strategy.proposals = []
    pit.fill_all()
    pit.read()
    assert pit.engine.held_contracts == (CALL, PUT)


def test_a_view_has_quotes_and_daily_bars():
    pit = Pit()
    daily = frame_of({"AAPL": [99.0]})
    quotes = quotes_of()
    event = ev.BarsClosed(AT, frame_of({"AAPL": [100.0]}), {}, quotes=quotes, daily=daily)
    pit.step(event)
    [view] = pit.strategy.views
    assert (dict(view.quotes), view.daily) == (quotes, daily)


def test_contracts_of_structures_are_marked_at_their_mids_and_no_others_are():
    pit = Pit(proposal()).entered()
    decisions = pit.scan(60)
    [marked] = [f for f in decisions.facts if isinstance(f, ev.Marked)]
    assert marked.marks == {"AAPL": 100, "MSFT": 100, CALL: D("4.95"), PUT: D("4.85")}
    assert pit.state.pnl == D("-0.10") * 5 * 100
    pit.scan(60, quotes={})
    assert pit.state.marks[CALL] == D("4.95")


def test_scans_are_counted_and_a_reading_is_none():
    pit = Pit(proposal()).entered()
    pit.scan()
    pit.read()
    pit.crash(snapshot.load(snapshot.dump(pit.state), snapshot.STATE_VERSION))
    pit.read()
    pit.scan()
    assert pit.state.iteration == 3


def test_a_decided_bar_proposes_no_structure_twice():
    pit = Pit(proposal())
    pit.scan()
    [coid] = pit.floor.orders
    pit.floor.end(coid, "canceled", pit.at)
    pit.read()
    assert pit.state.structures == {}
    event = ev.BarsClosed(pit.at, frame_of({"AAPL": [100.0]}, AT - FIVE), {}, quotes=quotes_of(pit.at))
    assert kinds(pit.step(event)) == ["Marked"]


def test_a_strategy_leaves_its_structure_by_its_underlying():
    pit = Pit(proposal()).entered()
    pit.strategy.proposals = [Proposal("AAPL", Side.SELL, AT - FIVE, "it is over", exit=True)]
    assert "ExitRequested" in kinds(pit.scan(300))
    assert pit.state.exits == {pit.structure.structure_id: "it is over"}
    pit.read()
    assert len(pit.intents(Purpose.EXIT)) == 1


def test_marks_of_a_structure_that_is_over_are_let_go():
    pit = Pit(proposal()).entered()
    pit.scan(60)
    pit.facts += pit.engine.record(ev.ExitRequested(pit.at, ev.ALL, "asked")).facts
    pit.read()
    pit.fill_all()
    pit.read()
    assert set(pit.state.marks) == {"AAPL", "MSFT"}


DEEDS = st.lists(st.sampled_from(["read", "scan", "fill", "part", "crash", "leave", "refuse", "wait"]), max_size=14)


@settings(max_examples=25)
@given(deeds=DEEDS, shares=st.booleans())
def test_whatever_happens_no_order_goes_out_twice_and_a_replay_knows_all(deeds, shares):
    """Each id is decided once, each order is for what is held, and the journal gives the same state."""
    plan = replace(options_state().plan, capital_per_trade=D(25_000))
    pit = Pit(proposal(COVERED) if shares else proposal(), plan=plan)
    pit.strategy.dates = True
    start = snapshot.dump(pit.state)
    pit.facts = []
    for deed in deeds:
        _do(pit, deed)
        planned = [i.client_order_id for i in pit.intents()]
        assert len(planned) == len(set(planned))
        again = snapshot.load(start, snapshot.STATE_VERSION)
        for fact in pit.facts:
            apply(again, fact)
        assert again == pit.state
        assert pit.floor.cash == pit.state.realized_pnl + sum(
            (-p.value(p.avg_entry_price) for p in pit.state.positions.values()), D(0)
        )
        assert not any(q < 0 for s, q in pit.floor.held.items() if s != CALL or not shares)


def _do(pit: Pit, deed: str) -> None:
    open_ = [coid for coid, o in pit.floor.orders.items() if o.status in ("new", "partially_filled")]
    if deed == "scan":
        pit.scan(60)
    elif deed == "crash":
        pit.crash(snapshot.load(snapshot.dump(pit.state), snapshot.STATE_VERSION))
    elif deed == "leave":
        pit.facts += pit.engine.record(ev.ExitRequested(pit.at, "AAPL", "asked")).facts
    elif deed == "fill":
        pit.fill_all()
    elif deed == "part" and open_:
        pit.floor.fill(open_[0], pit.at, 1)
    elif deed == "refuse" and open_:
        pit.floor.end(open_[0], "canceled", pit.at)
    pit.read(90 if deed == "wait" else 1)
