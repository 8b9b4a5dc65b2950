"""A proposed structure: approved with its units, its price and its order, or denied with a code."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from gambler_ai.core import exposure, risk
from gambler_ai.core.events import ALL
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.model import Instrument, Position, Side, Trade
from gambler_ai.core.options.review import Approved, Market, entry, level_needed, review
from gambler_ai.core.orders import IntentRecord, Status
from gambler_ai.core.risk import Code, Denial
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.structures import Leg
from tests.unit.fakes import AT, CLOSE, FIVE, LIMITS, MARKET, SHUT
from tests.unit.fakes import entry as share_entry
from tests.unit.structures import (
    CALL,
    CONDOR,
    COVERED,
    OPTIONS_MONEY,
    PUT,
    STRADDLE,
    WINGS,
    options_state,
    proposal,
    quotes_of,
    structure,
)

D = Decimal
PLAN = options_state().plan
TODAY = tuple(symbol.replace("081122", "081007") for symbol in (CALL, PUT))


def market(at=AT, **changes) -> Market:
    """An ordinary moment."""
    ordinary = Market(at, LIMITS, MARKET, {"AAPL": Instrument("AAPL")}, quotes_of(at), Trade("AAPL", D(100), at))
    return replace(ordinary, **changes)


def state_with(**plan):
    return options_state(plan=replace(PLAN, **plan))


def account(**changes):
    return options_state(account=replace(OPTIONS_MONEY, **changes))


def on(symbol, **changes):
    """A structure on ``symbol`` is open."""
    one = structure(underlying=symbol, sector=changes.pop("sector", symbol), **changes)
    return {one.structure_id: one}


def leg(symbol):
    """Five of it held for a structure that is no more."""
    return {symbol: Position(symbol, D(5), D(1), AT, "p", "s", structure_id="gone")}


def of_today(at):
    quotes = {s: replace(quotes_of(at)[CALL], symbol=s) for s in TODAY}
    trade = Trade("AAPL", D(100), at)
    return {"proposal": proposal(tuple(Leg(s, 1) for s in TODAY), signal_at=at - FIVE, entry_price=D(10)),
            "market": market(at, quotes=quotes, trade=trade)}  # fmt: skip


DENIED = {
    "stopping": ({"state": options_state(stopping="signal")}, Code.HALTED, "signal"),
    "leaving": ({"state": options_state(exits={ALL: "asked"})}, Code.HALTED, "closing everything"),
    "closed": ({"market": market(clock=SHUT)}, Code.MARKET_CLOSED, "next open"),
    "late": ({"market": market(CLOSE - timedelta(minutes=1))}, Code.MARKET_CLOSED, "last"),
    "degraded": ({"state": options_state(degraded={"market data": "away"})}, Code.DEGRADED, "away"),
    "unknown": ({"market": market(instruments={})}, Code.NOT_TRADABLE, "AAPL"),
    "open": ({"state": options_state(structures=on("AAPL"))}, Code.POSITION_OPEN, "straddle on it is open"),
    "shares": ({"state": options_state(positions=leg("AAPL"))},
               Code.POSITION_OPEN, "5 AAPL held"),
    "contract": ({"state": options_state(positions=leg(PUT))},
                 Code.POSITION_OPEN, f"5 {PUT} held"),
    "taken": ({"market": market(limits=replace(LIMITS, taken={CALL: "s-2"}))}, Code.SYMBOL_BLOCKED, "s-2"),
    "elsewhere": ({"market": market(limits=replace(LIMITS, elsewhere={CALL: "s-2"}))}, Code.SYMBOL_BLOCKED, "s-2"),
    "foreign": ({"state": options_state(foreign={CALL: D(1)})}, Code.FOREIGN_POSITION, CALL),
    "order": ({"state": options_state(intents={"x": IntentRecord(share_entry(symbol=PUT))})},
              Code.ORDER_OPEN, "planned"),
    "watched": ({"state": options_state(intents={"x": IntentRecord(share_entry(), Status.VOID, watch_until=CLOSE)})},
                Code.ORDER_OPEN, "void"),
    "expired": ({"proposal": proposal((Leg("AAPL081003C00100000", 1), Leg(PUT, 1)), entry_price=D(9))},
                Code.NOT_TRADABLE, "has expired"),
    "last minutes of a contract": (of_today(CLOSE - timedelta(minutes=30)), Code.NOT_TRADABLE, "expires today"),
    "level": ({"state": account(options_level=2)}, Code.NO_OPTIONS_LEVEL, "level 3 is needed, the account has 2"),
    "no level": ({"state": account(options_level=None)}, Code.NO_OPTIONS_LEVEL, "states none"),
    "naked call": ({"proposal": proposal((Leg(CALL, -1),), max_loss=D(1))},
                   Code.NO_OPTIONS_LEVEL, "without the shares"),
    "structures": ({"state": options_state(plan=replace(PLAN, max_positions=1), structures=on("MSFT"))},
                   Code.MAX_POSITIONS, "1 held"),
    "per strategy": ({"state": options_state(plan=replace(PLAN, max_per_strategy=1), structures=on("MSFT"))},
                     Code.MAX_PER_STRATEGY, "1 of straddle open, 1 allowed"),
    "per sector": ({"state": options_state(
        plan=replace(PLAN, max_per_sector=1, risk=RiskRules(sectors={"AAPL": "tech", "MSFT": "tech"})),
        structures=on("MSFT", sector="tech"))}, Code.MAX_PER_SECTOR, "1 open in tech"),
    "unsure": ({"state": state_with(learning=LearningRules(min_confidence=D("0.71")))}, Code.LOW_CONFIDENCE,
               "70.0 % likely"),
    "no odds": ({"state": state_with(learning=LearningRules(min_confidence=D("0.1"))),
                 "proposal": proposal(confidence=None)}, Code.LOW_CONFIDENCE, "no probability"),
    "old signal": ({"proposal": proposal(signal_at=AT - 4 * FIVE)}, Code.STALE_DATA, "bar closed"),
    "decided": ({"state": options_state(bars={"AAPL": AT - FIVE})}, Code.STALE_DATA, "was decided on"),
    "no trade": ({"market": market(trade=None)}, Code.STALE_DATA, "no trade"),
    "absurd trade": ({"market": market(trade=Trade("AAPL", D(0), AT))}, Code.ABSURD_PRICE, "0"),
    "no quote": ({"market": market(quotes={})}, Code.STALE_DATA, CALL),
    "no ask": ({"market": market(quotes=quotes_of(AT, {PUT: ("4.80", None)}))}, Code.STALE_DATA, PUT),
    "no bid to sell to": ({"market": market(quotes=quotes_of(AT, {WINGS[1]: (None, "0.05")})),
                           "proposal": proposal(CONDOR)},
                          Code.STALE_DATA, WINGS[1]),
    "old quote": ({"market": market(quotes=quotes_of(AT - 3 * FIVE))}, Code.STALE_DATA, "is of"),
    "crossed": ({"market": market(quotes=quotes_of(AT, {CALL: ("5.10", "5.00")}))}, Code.ABSURD_PRICE, "5.10 bid"),
    "another price": ({"proposal": proposal(entry_price=D("8.90"))}, Code.ABSURD_PRICE, "the quotes say 9.90"),
    "capital": ({"state": state_with(capital_per_trade=D(989))}, Code.NO_SIZE, "989.00 a structure"),
    "no power": ({"state": account(options_buying_power=D(1_000))}, Code.NO_BUYING_POWER, "1,000.00 of buying power"),
    "order value": ({"state": state_with(max_order_value=D(4_949))}, Code.MAX_ORDER_VALUE, "4,950.00 dollars at risk"),
    "no room": ({"state": state_with(risk=RiskRules(max_symbol_pct=D("0.9")))}, Code.NO_ROOM, "AAPL"),
}  # fmt: skip


@pytest.mark.parametrize("case", DENIED)
def test_it_is_denied_with_its_code_and_its_reason(case):
    parts, code, context = DENIED[case]
    given = {"proposal": proposal(), "state": options_state(), "market": market()} | parts
    verdict = review(given["proposal"], given["state"], given["market"])
    assert isinstance(verdict, Denial)
    assert verdict.code is code
    assert context in verdict.context


@pytest.mark.parametrize(
    "allowed",
    [
        {},
        {"proposal": proposal(confidence=None)},
        {"state": state_with(learning=LearningRules(min_confidence=D("0.7")))},
        {"state": options_state(structures=on("MSFT"), plan=replace(PLAN, max_positions=2, max_per_sector=1))},
        {"state": state_with(max_order_value=D(4_950))},
        {"state": options_state(foreign={"MSFT": D(5)})},
        of_today(CLOSE - timedelta(minutes=30, seconds=1)),
    ],
    ids=range(7),
)
def test_what_is_within_bounds_is_approved(allowed):
    given = {"proposal": proposal(), "state": options_state(), "market": market()} | allowed
    assert isinstance(review(given["proposal"], given["state"], given["market"]), Approved)


@pytest.mark.parametrize(
    ("legs", "units", "net", "at_risk", "limit"),
    [
        (STRADDLE, 5, "9.90", "990", "9.90"),
        (CONDOR, 17, "-2.10", "290", "-2.10"),
        (COVERED, 1, "95.10", "9510", "-4.90"),
    ],
)
def test_units_are_the_capital_over_what_one_can_lose(legs, units, net, at_risk, limit):
    state = options_state() if legs != COVERED else state_with(capital_per_trade=D(10_000))
    assert review(proposal(legs), state, market()) == Approved(units, D(net), D(at_risk), D(limit))


def test_losses_in_a_row_make_it_smaller():
    state = state_with(risk=RiskRules(loss_scale_pct=D(50)))
    state.risk = replace(state.risk, streak=-1)
    verdict = review(proposal(), state, market())
    assert isinstance(verdict, Approved)
    assert verdict.units == 2


def test_shares_are_paid_whole_though_they_can_lose_less():
    """A covered call may lose 9,510; its shares cost 10,000 before the call brings anything."""
    state = state_with(capital_per_trade=D(20_000))
    state.account = replace(OPTIONS_MONEY, buying_power=D(10_100), options_buying_power=D(10_100))
    verdict = review(proposal(COVERED), state, market())
    assert isinstance(verdict, Denial)
    assert verdict.code is Code.NO_BUYING_POWER


@pytest.mark.parametrize(
    ("legs", "level"),
    [(STRADDLE, 3), (CONDOR, 3), (COVERED, 1), ((Leg(CALL, 1),), 2), ((Leg(PUT, -1),), 1), ((Leg(CALL, -1),), None),
     ((Leg("AAPL", 100), Leg(CALL, -2)), None), ((Leg("AAPL", 100), Leg(CALL, -1), Leg(PUT, 1)), 2)],
)  # fmt: skip
def test_what_an_account_needs_to_be_allowed(legs, level):
    assert level_needed(legs) == level


def planned(legs):
    state = state_with(capital_per_trade=D(10_000))
    wanted = proposal(legs)
    verdict = review(wanted, state, market())
    assert isinstance(verdict, Approved)
    return entry(wanted, state, market(), verdict)


def test_contracts_go_in_one_limit_order_at_the_natural_price():
    intent = planned(CONDOR)
    assert json.loads(intent.body) == {
        "qty": "34", "type": "limit", "limit_price": "-2.10", "time_in_force": "day", "order_class": "mleg",
        "client_order_id": intent.client_order_id,
        "legs": [
            {"symbol": WINGS[0], "ratio_qty": "1", "side": "buy", "position_intent": "buy_to_open"},
            {"symbol": WINGS[1], "ratio_qty": "1", "side": "sell", "position_intent": "sell_to_open"},
            {"symbol": WINGS[2], "ratio_qty": "1", "side": "sell", "position_intent": "sell_to_open"},
            {"symbol": WINGS[3], "ratio_qty": "1", "side": "buy", "position_intent": "buy_to_open"},
        ],
    }  # fmt: skip
    assert (intent.symbol, intent.side, intent.qty, intent.ref_price) == ("AAPL", Side.BUY, 34, 290)
    assert (intent.structure_id, intent.position_id) == (intent.client_order_id, intent.client_order_id)
    assert intent.decision_id == f"entry|momentum|AAPL|buy|{(AT - FIVE).isoformat()}"
    assert intent.structure is not None
    assert (intent.structure.units, intent.structure.max_loss, intent.structure.sector) == (34, 290, "AAPL")


def test_shares_come_first_at_market():
    shares = planned(COVERED)
    assert json.loads(shares.body)["symbol"] == "AAPL"
    assert (shares.symbol, shares.qty, shares.ref_price, shares.valid_until) == ("AAPL", 100, 100, AT + 2 * FIVE)


# -- what others of the session make of it --------------------------------------------------------


def test_a_structure_counts_what_it_can_lose_under_its_underlying_and_once():
    legs = {s: Position(s, D(2), D(5), AT, "s-1", "x", structure_id="s-1") for s in (CALL, PUT)}
    state = options_state(structures=on("AAPL"), positions=legs, marks={CALL: D(5), PUT: D(5)})
    assert exposure.values(state, {}) == {"AAPL": 2 * 990}
    intent = planned(STRADDLE)
    begun = options_state(structures={intent.structure_id: intent.structure}, intents={"x": IntentRecord(intent)})
    assert exposure.values(begun, {"IBM": D(1)}) == {"AAPL": 10 * 990, "IBM": 1}
    assert risk.reserved(begun) == 10 * 990 * risk.SHORT_MARGIN


def test_a_contract_by_itself_counts_a_hundred_times_its_price():
    state = options_state(positions={CALL: Position(CALL, D(2), D(5), AT, "p", "x")}, marks={CALL: D(6)})
    assert exposure.values(state, {}) == {CALL: 1_200}


def test_no_shares_are_entered_where_a_structure_is_open():
    from tests.unit.fakes import wish

    state = options_state(structures=on("AAPL"))
    verdict = risk.review(wish(), state, AT, LIMITS, MARKET, {"AAPL": Instrument("AAPL")}, Trade("AAPL", D(100), AT))
    assert verdict == Denial(Code.POSITION_OPEN, "straddle on it is open")


def test_on_a_day_that_is_cut_short_the_last_opening_is_earlier():
    """Half an hour before the broker's own close, and not before that of an ordinary day."""
    early = replace(MARKET, next_close=CLOSE - timedelta(hours=3))

    def on_a_half_day(at):
        given = of_today(at)
        return review(given["proposal"], options_state(), replace(given["market"], clock=early))

    at = early.next_close - timedelta(minutes=30)
    assert isinstance(on_a_half_day(at - timedelta(seconds=1)), Approved)
    denied = on_a_half_day(at)
    assert isinstance(denied, Denial)
    assert (denied.code, denied.context.endswith("none is opened after 16:30 UTC")) == (Code.NOT_TRADABLE, True)
