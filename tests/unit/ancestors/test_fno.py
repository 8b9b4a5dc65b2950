"""An F&O system's three files: what is taken, what is refused by name, and that what we write reads the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gambler_ai.ancestors import Refused, recognise
from gambler_ai.ancestors.fno import PastBooks, PastSettings, PastStructure
from gambler_ai.ancestors.fno_writing import documents, encoded
from gambler_ai.ancestors.summary import command_of, taken
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.model import Account, ClosedTrade, Position
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.structures import ExitRules, Leg, Structure
from tests.unit.ancestors.fno import DAY, FILES, PORTFOLIO, SYSTEM, changed
from tests.unit.fakes import AT, D, make_plan, make_state

KOLKATA = ZoneInfo("Asia/Kolkata")
HELD = ("portfolio", "positions", "NIFTY25SEP24650CE")


def books_of(document: Any, zone: Any = UTC) -> PastBooks:
    found = recognise(document if isinstance(document, bytes) else json.dumps(document).encode(), zone)
    assert isinstance(found.memory, PastBooks)
    return found.memory


# -- what is taken --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_known_by_what_is_in_it(name: str):
    found = recognise(json.dumps(FILES[name]).encode(), UTC)
    assert (found.kind, found.left_out) == (name, [])


def test_the_system_state_keeps_every_value():
    found = books_of(SYSTEM, KOLKATA)
    (held,) = found.positions
    assert (held.symbol, held.qty, held.entry_price) == ("NIFTY25SEP24650CE", D(75), D("220.42"))
    assert (held.stop, held.target, held.strategy, held.sector) == (D("207.19"), D("246.87"), "straddle", "F&O")
    assert held.entered_at == datetime(2025, 9, 29, 6, 19, 10, 204428, tzinfo=UTC)
    assert (found.cash, found.initial_cash, found.total_pnl) == (D("914462.59"), D(1_000_000), D(0))
    assert (found.iteration, found.trades_count, found.mode, found.currency) == (25, 5, "paper", "")
    assert found.settings == PastSettings(D("0.65"), D(300), 5, D(200_000))
    assert found.saved_at == datetime(2025, 9, 29, 6, 19, 10, 218268, tzinfo=UTC)


def test_the_portfolio_keeps_marks_and_shorts_and_the_day_its_trades():
    (held,) = books_of(PORTFOLIO).positions
    assert (held.qty, held.mark) == (D(-50), D("390.1"))
    day = books_of(DAY)
    bought, sold = day.trades
    assert (day.day, day.wins, day.losses, day.best, day.total_value) == ("2025-09-29", 1, 0, D("120.5"), D("999971.6"))
    assert (bought.entry_price, bought.exit_price) == (D("220.42"), None)
    assert (sold.entry_price, sold.exit_price, sold.pnl, sold.qty) == (None, D("222.03"), D("120.5"), D(75))


def test_its_settings_are_offered_as_a_command_line():
    assert command_of(PastSettings(D("0.65"), D(300), 5, D(200_000))) == (
        "gambler-ai run --universe options --min-confidence 0.65 --interval 300 --max-positions 5"
        " --capital-per-trade 200000"
    )
    assert command_of(PastSettings(max_positions=5)) == "gambler-ai run --max-positions 5"
    assert command_of(PastSettings()) == ""


def test_the_zone_that_was_assumed_is_said_and_only_then():
    assert "its times name no zone: taken as Asia/Kolkata (--zone)" in taken(books_of(SYSTEM, KOLKATA))
    named = changed(changed(SYSTEM, "timestamp", to="2025-09-29T11:49:10+05:30"), *HELD, "entry_time", to=None)
    found = books_of(named, KOLKATA)
    assert found.zone == ""
    assert not any("zone" in line for line in taken(found))


def test_a_currency_is_kept_as_text_and_nothing_is_converted():
    found = books_of(SYSTEM | {"currency": "INR"})
    assert (found.currency, found.cash) == ("INR", D("914462.59"))
    assert "(INR)" in taken(found)[0]
    assert "(currency not named)" in taken(books_of(SYSTEM))[0]


def test_keys_that_are_not_known_are_named():
    tree = changed(changed(SYSTEM | {"available_indices": ["NIFTY"]}, *HELD, "greeks", to={}), "portfolio", "x", to=1)
    found = recognise(json.dumps(tree).encode(), UTC)
    assert found.left_out == ["not known here: available_indices", "of portfolio: x", "of each position: greeks"]


@given(st.decimals(-(10**14), 10**14, places=2))
def test_money_is_exact_to_the_cent_whatever_a_float_makes_of_it(cash: Decimal):
    text = json.dumps(SYSTEM).replace("914462.59", f"{cash:f}").encode()
    assert books_of(text).cash == cash


def test_lessons_of_the_same_look_are_still_lessons():
    found = recognise(b'{"positions": {"SPY": {"qty": 10, "entry_price": 440.1}}}', UTC)
    assert found.kind == "state.json"


# -- what is refused ------------------------------------------------------------------------------

WRONG: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "cash": (("portfolio", "cash"), "914462.59", "cash is a str, not a number"),
    "no cash": (("portfolio", "cash"), None, "it has no cash"),
    "large cash": (("portfolio", "cash"), 1e300, "cash is not a finite number of sensible size"),
    "positions": (("portfolio", "positions"), [], "positions is a list, not a record"),
    "a position": (HELD, 75, "position NIFTY25SEP24650CE is a int, not a record"),
    "shares": ((*HELD, "shares"), "75", "position NIFTY25SEP24650CE: shares is a str, not a number"),
    "no shares": ((*HELD, "shares"), 0, "position NIFTY25SEP24650CE: it has no shares"),
    "true shares": ((*HELD, "shares"), True, "shares is a bool, not a number"),
    "price": ((*HELD, "entry_price"), -1, "entry_price is -1, less than 0"),
    "stop": ((*HELD, "stop_loss"), [1], "stop_loss is a list, not a number"),
    "time": ((*HELD, "entry_time"), 1759127350, "entry_time is a int, not a time"),
    "no time": ((*HELD, "entry_time"), "yesterday", "its time is not one"),
    "strategy": ((*HELD, "strategy"), "a\x1b[2Jb", "strategy is no plain text of at most 200 characters"),
    "sector": ((*HELD, "sector"), "x" * 201, "sector is no plain text"),
    "symbol": (("portfolio", "positions"), {"../../etc/passwd": {}}, "position ../../etc/passwd: symbol is not one"),
    "escape": (("portfolio", "positions"), {"A\x1b[2J": {}}, "position A [2J: symbol is not one"),
    "iteration": (("iteration",), 2.5, "iteration is no count"),
    "count": (("portfolio", "trades_count"), -1, "trades_count is no count"),
    "confidence": (("configuration", "min_confidence"), 65, "min_confidence is 65, and goes from 0 to 1"),
    "interval": (("configuration", "check_interval"), 0, "check_interval is 0, not above zero"),
    "capital": (("configuration", "capital_per_trade"), -5, "capital_per_trade is -5, not above zero"),
    "most": (("configuration", "max_positions"), 0, "max_positions is 0, not above zero"),
    "configuration": (("configuration",), [], "configuration is a list, not a record"),
    "portfolio": (("portfolio",), None, "portfolio is missing, not a record"),
    "live": (("trading_mode",), "live", "it traded with real money"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_another_kind_refuses_the_file_and_is_named(name: str):
    path, value, says = WRONG[name]
    with pytest.raises(Refused) as raised:
        books_of(changed(SYSTEM, *path, to=value))
    assert says in raised.value.message
    assert raised.value.message.isprintable()


@pytest.mark.parametrize(
    ("change", "says"),
    [({"trading_day": "29/09"}, "trading_day is no day"), ({"total_value": "x"}, "total_value is a str"),
     ({"last_update": 7}, "last_update is a int"), ({"iteration": True}, "iteration is no count")],
)  # fmt: skip
def test_a_day_of_nonsense_is_refused(change: dict[str, Any], says: str):
    with pytest.raises(Refused, match=says):
        books_of(DAY | change)


@pytest.mark.parametrize(
    ("trades", "says"),
    [({}, "trades_history is no list"), ([7], "no list of records"), ([{"symbol": 7}], "trade 1: symbol is not one"),
     ([{"symbol": "A", "pnl": "x"}], "trade 1: pnl is a str"), ([{}] * 50_001, "more than 50,000 rows")],
    ids=["record", "number", "symbol", "pnl", "many"],
)  # fmt: skip
def test_trades_of_nonsense_are_refused(trades: Any, says: str):
    with pytest.raises(Refused, match=says):
        books_of(changed(DAY, "portfolio", "trades_history", to=trades))


def test_more_positions_than_anybody_has_are_refused():
    many = {f"S{n}": SYSTEM["portfolio"]["positions"]["NIFTY25SEP24650CE"] for n in range(1_001)}
    with pytest.raises(Refused, match="more than 1,000 positions"):
        books_of(changed(SYSTEM, "portfolio", "positions", to=many))


# -- what we write reads the same -----------------------------------------------------------------

CALL, PUT = "AAPL250620C00100000", "AAPL250620P00100000"
money = st.decimals(-(10**12), 10**12, places=2)
prices = st.decimals("0.01", 10**6, places=4)
words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=20)
times = st.integers(0, 10**15).map(lambda n: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=n))
quantities = st.decimals(-(10**6), 10**6, places=3).filter(bool)


@st.composite
def positions(draw: st.DrawFn) -> dict[str, Position]:
    symbols = draw(st.lists(st.sampled_from(["AAPL", "MSFT", "BRK.B", CALL, PUT]), unique=True, max_size=5))
    return {
        symbol: Position(
            symbol, draw(quantities), draw(prices), draw(times), f"p-{symbol}", draw(words),
            draw(prices | st.none()), draw(prices | st.none()),
        )
        for symbol in symbols
    }  # fmt: skip


@st.composite
def trades(draw: st.DrawFn) -> ClosedTrade:
    begun, multiplier = draw(times), draw(st.sampled_from([1, 100]))
    net = prices if multiplier == 1 else prices | prices.map(Decimal.__neg__)  # a credit
    return ClosedTrade(
        "p", draw(st.sampled_from(["AAPL", "MSFT"])), draw(st.sampled_from(["long", "short"])), abs(draw(quantities)),
        draw(net), begun, draw(net | st.none()), begun + timedelta(seconds=draw(st.integers(0, 10**6))),
        draw(money | st.none()), draw(words), draw(words), multiplier=multiplier,
    )  # fmt: skip


@settings(max_examples=30)
@given(
    held=positions(), closed=st.lists(trades(), max_size=4), cash=money, initial=money.map(abs) | st.none(), at=times,
    realized=money, iteration=st.integers(0, 10**9), confidence=st.decimals(0, 1, places=3) | st.none(),
    interval=st.integers(1, 10**5) | st.floats(0.1, 1e5), most=st.integers(1, 10**5) | st.none(),
    capital=st.decimals(1, 10**9, places=2) | st.none(),
)  # fmt: skip
def test_what_is_written_is_read_again_as_it_was(
    held: Any, closed: Any, cash: Any, initial: Any, at: Any, realized: Any, iteration: Any, confidence: Any,
    interval: Any, most: Any, capital: Any,
):  # fmt: skip
    plan = make_plan(
        learning=LearningRules(min_confidence=confidence), interval_s=float(interval), max_positions=most,
        capital_per_trade=capital, risk=RiskRules(sectors={"AAPL": "technology"}),
    )  # fmt: skip
    state = make_state(
        plan=plan, positions=held, account=Account(cash=cash, portfolio_value=cash), initial_equity=initial,
        realized_pnl=realized, iteration=iteration, last_at=at, closed_trades=len(closed), marks={"AAPL": D("1.5")},
    )  # fmt: skip
    found = {}
    for name, document in documents(state, closed).items():
        one = recognise(encoded(document), KOLKATA)
        assert (one.kind, one.left_out) == (name, [])
        assert isinstance(one.memory, PastBooks)
        assert one.memory.zone == ""
        assert (one.memory.saved_at, one.memory.mode, one.memory.cash) == (at, "paper", cash)
        found[name] = one.memory
    system, portfolio, day = found.values()
    assert system.settings == PastSettings(confidence, D(repr(float(interval))), most, capital or plan.position_size)
    assert (system.iteration, system.initial_cash, system.total_pnl) == (iteration, initial, realized)
    assert system.positions == day.positions
    assert [replace(p, mark=None) for p in portfolio.positions] == list(system.positions)
    assert {p.symbol: p.mark for p in portfolio.positions} == {s: D("1.5") if s == "AAPL" else None for s in held}
    for p in system.positions:
        ours = held[p.symbol]
        assert (p.qty, p.entry_price) == (ours.qty * ours.multiplier, ours.avg_entry_price)
        assert (p.stop, p.target, p.entered_at) == (ours.stop_price, ours.target_price, ours.entry_at)
        assert (p.strategy, p.sector) == (ours.strategy, "technology" if p.symbol == "AAPL" else "")
    assert len(system.positions) == len(held)
    assert [(t.pnl, t.qty, t.entry_price, t.exit_price, t.closed_at, t.reason) for t in day.trades] == [
        (t.pnl, t.qty * t.multiplier, t.entry_price, t.exit_price, t.exit_at, t.reason) for t in closed
    ]
    known = [t.pnl for t in closed if t.pnl is not None]
    assert (day.wins, day.losses) == (sum(p > 0 for p in known), sum(p < 0 for p in known))
    assert (day.best, day.worst) == (max(known, default=None), min(known, default=None))


def test_a_structure_stands_beside_its_legs_which_have_no_stop_of_their_own():
    plan = Structure(
        "gai-1", "straddle", "AAPL", "technology", (Leg(CALL, 1), Leg(PUT, 1)), 2, D("7.35"), D("3.50"), D("11.00"),
        ExitRules(), None, None, None, {}, AT, "volatile",
    )  # fmt: skip
    legs = {
        s: Position(s, D(2), D("3.675"), AT, f"p-{s}", "straddle", D(9), D(9), structure_id="gai-1")
        for s in (CALL, PUT)
    }
    state = make_state(positions=legs, structures={"gai-1": plan})
    document = documents(state, ())["fno_system_state.json"]
    row = document["portfolio"]["positions"][CALL]
    assert (row["shares"], row["stop_loss"], row["take_profit"], row["sector"]) == (200, None, None, "technology")
    assert books_of(encoded(document)).structures == (
        PastStructure(
            "gai-1", "straddle", "AAPL", "technology", 2, D("7.35"), D("3.50"), D("11.00"), AT, ((CALL, 1), (PUT, 1))
        ),
    )


def test_without_structures_it_is_the_shape_that_others_read():
    document = json.loads(encoded(documents(make_state(), ())["fno_system_state.json"]))
    assert list(document) == list(SYSTEM)
    assert list(document["portfolio"]) == list(SYSTEM["portfolio"])
    assert list(document["configuration"]) == list(SYSTEM["configuration"])
    held = Position("AAPL", D(10), D(100), AT, "p", "momentum", D(98), D(104))
    document = documents(make_state(positions={"AAPL": held}), ())["fno_system_state.json"]
    assert list(document["portfolio"]["positions"]["AAPL"]) == list(
        SYSTEM["portfolio"]["positions"]["NIFTY25SEP24650CE"]
    )
