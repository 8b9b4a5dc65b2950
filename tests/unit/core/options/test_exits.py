"""Each exit rule on its own: it fires at its bound and not before, and time needs no price."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.options import exits
from gambler_ai.core.orders import Purpose
from gambler_ai.core.structures import ExitRules, Leg
from tests.unit.fakes import AT, SHUT, kinds
from tests.unit.structures import CALL, CONDOR, COVERED, PUT, STRADDLE, WINGS, Pit, proposal, quotes_of, structure

D = Decimal
SPOT = {"AAPL": D(100)}
NEVER = ExitRules()


def by_price(legs=STRADDLE, spot="100", prices=None, **changes):
    one = structure(legs, exits=ExitRules(time_value=D("0.10")), **changes)
    return exits.by_price(one, quotes_of(prices=prices), {"AAPL": D(spot)})


@pytest.mark.parametrize(
    ("stop", "target", "why"),
    [("9.80", None, "stop: worth 9.80"), ("9.79", None, ""), (None, "9.80", "target: worth 9.80"), (None, "9.81", ""),
     (None, None, "")],
)  # fmt: skip
def test_a_debit_leaves_at_its_stop_and_at_its_target(stop, target, why):
    """Mids of 4.95 and 4.85."""
    found = by_price(stop_price=stop and D(stop), target_price=target and D(target))
    assert found.startswith(why)
    assert bool(found) == bool(why)


@pytest.mark.parametrize(("stop", "target", "leaves"), [("-2.29", "-1", True), ("-2.31", "-1", False),
                                                        ("-4", "-2.30", True), ("-4", "-2.20", False)])  # fmt: skip
def test_a_credit_does_too_by_the_same_rule(stop, target, leaves):
    """Worth -2.30 at the mids: bought back for that."""
    found = by_price(CONDOR, stop_price=D(stop), target_price=D(target),
                     prices={WINGS[1]: ("2.05", "2.15"), WINGS[2]: ("2.15", "2.25")})  # fmt: skip
    assert bool(found) == leaves


def test_shares_are_worth_their_last_trade():
    assert by_price(COVERED, "90", stop_price=D("85.05"), target_price=None).startswith("stop: worth 85.05")


@pytest.mark.parametrize("prices", [{CALL: (None, None)}, {PUT: ("4.80", None)}])
def test_without_all_of_its_prices_no_price_takes_it_out(prices):
    assert by_price(prices=prices, stop_price=D(100), target_price=D(-100)) == ""
    assert exits.by_price(structure(stop_price=D(100)), {}, {}) == ""


def test_a_leg_that_nobody_bids_for_is_worth_half_its_ask():
    assert by_price(prices={CALL: (None, "0.10")}, stop_price=D("4.90")).startswith("stop: worth 4.90")


@pytest.mark.parametrize(
    ("legs", "spot", "quote", "leaves"),
    [
        (COVERED, "108", ("8.00", "8.20"), True),  # 0.10 over what exercise brings
        (COVERED, "108", ("8.01", "8.21"), False),
        (COVERED, "108", ("7.00", "8.00"), True),  # below it
        (COVERED, "100", ("0.00", "0.02"), False),  # out of the money: nobody assigns that
        (STRADDLE, "108", ("8.00", "8.20"), False),  # a long call is ours to exercise
    ],
)
def test_a_short_leg_in_the_money_leaves_with_its_last_time_value(legs, spot, quote, leaves):
    found = by_price(legs, spot, {CALL: quote}, stop_price=None, target_price=None)
    assert bool(found) == leaves
    assert not leaves or "22 Nov 2008 100 call is in the money" in found


@pytest.mark.parametrize(
    ("rules", "at", "why"),
    [
        (ExitRules(days_left=7), datetime(2008, 11, 15, 15, tzinfo=UTC), "7 days to its expiry, closed at 7"),
        (ExitRules(days_left=7), datetime(2008, 11, 14, 15, tzinfo=UTC), ""),
        (ExitRules(days_left=7), datetime(2008, 11, 15, 3, tzinfo=UTC), ""),  # the 14th in New York
        (ExitRules(days_left=0), datetime(2008, 11, 22, 15, tzinfo=UTC), "0 days to its expiry, closed at 0"),
        (ExitRules(max_days=5), AT + timedelta(days=5), "open for 5 days, closed after 5"),
        (ExitRules(max_days=5), AT + timedelta(days=4, hours=10), ""),
        (NEVER, datetime(2008, 11, 22, 15, tzinfo=UTC), ""),
    ],
)
def test_time_takes_it_out_by_new_yorks_calendar(rules, at, why):
    assert exits.by_time(structure(exits=rules), at) == why


def test_the_first_of_its_expiries_counts():
    later = CALL.replace("081122", "081220")
    one = structure((Leg(CALL, -1), Leg(PUT, 1)), exits=ExitRules(days_left=7))
    one = replace(one, legs=(Leg(later, 1), Leg(CALL, -1)))
    assert exits.by_time(one, datetime(2008, 11, 15, 15, tzinfo=UTC))


def test_one_that_was_exercised_is_closed():
    assert "exercised or assigned" in exits.by_time(structure(exits=NEVER, settled=True), AT)


# -- in a session ------------------------------------------------------------------------------------


def scanned(pit):
    """A minute later, at quotes at which a straddle of 9.90 has passed its stop of 4.95."""
    far = {CALL: ("2.00", "2.10"), PUT: ("2.00", "2.10")}
    return pit.scan(60, quotes_of(pit.at + timedelta(seconds=60), far))


def test_exits_come_before_proposals_and_the_next_reading_sends_them():
    pit = Pit(proposal()).entered()
    pit.strategy.proposals = [proposal((Leg("MSFT081122C00100000", 1),), underlying="MSFT", entry_price=D(5))]
    decisions = scanned(pit)
    assert kinds(decisions)[:2] == ["ExitRequested", "Denied"]
    assert decisions.look_again
    key = pit.structure.structure_id
    assert pit.state.exits == {key: "stop: worth 4.10, stop at 4.95"}
    assert kinds(scanned(pit)).count("ExitRequested") == 0  # once
    pit.read()
    assert len(pit.intents(Purpose.EXIT)) == 1
    pit.fill_all()
    pit.read()
    assert (pit.state.exits, pit.state.structures) == ({}, {})


def test_the_prices_of_a_closed_market_take_nothing_out():
    pit = Pit(proposal()).entered()
    pit.read(market=SHUT)
    assert "ExitRequested" not in kinds(scanned(pit))


def test_time_takes_out_in_a_reading_that_has_no_prices():
    pit = Pit(proposal()).entered()
    pit.step(ev.BrokerFailed(pit.at, ev.MARKET_DATA, "away"))
    pit.at += timedelta(days=30)
    market = replace(SHUT, next_open=pit.at + timedelta(hours=9))
    pit.read(market=market)
    assert pit.of(ev.ExitRequested) == []
    pit.read(market=replace(market, is_open=True))
    [asked] = pit.of(ev.ExitRequested)
    assert asked.reason == "open for 30 days, closed after 30"
    assert len(pit.intents(Purpose.EXIT)) == 1


def test_a_structure_of_which_nothing_is_filled_has_nothing_to_leave():
    pit = Pit(proposal())
    pit.scan()
    assert "ExitRequested" not in kinds(scanned(pit))


# -- which quotes are gone by ---------------------------------------------------------------------


def test_quotes_of_last_evening_take_nothing_out():
    """In the morning the broker states them until a contract is quoted again."""
    pit = Pit(proposal(target_price=D(10))).entered()
    rich = {CALL: ("9", "9.1"), PUT: ("9", "9.1")}
    pit.scan(60, quotes=quotes_of(pit.at - timedelta(hours=15), rich))
    assert pit.of(ev.ExitRequested) == []
    pit.scan(60, quotes=quotes_of(pit.at - timedelta(minutes=15), rich))
    assert len(pit.of(ev.ExitRequested)) == 1


@pytest.mark.parametrize("quote", [None, (None, None), "of last evening"])
def test_a_contract_without_a_price_is_told_since_its_stop_waits(quote):
    pit = Pit(proposal()).entered()
    pit.scan(60)

    def without():
        quotes = quotes_of(pit.at)
        if quote is None:
            del quotes[PUT]
        elif quote == "of last evening":
            quotes[PUT] = replace(quotes[PUT], at=pit.at - timedelta(hours=15))
        else:
            quotes[PUT] = replace(quotes[PUT], bid=None, ask=None)
        return quotes

    pit.scan(60, quotes=without())
    pit.scan(600, quotes=without())
    assert pit.state.degraded == {}
    pit.scan(1, quotes=without())
    [(name, why)] = pit.state.degraded.items()
    assert (name, why) == ("unquoted contracts AAPL", f"no price of {PUT}: stop and target wait")
    pit.scan(60)
    assert pit.state.degraded == {}


def test_that_ends_with_the_close_and_with_the_structure():
    pit = Pit(proposal()).entered()
    for _ in range(2):
        pit.scan(601, quotes={})
    assert list(pit.state.degraded) == ["unquoted contracts AAPL"]
    pit.read(market=SHUT)
    assert pit.state.degraded == {}
    pit.read()
    for _ in range(2):
        pit.scan(601, quotes={})
    assert list(pit.state.degraded) == ["unquoted contracts AAPL"]
    pit.facts += pit.engine.record(ev.ExitRequested(pit.at, ev.ALL, "asked")).facts
    pit.read(31)
    pit.fill_all()
    pit.read()
    pit.scan(60)
    assert (pit.state.structures, pit.state.degraded) == ({}, {})
