"""A structure as it is shown: legs in short, what it is worth, how it stands; in the view, in lines, as objects."""

from __future__ import annotations

import io
from dataclasses import replace as replace_scan
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from gambler_ai.cli import records, screen, words
from gambler_ai.cli.lines import Detail, LineWatcher
from gambler_ai.cli.live import LiveWatcher
from gambler_ai.cli.region import RegionConsole
from gambler_ai.cli.report import print_report
from gambler_ai.cli.structure_rows import (
    StructuresTable,
    legs_line,
    structure_rows,
    sum_of,
    trade_line,
    trade_price,
    trade_side,
)
from gambler_ai.cli.view import Place, Watched, view_of
from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.model import ClosedTrade, Fill, Side
from gambler_ai.core.orders import OrderIntent, Purpose
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import Leg, Structure
from gambler_ai.trading.recovery import Restored
from tests.unit.cli.analysis.conftest import info_of
from tests.unit.cli.structures import (
    CALL_110,
    CONDOR_LEGS,
    PUT_90,
    condor,
    covered_call,
    holding,
    position,
    quotes,
)
from tests.unit.fakes import AT, D, Desk, after, bars_closed, entry, reported

PLACE = Place("0.1.0", "embedded exchange", "sqlite:////g.sqlite3", 60.0)
LATER = after(minutes=1)
TRADE = ClosedTrade(
    "gam-condor", "AAPL", "short", D(3), D("-1.45"), AT, D("-0.72"), after(days=3), D(219), "target", "iron_condor",
    None, 100,
)  # fmt: skip


def drawn(state: SessionState, size: tuple[int, int] = (120, 39), **watched: Any) -> list[str]:
    view = view_of(state, AT, Watched(**{"quotes": quotes(), **watched}))
    lines = screen.draw(view, PLACE, AT, 60.0, *size)
    assert [line.plain for line in lines if line.cell_len > size[0]] == []
    return [line.plain.rstrip() for line in lines]


@pytest.mark.parametrize(
    ("legs", "at", "line"),
    [
        (CONDOR_LEGS, AT, "85/90p 110/115c 20 Dec"),
        (CONDOR_LEGS, None, "85/90p 110/115c 20 Dec 2008"),
        (CONDOR_LEGS, datetime(2009, 1, 2, tzinfo=UTC), "85/90p 110/115c 20 Dec 2008"),
        ((Leg("MSFT", 100), Leg("MSFT081220C00055000", -1)), AT, "100 shares 55c 20 Dec"),
        ((Leg(PUT_90, 1), Leg("AAPL081220C00090000", 1)), AT, "90p 90c 20 Dec"),
        ((Leg("AAPL081220C00102500", 1), Leg(CALL_110, -2)), AT, "102.5/2x110c 20 Dec"),
        ((Leg("AAPL081122C00110000", -1), Leg(CALL_110, 1)), AT, "110c 22 Nov 110c 20 Dec"),
    ],
)
def test_legs_in_short(legs: tuple[Leg, ...], at: datetime | None, line: str):
    assert legs_line(legs, at) == line


def test_its_profit_is_what_it_brought_and_what_its_legs_would_bring():
    (row,) = structure_rows(holding(condor()), AT)
    assert (row.value, row.gain, row.share, row.days_left) == (D("-0.75"), D(210), D(210) / 435, 74)
    (losing,) = structure_rows(holding(condor(cash=D(12))), AT)
    assert (losing.gain, losing.share) == (D(-213), D(-213) / 1065)


def test_what_is_not_known_is_not_guessed():
    state = holding(condor())
    del state.marks[PUT_90]
    (row,) = structure_rows(state, AT)
    assert (row.value, row.gain, row.share, row.greeks) == (None, None, None, None)


@pytest.mark.parametrize(
    ("changes", "exits", "status"),
    [
        ({}, {}, "GUARDED"),
        ({"filled": False}, {}, "OPENING"),
        ({"uneven_since": LATER}, {"gam-condor": "stop"}, "UNEVEN"),
        ({"uneven_since": AT}, {}, "OPENING"),
        ({"settled": True}, {}, "SETTLED"),
        ({}, {"gam-condor": "stop"}, "LEAVING"),
        ({}, {"AAPL": "asked"}, "LEAVING"),
        ({}, {ev.ALL: "asked"}, "LEAVING"),
    ],
)
def test_how_it_stands(changes: dict[str, Any], exits: dict[str, str], status: str):
    assert [row.status for row in structure_rows(holding(condor(**changes), exits=exits), AT)] == [status]


def test_one_that_never_became_whole_is_uneven_when_its_time_is_over():
    held = holding(condor(uneven_since=AT))
    assert [row.status for row in structure_rows(held, after(seconds=59))] == ["OPENING"]
    assert [row.status for row in structure_rows(held, after(seconds=60))] == ["UNEVEN"]


@pytest.mark.parametrize(("width", "shown"), [(200, {"strategy", "of max", "entry"}), (80, {"entry"}), (56, set())])
def test_a_narrow_table_leaves_columns_out_and_folds_no_word(width: int, shown: set[str]):
    rows = structure_rows(holding(condor()), AT)
    console = Console(file=io.StringIO(), width=width)
    console.print(StructuresTable(rows))
    head, line = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert {name for name in ("strategy", "of max", "entry") if name in head} == shown
    assert all(word in line for word in ("AAPL", "85/90p 110/115c 20 Dec", "GUARDED"))


def test_a_round_trip_of_a_structure_names_its_strategy_and_net_prices():
    assert (trade_side(TRADE), trade_price(TRADE, D("-0.58"))) == ("iron_condor", "-0.58")
    share = replace(TRADE, multiplier=1)
    assert (trade_side(share), trade_price(share, D("0.58"))) == ("short", "0.5800")


def test_greeks_are_those_of_the_quotes_and_are_summed_over_what_is_held():
    rows = structure_rows(holding(condor(), covered_call()), AT, quotes(PUT_90, "AAPL081220C00110000"))
    total, unknown = sum_of(rows)
    assert unknown == ["AAPL", "MSFT"]
    (row,) = structure_rows(holding(condor(units=2)), AT, quotes())
    assert row.greeks is not None
    assert row.greeks.delta == pytest.approx(0.0)  # the same of each leg: long and short cancel
    bought = condor(legs=(Leg(PUT_90, 1),), units=2)
    rows = structure_rows(holding(bought), AT, quotes())
    total, unknown = sum_of(rows)
    assert [total.delta, total.theta, total.vega] == pytest.approx([20, -4, 10])
    assert unknown == []


# -- the live view --------------------------------------------------------------------------------


def test_the_view_has_a_structure_on_one_line_and_none_of_its_legs_by_itself():
    lines = drawn(holding(condor()))
    (row,) = [line for line in lines if line.startswith("AAPL")]
    assert row.split("  ")[0] == "AAPL"
    for shown in ("85/90p 110/115c 20 Dec", "-1.45", "-0.75", "+210.00", "+48 %", "74", "GUARDED", "iron_condor"):
        assert shown in row
    assert not any(PUT_90 in line for line in lines)
    assert not any("No open positions" in line for line in lines)
    assert any(line.startswith("Greeks") and "delta" in line for line in lines)


@pytest.mark.parametrize("size", [(80, 23), (60, 16), (40, 8), (20, 3), (200, 60)], ids=str)
@pytest.mark.parametrize("count", [1, 30])
def test_it_fits_whatever_the_size(size: tuple[int, int], count: int):
    many = [
        condor(structure_id=f"s{n}", underlying=f"SYM{n:02}", uneven_since=LATER if n > 20 else None)
        for n in range(count)
    ]
    drawn(holding(*many), size)


def test_on_80_columns_a_row_still_says_what_it_is_worth_and_how_it_stands():
    (row,) = [line for line in drawn(holding(condor()), (80, 23)) if line.startswith("AAPL")]
    assert all(shown in row for shown in ("85/90p 110/115c 20 Dec", "+210.00", "+48 %", "GUARDED"))


def test_shares_beside_structures_keep_their_own_table():
    state = holding(condor())
    state.positions["IBM"] = position(condor(), Leg("IBM", 10), structure_id="")
    lines = drawn(state)
    assert any(line.startswith("options") for line in lines)
    assert any(line.startswith("IBM") and "NAKED" in line for line in lines)


@pytest.mark.parametrize(("changes", "name"), [({"uneven_since": LATER}, "UNEVEN"), ({"settled": True}, "SETTLED")])
def test_one_that_is_not_its_whole_is_told_above(changes: dict[str, Any], name: str):
    assert any(line.startswith(f"{name} ") and "AAPL" in line for line in drawn(holding(condor(**changes))))


def test_the_live_view_has_the_greeks_of_the_last_scan():
    console = RegionConsole(file=io.StringIO(), width=120, height=30, force_terminal=True, color_system=None)
    watcher = LiveWatcher(console, lambda _session: 0, ManualClock(AT))
    state = holding(condor(legs=(Leg(PUT_90, 1),), units=2))
    watcher.took(Decisions(quotes=quotes()), state)
    watcher.took(Decisions(), state)  # what is no scan takes none of them away
    watcher.started(state)
    watcher.close(None)
    assert "+20.0" in console.file.getvalue()  # type: ignore[attr-defined]


def test_what_a_scan_was_told_of_contracts_stands_in_its_decisions():
    scan = replace_scan(bars_closed(), quotes=quotes())
    desk = Desk().opened()
    assert desk.step(scan).quotes == quotes()
    assert desk.step(reported()).quotes is None


# -- lines and objects ----------------------------------------------------------------------------


def of(structure: Structure, purpose: Purpose = Purpose.ENTRY, symbol: str = "AAPL") -> OrderIntent:
    whole = structure if purpose is Purpose.ENTRY else None
    intent = entry(symbol, side=Side.SELL if purpose is Purpose.LEG else Side.BUY, qty="3")
    return replace(intent, purpose=purpose, structure_id=structure.structure_id, structure=whole, reason="because")


def told(fact: ev.Fact) -> list[tuple[str, str, str]]:
    state = holding(condor(), covered_call())
    return [(line.word, line.symbol, line.text) for line in words.told(fact, state)]


def test_an_entry_says_what_is_opened_what_it_can_lose_and_that_only_this_program_guards_it():
    signal, opened = told(ev.IntentPlanned(AT, of(condor())))
    assert signal == ("signal", "AAPL", "IV rank 71")
    assert opened[:2] == ("entry", "AAPL")
    for said in (
        "iron_condor 85/90p 110/115c 20 Dec x3 for a credit 1.45", "at most $1,065.00 to lose", "68 % likely to win",
        "stop -2.90, target -0.72", "out 21 days before the expiry", "GUARDED while this program runs",
    ):  # fmt: skip
        assert said in opened[2]


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        (
            ev.IntentPlanned(AT, of(covered_call(), Purpose.LEG, "MSFT081220C00055000")),
            ("leg", "MSFT", "55c 20 Dec 2008: sell 3 (because)"),
        ),
        (
            ev.FillReported(AT, Fill("act-1", "o-1", PUT_90, Side.SELL, D(3), D("0.75"), AT)),
            ("fill", "AAPL", "90p 20 Dec 2008: sold 3 @ 0.75"),
        ),
        (
            ev.ExitRequested(AT, "gam-condor", "at its target"),
            ("leave", "AAPL", "iron_condor 85/90p 110/115c 20 Dec: at its target"),
        ),
        (
            ev.OptionSettled(AT, PUT_90, D(-3), "assigned", D(300), D(90), ("a",)),
            ("settled", "AAPL", "90p 20 Dec 2008: -3 assigned: 300 shares bought at 90.00"),
        ),
        (
            ev.OptionSettled(AT, PUT_90, D(-3), "expired", D(0), D(90), ("a",)),
            ("settled", "AAPL", "90p 20 Dec 2008: -3 expired: no shares moved"),
        ),
        (
            ev.StructureEnded(AT, "gam-condor", "target"),
            ("ended", "AAPL", "iron_condor 85/90p 110/115c 20 Dec: target"),
        ),
    ],
)
def test_what_happens_to_a_structure_stands_under_its_share(fact: ev.Fact, line: tuple[str, str, str]):
    assert told(fact) == [line]


def test_one_that_has_ended_is_named_by_the_intent_that_opened_it():
    state = holding()
    state.intents["gam-condor"] = _record(of(condor()))
    (line,) = words.told(ev.StructureEnded(AT, "gam-condor", "target"), state)
    assert (line.symbol, line.text) == ("AAPL", "iron_condor 85/90p 110/115c 20 Dec: target")


def test_one_that_ended_long_after_it_was_opened_stands_under_no_id():
    (line,) = words.told(ev.StructureEnded(AT, "ga1-longago", "expired"), holding())
    assert (line.symbol, line.text) == ("", "expired")


def _record(intent: OrderIntent) -> Any:
    from gambler_ai.core.orders import IntentRecord

    return IntentRecord(intent=intent)


def test_a_closed_structure_has_its_prices_as_credit_and_debit():
    assert trade_line(TRADE) == "iron_condor x3: opened for a credit 1.45, closed for a debit 0.72"
    assert trade_line(replace(TRADE, multiplier=1)) == "short 3: -1.45 to -0.7200"


def lines_of(state: SessionState) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, soft_wrap=True, color_system=None, highlight=False)
    watcher = LineWatcher(console, lambda _: [], resume_command="gambler-ai --resume-session", detail=Detail.FULL)
    watcher.created(state)
    watcher.started(state)
    decisions = Decisions()
    decisions.changes.closed.append(TRADE)
    watcher.took(decisions, state)
    watcher.ended(state, created=3, pruned=0)
    return out.getvalue()


def test_the_start_says_the_rules_in_force_and_what_guarded_means():
    text = lines_of(holding(condor()))
    assert "Underlyings AAPL,MSFT" in text
    assert "iron_condor, $2,000.00 a structure" in text
    assert "checkpoint every 30 s and every 10 scans" in text
    assert "at most 4 of a strategy" in text
    assert "no order at the broker protects it" in text


def test_the_stop_says_what_is_held_that_nobody_watches_it_and_how_to_resume():
    state = holding(condor(), covered_call(), status="stopped")
    text = lines_of(state)
    assert "Open structures: 2 structures of 6 legs" in text
    assert "nobody watches these until you resume" in text
    assert "gambler-ai --resume-session s-1" in text
    assert "Cash           $100,000.00" in text
    assert "Open positions" not in text


def test_a_session_in_shares_says_nothing_of_structures():
    out = io.StringIO()
    print_report(Console(file=out, width=200, color_system=None), holding(), [])
    assert "Open positions: 0" in out.getvalue()
    assert "structures" not in out.getvalue()


def test_objects_have_structures_beside_positions():
    state = holding(condor())
    (shown,) = records.started(state)["structures"]
    assert (shown["structure_id"], shown["underlying"], shown["units"], shown["pnl"], shown["status"]) == (
        "gam-condor", "AAPL", 3, "210.00", "GUARDED"
    )  # fmt: skip
    assert shown["legs"][0] == {"symbol": CONDOR_LEGS[0].symbol, "ratio": 1}
    leave = records.of_fact(ev.ExitRequested(AT, "gam-condor", "at its target"), state)
    assert leave is not None
    assert (leave["symbol"], leave["structure_id"]) == ("AAPL", "gam-condor")
    ended = records.of_fact(ev.StructureEnded(AT, "gam-condor", "target"), state)
    assert ended == {
        "kind": "structure_ended", "at": "2008-10-07T14:00:00Z", "structure_id": "gam-condor", "reason": "target"
    }  # fmt: skip


def test_a_resume_says_the_rules_in_force_and_what_it_goes_on_with():
    out = io.StringIO()
    console = Console(file=out, width=200, soft_wrap=True, color_system=None, highlight=False)
    watcher = LineWatcher(console, lambda _: [], resume_command="run", detail=Detail.FULL)
    state = holding(condor())
    watcher.resumed(info_of(plan=state.plan), Restored(state, "", None, (), 0))
    for line in (
        "Strategy: iron_condor, $2,000.00 a structure", "Limits: at most 4 of a strategy",
        "Active positions: 1 structure of 4 legs", "Cash: $100,000.00", "Iteration: 25",
    ):  # fmt: skip
        assert f"  {line}\n" in out.getvalue()
