"""What is sent for a structure: each order once, none before the one before it is settled, shorts first."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import apply
from gambler_ai.core.model import Side
from gambler_ai.core.orders import Purpose, Status
from gambler_ai.core.protection import BY_RULES, Protection, protections
from gambler_ai.core.state import SessionState
from tests.unit.fakes import AT, SHUT, kinds
from tests.unit.structures import CALL, CONDOR, COVERED, PUT, WINGS, Pit, legs_of, options_state, proposal

D = Decimal
RICH = replace(options_state().plan, capital_per_trade=D(25_000))


def covered() -> Pit:
    """Two covered calls whose shares are filled and not booked yet."""
    pit = Pit(proposal(COVERED, strategy="covered call"), plan=RICH)
    pit.scan()
    pit.strategy.proposals = []
    pit.fill_all()
    return pit


def condor() -> Pit:
    return Pit(proposal(CONDOR, strategy="iron condor")).entered()


def leave(pit: Pit, symbol: str = "AAPL") -> None:
    pit.facts += pit.engine.record(ev.ExitRequested(pit.at, symbol, "asked")).facts


def crashed(pit: Pit, start: SessionState | None = None) -> None:
    """Another process takes the session on from its checkpoint."""
    pit.crash(snapshot.load(snapshot.dump(start or pit.state), snapshot.STATE_VERSION))


# -- the next leg ---------------------------------------------------------------------------------


def test_a_covered_calls_call_is_sold_as_soon_as_its_shares_are_booked():
    pit = covered()
    [shares] = pit.intents()
    assert (shares.symbol, shares.side, shares.qty, shares.purpose) == ("AAPL", Side.BUY, D(200), Purpose.ENTRY)
    pit.read()
    [leg] = pit.intents(Purpose.LEG)
    body = json.loads(leg.body)
    assert (leg.symbol, leg.side, leg.qty, leg.structure_id) == (CALL, Side.SELL, D(2), shares.client_order_id)
    assert (body["position_intent"], body["time_in_force"], body["type"]) == ("sell_to_open", "day", "market")
    assert leg.decision_id == f"leg|{shares.client_order_id}|0"
    pit.fill_all()
    for _ in range(5):
        pit.read(30)
    assert len(pit.intents()) == 2
    assert {s: p.qty for s, p in pit.state.positions.items()} == {"AAPL": 200, CALL: -2}


def test_the_call_waits_for_all_of_the_shares():
    pit = Pit(proposal(COVERED), plan=RICH)
    pit.scan()
    [coid] = pit.floor.orders
    pit.floor.fill(coid, pit.at, 150, prices={"AAPL": "100"})
    pit.read()
    assert pit.intents(Purpose.LEG) == []
    pit.floor.fill(coid, pit.at, prices={"AAPL": "100"})
    pit.read()
    assert len(pit.intents(Purpose.LEG)) == 1


def test_a_leg_is_sent_once_whatever_happens_between():
    """Killed after its commit, before its answer; replayed from the journal or from a checkpoint: one id, one order."""
    pit = covered()
    before = snapshot.dump(pit.state)
    pit.sends = False
    facts = list(pit.read().facts)
    [leg] = pit.intents(Purpose.LEG)
    crashed(pit)
    pit.read(60)
    assert len(pit.intents(Purpose.LEG)) == 1
    replayed = snapshot.load(before, snapshot.STATE_VERSION)
    for fact in facts:
        apply(replayed, fact)
    pit.crash(replayed)
    pit.read(60)
    assert len(pit.intents(Purpose.LEG)) == 1
    pit.crash(snapshot.load(before, snapshot.STATE_VERSION))  # killed before the commit: decided anew, the same
    pit.read()
    assert [i.client_order_id for i in pit.intents(Purpose.LEG)] == [leg.client_order_id] * 2


def test_a_call_that_is_held_is_not_sold_again_by_books_that_forgot_it():
    """As those of a backup may have."""
    pit = covered()
    pit.read()
    pit.fill_all()
    pit.read()
    pit.state.structures = {k: replace(s, decisions=0) for k, s in pit.state.structures.items()}
    pit.read(30)
    assert len(pit.intents(Purpose.LEG)) == 1


def test_shares_whose_call_cannot_be_sold_in_its_time_are_closed():
    pit = covered()
    pit.read()
    [leg] = pit.intents(Purpose.LEG)
    pit.read(59)
    assert pit.of(ev.CancelPlanned) == []
    pit.read(2)
    [cancel] = pit.of(ev.CancelPlanned)
    assert cancel.order_id == pit.floor.orders[leg.client_order_id].order_id
    pit.floor.end(leg.client_order_id, "canceled", pit.at)
    pit.read()
    pit.read(31)
    [out] = pit.intents(Purpose.EXIT)
    assert (out.symbol, out.side, out.qty) == ("AAPL", Side.SELL, D(200))
    pit.fill_all()
    pit.read()
    assert pit.state.structures == {}
    assert len(pit.intents(Purpose.LEG)) == 1


def test_a_call_sold_in_part_keeps_its_shares_and_the_rest_go():
    pit = covered()
    pit.read()
    [leg] = pit.intents(Purpose.LEG)
    pit.floor.fill(leg.client_order_id, pit.at, 1)
    pit.read()
    pit.read(61)
    pit.floor.end(leg.client_order_id, "canceled", pit.at)
    pit.read()
    pit.read(61)
    [out] = pit.intents(Purpose.EXIT)
    assert (out.symbol, out.qty) == ("AAPL", D(100))
    pit.fill_all()
    pit.read()
    pit.read(600)
    assert len(pit.intents()) == 3
    assert {s: p.qty for s, p in pit.state.positions.items()} == {"AAPL": 100, CALL: -1}


# -- an entry that does not come to its end --------------------------------------------------------


def test_an_entry_filled_in_part_is_canceled_at_its_deadline_and_what_is_held_goes_on():
    pit = Pit(proposal())
    pit.scan()
    [coid] = pit.floor.orders
    pit.floor.fill(coid, pit.at, 2)
    pit.read()
    pit.read(59)
    assert pit.of(ev.CancelPlanned) == []
    pit.read(2)
    [cancel] = pit.of(ev.CancelPlanned)
    assert cancel.order_id == pit.floor.orders[coid].order_id  # the parent, and none of its legs
    pit.floor.end(coid, "canceled", pit.at)
    for _ in range(4):
        pit.read(61)
    assert len(pit.intents()) == len(pit.of(ev.CancelPlanned)) == 1
    assert pit.structure.units == 2


def test_an_entry_of_which_nothing_is_filled_goes_with_its_signal_and_leaves_nothing():
    pit = Pit(proposal())
    pit.scan()
    pit.strategy.proposals = []
    [coid] = pit.floor.orders
    pit.read(1_000)
    assert [c.order_id for c in pit.of(ev.CancelPlanned)] == [pit.floor.orders[coid].order_id]
    pit.floor.end(coid, "canceled", pit.at)
    pit.read()
    assert kinds(pit.facts)[-1] == "StructureEnded"
    assert pit.state.structures == {}


# -- the way out ------------------------------------------------------------------------------------


def test_all_contracts_leave_in_one_order_at_market():
    pit = condor()
    leave(pit)
    pit.read()
    [out] = pit.intents(Purpose.EXIT)
    body = json.loads(out.body)
    assert (out.symbol, out.side, out.qty) == ("AAPL", Side.SELL, D(pit.structure.units))
    assert (body["type"], body["order_class"], body["qty"]) == ("market", "mleg", str(pit.structure.units))
    assert (out.position_id, out.decision_id) == (pit.structure.structure_id, f"exit|{pit.structure.structure_id}|0")
    ways = [("sell", "sell_to_close"), ("buy", "buy_to_close"), ("buy", "buy_to_close"), ("sell", "sell_to_close")]
    assert legs_of(out) == [(symbol, *way) for symbol, way in zip(WINGS, ways, strict=True)]
    pit.read(20)
    assert pit.of(ev.CancelPlanned) == []  # its symbol has no position, and it is no orphan
    pit.fill_all()
    pit.read()
    assert [f.symbol for f in pit.of(ev.ExitDone)] == ["AAPL"]
    assert (pit.state.structures, pit.state.positions) == ({}, {})
    assert len(pit.intents(Purpose.EXIT)) == 1


@pytest.mark.parametrize("key", ["AAPL", ev.ALL, "structure"])
def test_it_leaves_by_its_id_its_underlying_or_with_everything(key):
    pit = condor()
    leave(pit, pit.structure.structure_id if key == "structure" else key)
    pit.read()
    assert len(pit.intents(Purpose.EXIT)) == 1
    assert pit.of(ev.ExitDone) == []
    pit.fill_all()
    pit.read()
    assert len(pit.of(ev.ExitDone)) == 1


def test_another_underlying_is_not_left():
    pit = condor()
    leave(pit, "MSFT")
    pit.read()
    assert pit.intents(Purpose.EXIT) == []


def test_no_exit_goes_out_before_the_entry_is_settled():
    """Else the two would fill at once, and the way out would open what it was to close."""
    pit = Pit(proposal())
    pit.scan()
    [coid] = pit.floor.orders
    pit.floor.fill(coid, pit.at, 2)
    pit.read()
    leave(pit)
    pit.read()
    [cancel] = pit.of(ev.CancelPlanned)
    assert (cancel.order_id, cancel.reason) == (pit.floor.orders[coid].order_id, "asked")
    pit.read(5)
    assert pit.intents(Purpose.EXIT) == []
    pit.floor.fill(coid, pit.at, 1)
    pit.floor.end(coid, "canceled", pit.at)
    order = pit.floor.orders[coid]
    fills, pit.floor.fills = pit.floor.fills, pit.floor.fills[:3]
    pit.read()
    assert pit.intents(Purpose.EXIT) == []  # canceled, and a fill of it is still on its way
    pit.floor.fills = fills
    pit.read()
    [out] = pit.intents(Purpose.EXIT)
    assert (out.qty, order.filled_qty) == (D(3), D(3))


def test_nothing_leaves_while_the_market_is_closed():
    pit = condor()
    leave(pit, ev.ALL)
    pit.read(market=SHUT)
    assert pit.intents(Purpose.EXIT) == []
    pit.read()
    assert len(pit.intents(Purpose.EXIT)) == 1


def test_nothing_is_sent_for_what_the_broker_does_not_show():
    pit = condor()
    leave(pit)
    pit.floor.held[WINGS[1]] = D(0)
    pit.read()
    assert pit.intents(Purpose.EXIT) == []


def test_shares_leave_after_the_call_is_bought_back():
    pit = covered()
    pit.read()
    pit.fill_all()
    pit.read()
    leave(pit)
    pit.read()
    [call] = pit.intents(Purpose.EXIT)
    assert (call.symbol, call.side, call.qty) == (CALL, Side.BUY, D(2))
    assert json.loads(call.body)["position_intent"] == "buy_to_close"
    pit.read(40)
    assert len(pit.intents(Purpose.EXIT)) == 1
    pit.fill_all()
    pit.read()
    shares = pit.intents(Purpose.EXIT)[-1]
    assert (shares.symbol, shares.side, shares.qty) == ("AAPL", Side.SELL, D(200))
    assert shares.decision_id.endswith("|2")
    pit.fill_all()
    pit.read()
    assert pit.state.structures == {}


def test_what_cannot_leave_as_a_whole_leaves_leg_by_leg():
    """Nobody bids for a wing: the shorts must not stay for that."""
    pit = condor()
    leave(pit)
    pit.read()
    [whole] = pit.intents(Purpose.EXIT)
    pit.read(59)
    assert pit.of(ev.CancelPlanned) == []
    pit.read(2)
    assert [c.order_id for c in pit.of(ev.CancelPlanned)] == [pit.floor.orders[whole.client_order_id].order_id]
    pit.read(5)
    assert len(pit.intents(Purpose.EXIT)) == 1  # it may still fill
    pit.floor.end(whole.client_order_id, "canceled", pit.at)
    pit.read()
    shorts = pit.intents(Purpose.EXIT)[1:]
    assert {(i.symbol, i.side) for i in shorts} == {(WINGS[1], Side.BUY), (WINGS[2], Side.BUY)}
    assert [i.decision_id.rpartition("|")[2] for i in shorts] == ["1", "2"]
    pit.floor.fill(shorts[0].client_order_id, pit.at)
    pit.read()
    assert len(pit.intents(Purpose.EXIT)) == 3
    pit.floor.fill(shorts[1].client_order_id, pit.at)
    pit.read()
    assert {(i.symbol, i.side) for i in pit.intents(Purpose.EXIT)[3:]} == {
        (WINGS[0], Side.SELL), (WINGS[3], Side.SELL),
    }  # fmt: skip


def test_a_refused_exit_is_tried_again_after_a_pause_that_doubles():
    pit = condor()
    pit.sends = False
    leave(pit)
    asked: list[datetime] = []
    for _ in range(40):
        pit.read(10)
        for intent in pit.intents(Purpose.EXIT)[len(asked) :]:
            asked.append(pit.at)
            pit.step(ev.SubmitRefused(pit.at, intent.client_order_id, "no", duplicate=False))
    tries = sorted(set(asked))
    assert [(b - a).total_seconds() for a, b in pairwise(tries)] == [30, 120]
    assert len({i.client_order_id for i in pit.intents()}) == len(pit.intents())


# -- what is not even -------------------------------------------------------------------------------


def by_hand(pit: Pit, symbol: str, left: str) -> None:
    """Somebody closed some of a leg, and that is known."""
    pit.floor.held[symbol] = D(left)
    pit.facts += pit.engine.record(ev.Adjusted(pit.at, symbol, D(left), D(1), "closed at the broker")).facts


def test_what_is_beyond_the_even_part_is_closed_shorts_first():
    pit = condor()
    units = pit.structure.units
    assert units > 2
    by_hand(pit, WINGS[0], "1")
    pit.read(59)
    assert pit.intents(Purpose.EXIT) == []
    pit.read(2)
    shorts = pit.intents(Purpose.EXIT)
    assert {(i.symbol, i.side, i.qty) for i in shorts} == {(s, Side.BUY, D(units - 1)) for s in WINGS[1:3]}
    assert all(i.reason.startswith("uneven: ") and WINGS[3] in i.reason for i in shorts)  # told by `reconcile.uneven`
    pit.fill_all()
    pit.read()
    [longs] = pit.intents(Purpose.EXIT)[2:]
    assert (longs.symbol, longs.side, longs.qty) == (WINGS[3], Side.SELL, D(units - 1))
    pit.fill_all()
    pit.read()
    assert {abs(p.qty) for p in pit.state.positions.values()} == {1}
    assert pit.structure.uneven_since is None
    pit.read(600)
    assert len(pit.intents()) == 4


def test_what_is_even_again_in_time_is_left_alone():
    pit = Pit(proposal())
    pit.scan()
    [coid] = pit.floor.orders
    pit.floor.fill(coid, pit.at, only=[CALL])
    pit.read()
    pit.read(40)
    assert pit.structure.uneven_since is not None
    order = pit.floor.orders[coid]
    for leg in order.legs:
        if leg.symbol == PUT:
            pit.floor.execute(leg, leg.qty, D("4.90"), pit.at)
    legs = tuple(replace(leg, filled_qty=leg.qty, status="filled", updated_at=pit.at) for leg in order.legs)
    pit.floor.orders[coid] = replace(order, legs=legs, updated_at=pit.at)
    for _ in range(5):
        pit.read(61)
    assert pit.intents(Purpose.EXIT) == []


def test_nothing_is_mended_while_the_market_is_closed():
    pit = condor()
    by_hand(pit, WINGS[0], "1")
    pit.read(600, market=SHUT)
    assert pit.intents(Purpose.EXIT) == []
    pit.read()
    assert len(pit.intents(Purpose.EXIT)) == 2


def test_what_was_exercised_is_closed_whole_shares_included():
    pit = Pit(proposal()).entered()
    units = pit.structure.units
    pit.engine.record(ev.OptionSettled(pit.at, CALL, D(units), "exercised", D(100 * units), D(100), ("x",)))
    pit.floor.held |= {CALL: D(0), "AAPL": D(100 * units)}
    pit.read(market=SHUT)
    assert pit.intents(Purpose.EXIT) == []
    pit.read()
    assert {(i.symbol, i.side, i.qty) for i in pit.intents(Purpose.EXIT)} == {
        ("AAPL", Side.SELL, D(100 * units)), (PUT, Side.SELL, D(units)),
    }  # fmt: skip
    pit.fill_all()
    pit.read()
    assert pit.state.structures == {}
    assert pit.of(ev.StructureEnded)[0].reason == "a contract of it was exercised or assigned, or has expired"


# -- beside the rest --------------------------------------------------------------------------------


def test_legs_are_guarded_and_get_no_stop():
    pit = condor()
    assert {(s, why) for _, s, why in protections(pit.state)} == {(Protection.GUARDED, BY_RULES)}
    for _ in range(3):
        pit.read(61)
    assert len(pit.intents()) == 1


def test_a_disputed_order_does_not_end_it_and_does_not_hold_up_the_way_out():
    pit = condor()
    [entry] = pit.state.intents
    pit.floor.orders.clear()
    pit.engine.record(ev.IntentDisputed(pit.at, entry, "who knows"))
    leave(pit)
    pit.read()
    pit.fill_all()
    pit.read()
    assert pit.state.positions == {}
    assert len(pit.state.structures) == 1
    assert pit.state.intents[entry].status is Status.DISPUTED
    assert [f.symbol for f in pit.of(ev.ExitDone)] == ["AAPL"]


def test_a_flip_by_two_exits_is_closed_with_its_structure():
    pit = Pit(proposal()).entered()
    leave(pit)
    pit.read()
    [out] = pit.intents(Purpose.EXIT)
    pit.fill_all()
    order = pit.floor.orders[out.client_order_id]
    pit.floor.execute(order.legs[0], D(1), D(5), pit.at)
    pit.read()
    assert pit.state.positions[CALL].qty == -1
    assert pit.of(ev.ExitRequested)[-1].symbol == pit.structure.structure_id
    pit.read(timedelta(seconds=31).total_seconds())
    last = pit.intents(Purpose.EXIT)[-1]
    assert (last.symbol, last.side, last.qty) == (CALL, Side.BUY, D(1))


def test_ids_are_functions_of_the_decision():
    one, two = condor(), condor()
    for pit in (one, two):
        leave(pit)
        pit.read()
    assert [i.client_order_id for i in one.intents()] == [i.client_order_id for i in two.intents()]
    assert [i.body for i in one.intents()] == [i.body for i in two.intents()]
    assert one.at > AT


# -- what comes late --------------------------------------------------------------------------------


def test_a_late_fill_of_what_was_over_is_closed_under_an_id_of_its_own():
    """The structure had ended, with an exit. What begins anew may not decide that exit once more: its id is taken."""
    pit = Pit(proposal())
    pit.scan()
    pit.strategy.proposals = []
    [coid] = pit.floor.orders
    pit.floor.fill(coid, pit.at, 1)
    pit.floor.end(coid, "canceled", pit.at)
    pit.read()
    leave(pit)
    pit.read()
    pit.fill_all()
    pit.read()
    assert pit.state.structures == {}
    for leg in pit.floor.orders[coid].legs:
        pit.floor.execute(leg, D(1), D(1), pit.at)
    pit.read(31)
    leave(pit)
    pit.read(31)
    ids = [i.client_order_id for i in pit.intents(Purpose.EXIT)]
    assert len(ids) == len(set(ids)) == 2
    pit.fill_all()
    pit.read(31)
    assert (pit.state.positions, pit.state.structures) == ({}, {})


@pytest.mark.parametrize(("late_s", "sold"), [(240, True), (301, False)])
def test_a_call_is_not_sold_on_shares_that_came_long_ago(late_s, sold):
    """Killed between the two and resumed after a while: the price that the call was chosen for is gone."""
    pit = covered()
    crashed(pit)
    pit.read(late_s)
    assert [i.purpose for i in pit.intents()[1:]] == [Purpose.LEG if sold else Purpose.EXIT]


def test_a_contract_whose_structure_nobody_remembers_gets_no_stop_and_is_closed_at_market():
    """A way out that was filled twice, and the second time when its structure and the entry were let go of."""
    pit = Pit(proposal()).entered()
    leave(pit)
    pit.read()
    [entry, out] = pit.intents()
    pit.fill_all()
    pit.read()
    for order_id in pit.state.intents[entry.client_order_id].order_ids:
        del pit.state.orders[order_id]
    del pit.state.intents[entry.client_order_id]
    del pit.floor.orders[entry.client_order_id]
    for leg in pit.floor.orders[out.client_order_id].legs:
        pit.floor.execute(leg, D(5), D(1), pit.at)
    pit.read(60, market=SHUT)
    assert {p.symbol: (p.qty, p.structure_id) for p in pit.state.positions.values()} == {
        CALL: (D(-5), ""),
        PUT: (D(-5), ""),
    }
    assert len(pit.intents()) == 2
    pit.read(60)
    outs = pit.intents()[2:]
    assert len({i.client_order_id for i in outs}) == 2
    assert {(i.symbol, i.side, i.qty, i.purpose) for i in outs} == {
        (symbol, Side.BUY, D(5), Purpose.EXIT) for symbol in (CALL, PUT)
    }  # fmt: skip
    assert {json.loads(i.body)["position_intent"] for i in outs} == {"buy_to_close"}
    pit.fill_all()
    pit.read(60)
    assert pit.state.positions == {}


def test_a_way_out_that_is_filled_bit_by_bit_is_not_waited_for_with_each_bit():
    pit = Pit(proposal()).entered()
    leave(pit)
    pit.read()
    [out] = pit.intents(Purpose.EXIT)
    for _ in range(2):
        pit.at += timedelta(seconds=35)
        pit.floor.fill(out.client_order_id, pit.at, 1)
        pit.read()
    assert pit.of(ev.CancelPlanned) == []
    pit.read(30)
    [cancel] = pit.of(ev.CancelPlanned)
    assert cancel.order_id == pit.floor.orders[out.client_order_id].order_id
