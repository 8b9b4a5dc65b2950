"""The live view at fixed sizes, from made-up states: nothing wraps, nothing grave is cut."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.cli import screen, words
from gambler_ai.cli.view import Place, Watched, view_of
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.model import Side
from gambler_ai.core.state import SessionState
from gambler_ai.storage.checkpoints import CheckpointInfo
from tests.unit.fakes import AT, MONEY, D, after, bracket_of, entry, fill_of, make_plan, make_state

PLACE = Place("0.1.0", "embedded exchange, no account needed", "sqlite:////home/ann/.local/state/g/g.sqlite3", 60.0)
SIZES = [(80, 23), (120, 39), (60, 16), (40, 8), (200, 60), (20, 3), (1, 1)]
CHECKPOINT = CheckpointInfo(12, AT, AT, 40, MONEY, 2, 0, 900, "ab" * 32)


def holding(count: int, *, bare: int = 0) -> SessionState:
    """``count`` positions, of which the last ``bare`` have lost their stop."""
    state = make_state()
    facts: list[ev.Fact] = [ev.RunStarted(AT, 3600.0, resumed=False, token=1)]
    for number in range(count):
        intent = entry(f"SYM{number:02}")
        gone = {"limit": "canceled", "stop": "canceled"} if number >= count - bare else {}
        parent = bracket_of(intent, **{"limit": "new", "stop": "held"} | gone)
        facts += [
            ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10")),
            ev.Marked(AT, {intent.symbol: D("102.50")}, {}),
        ]  # fmt: skip
    evolve(state, facts)
    return state


def draw(
    state: SessionState, watched: Watched | None = None, *, size: tuple[int, int] = (80, 23), place: Place = PLACE,
    **now: float,
) -> list[str]:  # fmt: skip
    """The lines at so long after `AT`; each fits, and so do all of them."""
    at, (width, height) = after(**now), size
    lines = screen.draw(view_of(state, at, watched or Watched()), place, at, place.pace, width, height)
    assert len(lines) <= max(2, height)
    assert [line.plain for line in lines if line.cell_len > width] == []
    assert lines[-1].plain == "", "the cursor needs a line of its own"
    return [line.plain.rstrip() for line in lines]


def line_of(lines: list[str], name: str) -> str:
    (found,) = [line for line in lines if line.startswith(name)]
    return found


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("count", [0, 3, 30])
def test_it_fits_whatever_the_size(size: tuple[int, int], count: int):
    state = holding(count, bare=min(count, 20))
    state.degraded = {"broker": "x" * 900, "market data": "\x1b[2J\nboo"}
    state.halts = {f"source {n}": "lunch" for n in range(9)}
    told = words.Told("denied", "AAPL", "buy: " + "no " * 200, "")
    draw(state, Watched(last=((AT, told),) * 50, streams=(("prices", False, "y" * 300),)), size=size)


def test_three_positions_stand_in_aligned_columns():
    lines = draw(holding(3))
    head = line_of(lines, "symbol")
    at = lines.index(head)
    rows = lines[at + 1 : at + 4]
    assert rows[0].split() == ["SYM00", "10", "100.00", "102.50", "+25.00", "98.00", "104.00", "PROTECTED"]
    for name in ("entry", "mark", "stop", "target"):
        end = head.index(name) + len(name)
        assert all(row[end - 1].isdigit() and row[end] == " " for row in rows)


def test_of_thirty_positions_the_worst_are_shown_and_the_rest_counted():
    lines = draw(holding(30, bare=2))
    shown = [line for line in lines if line.startswith("SYM")]
    assert [line.split()[-1] for line in shown[:3]] == ["NAKED", "NAKED", "PROTECTED"]
    assert f"and {30 - len(shown)} more" in lines
    assert line_of(lines, "NAKED       SYM28") == "NAKED       SYM28: a stop covers 0 of 10"
    tall = draw(holding(30, bare=2), size=(120, 60))
    assert len([line for line in tall if line.startswith("SYM")]) == 30


def test_no_positions():
    assert "No open positions" in draw(holding(0))
    assert "No decisions in this run yet" in draw(holding(0))


def test_columns_go_before_numbers_are_cut():
    lines = draw(holding(1), size=(46, 23))
    assert line_of(lines, "symbol").split() == ["symbol", "qty", "mark", "P&L", "stop"]
    assert line_of(lines, "SYM00").split() == ["SYM00", "10", "102.50", "+25.00", "98.00", "PROTECTED"]


def test_what_is_wrong_is_said_and_by_whom():
    state = holding(2, bare=1)
    state.degraded["broker"] = "HTTP 503"
    state.halts["person"] = "lunch"
    state.exits["SYM00"] = "flatten"
    state.foreign["IBM"] = D(5)
    lines = draw(state)
    assert line_of(lines, "Degraded") == "Degraded    broker: HTTP 503; no entries until it works"
    assert line_of(lines, "Halted") == "Halted      no entries: person: lunch"
    assert line_of(lines, "Leaving") == "Leaving     SYM00: flatten"
    assert line_of(lines, "Not ours") == "Not ours    IBM 5: left alone, no entries in it"
    state.stopping = "stopped by SIGINT"
    lines = draw(state)
    assert line_of(lines, "Stopping") == "Stopping    stopped by SIGINT"
    assert "and 2 more" in lines, "six notices, four of them shown"


def test_money_and_what_became_of_it():
    state = holding(0)
    state.account = replace(MONEY, equity=D("100150"), cash=D("90000"), last_equity=D("100100"))
    lines = draw(state)
    assert line_of(lines, "Equity") == (
        "Equity         $100,150.00   day +50.00 (+0.05 %)   session +150.00 (+0.15 %)"
    )  # fmt: skip
    assert line_of(lines, "Cash").startswith("Cash            $90,000.00   buying power $200,000.00   closed 0 for")


def test_time_left_in_market_time_and_at_this_pace():
    line = line_of(draw(holding(0), minutes=15), "Time left")
    bar, text = line.split()[2], line.split("  ")[-1]
    assert text == "45m of 1h, 45s at this pace"
    assert bar.count("━") == round(len(bar) / 4)
    assert "at this pace" not in line_of(draw(holding(0), place=replace_pace(1.0)), "Time left"), "it is the same"


def replace_pace(pace: float) -> Place:
    return Place(PLACE.version, PLACE.broker, PLACE.database, pace)


def test_a_closed_market_says_when_it_opens_and_no_time_passes():
    opens = AT + timedelta(hours=17, minutes=30)
    lines = draw(holding(0), Watched(opens=opens, left_s=1800.0), hours=10)
    assert line_of(lines, "Market").endswith("New York, closed until Wed 03:30, in 7h 30m")
    assert line_of(lines, "Time left").endswith("30m of 1h")


def test_a_picture_that_is_drawn_later_has_less_time_left_unless_the_market_is_closed():
    for opens, left in ((None, "50m of 1h"), (AT + timedelta(hours=17), "30m of 1h")):
        view = view_of(holding(0), AT, Watched(opens=opens, left_s=1800.0))
        lines = screen.draw(view, PLACE, after(minutes=10), 0.0, 80, 23)
        assert line_of([line.plain for line in lines], "Time left").endswith(left)


def test_checkpoint_and_streams():
    watched = Watched(CHECKPOINT, AT, 7, streams=(("prices", False, "refused"), ("trade updates", True, "")))
    lines = draw(holding(0), watched, seconds=20)
    assert line_of(lines, "Checkpoint") == "Checkpoint  #12, 20s ago, 7 stored"
    assert line_of(lines, "Streams") == "Streams     trade updates up"
    assert "            prices down: refused; polled all the same" in lines
    assert line_of(draw(holding(0)), "Checkpoint") == "Checkpoint  none yet"


def test_the_newest_decisions_stand_last():
    last = tuple((AT, words.Told("denied", "AAPL", f"number {n}", "")) for n in range(40))
    lines = draw(holding(3), Watched(last=last))
    assert lines[-2].endswith("number 39")
    assert lines[-3].endswith("number 38")


def test_what_the_broker_says_cannot_steer_the_terminal():
    state = holding(0)
    state.degraded["broker"] = "\x1b]0;owned\x07\n\x9b2J\u202egnp"
    place = Place("0.1.0", "at \x1b[31m", "db", 1.0)
    text = "".join(draw(state, place=place))
    assert text.isprintable()
    denied = words.told(ev.Denied(AT, "AA\x1bPL", Side.BUY, "odd", "a\x1b[2Jb"))
    assert (denied[0].symbol, denied[0].text) == ("AA\\x1bPL", "buy: odd (a\\x1b[2Jb)")


def test_learners_have_a_line_where_there_are_any():
    state = make_state(plan=make_plan(learning=LearningRules(("attention",))))
    assert line_of(draw(state), "Learners") == "Learners    attention (watching)"
    assert not [line for line in draw(make_state()) if "earners" in line]
