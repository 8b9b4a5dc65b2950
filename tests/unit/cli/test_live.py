"""The region at the bottom of a terminal: what it draws, what scrolls away above it, and that it leaves no trace."""

import io
from collections.abc import Iterator
from datetime import datetime

import pytest
from rich.text import Text

from gambler_ai.cli.live import LiveWatcher
from gambler_ai.cli.region import Region, RegionConsole, region_console
from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import Side
from gambler_ai.core.state import SessionState
from gambler_ai.errors import StorageError
from gambler_ai.storage.checkpoints import CheckpointInfo
from tests.terminal import Terminal
from tests.unit.fakes import AT, MONEY, SHUT, after, make_state


class Wall(ManualClock):
    """A clock whose wall time stands still as well."""

    seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


class Glass(io.StringIO):
    """A stream that shows what it gets."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal = terminal

    def write(self, text: str) -> int:
        self.terminal.feed(text)
        return len(text)

    def isatty(self) -> bool:
        return True


def console_of(terminal: Terminal) -> RegionConsole:
    return RegionConsole(
        file=Glass(terminal), force_terminal=True, width=terminal.width, height=terminal.height, markup=False,
        highlight=False, _environ={"TERM": "xterm"},
    )  # fmt: skip


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def wall() -> Wall:
    return Wall(AT)


@pytest.fixture
def console(terminal: Terminal) -> RegionConsole:
    return console_of(terminal)


@pytest.fixture
def live(console: RegionConsole, wall: Wall) -> Iterator[LiveWatcher]:
    watcher = LiveWatcher(console, lambda _session: 7, wall)
    yield watcher
    watcher.close(None)


@pytest.fixture
def state() -> SessionState:
    made = make_state()
    evolve(made, [ev.RunStarted(AT, 3600.0, resumed=False, token=1)])
    return made


def seen(live: LiveWatcher) -> list[str]:
    """The newest picture."""
    return [line.plain.rstrip() for line in live._draw()]


def denied(number: int, at: datetime = AT) -> Decisions:
    return Decisions([ev.Denied(at, "AAPL", Side.BUY, "position_open", f"{number} held")])


def test_lines_scroll_away_above_it_and_it_leaves_no_trace(
    live: LiveWatcher, console: RegionConsole, terminal: Terminal, state: SessionState
):
    console.print("before")
    live.started(state)
    assert "No open positions" in terminal.screen
    for number in range(40):
        console.print(f"fill {number}")
    assert terminal.text.count("No open positions") == 1
    live.ended(state, created=1, pruned=0)
    console.print("the report")
    assert [row for row in terminal.text.splitlines() if row] == [
        "before", *(f"fill {number}" for number in range(40)), "the report",
    ]  # fmt: skip
    assert terminal.private == [], "no cursor was hidden and no other screen shown, so a kill has nothing to restore"


def test_after_an_error_the_last_picture_stays(live: LiveWatcher, terminal: Terminal, state: SessionState):
    live.started(state)
    live.close(RuntimeError("no"))
    assert terminal.text.count("No open positions") == 1
    live.close(None)
    assert terminal.text.count("No open positions") == 1


def test_what_is_shown_follows_the_state(live: LiveWatcher, wall: Wall, state: SessionState):
    live.started(state)
    live.took(denied(1), state)
    state.degraded["broker"] = "HTTP 503"
    live.checkpointed(CheckpointInfo(3, AT, AT, 5, MONEY, 0, 0, 9, "00"))
    live.stream(ev.StreamChanged(AT, ev.PRICES, up=False, reason="refused"))
    wall.seconds += 1
    live.ticked(state, AT)
    lines = seen(live)
    assert "Degraded    broker: HTTP 503; no entries until it works" in lines
    assert "Checkpoint  #3, 0s ago, 7 stored" in lines
    assert "Streams     prices down: refused; polled all the same" in lines
    assert lines[-2].endswith("denied   AAPL  buy: position open (1 held)")
    live.stopping("stopped by SIGINT")
    assert "Stopping    stopped by SIGINT" in seen(live)


def test_a_closed_market_is_told_until_the_run_goes_on(live: LiveWatcher, wall: Wall, state: SessionState):
    live.started(state)
    live.waiting(SHUT, state)
    wall.seconds += 1
    live.ticked(state, AT)
    assert any("closed until" in line for line in seen(live))
    live.took(Decisions([ev.RunStarted(AT, 60.0, resumed=True, token=1)]), state)
    wall.seconds += 1
    live.ticked(state, AT)
    assert not any("closed until" in line for line in seen(live))


def test_at_full_speed_a_redraw_has_one_picture_and_history_costs_nothing(
    live: LiveWatcher, wall: Wall, state: SessionState
):
    live.started(state)
    pictures = 0
    for number in range(10_000):
        live.took(denied(number), state)
        before = live._view
        live.ticked(state, after(seconds=number))
        pictures += live._view is not before
    assert pictures == 0, "no wall time has passed"
    wall.seconds += 0.25
    live.ticked(state, AT)
    assert live._view is not None
    assert len(live._view.watched.last) == 50


def test_a_database_that_cannot_be_read_ends_no_session(console: RegionConsole, wall: Wall, state: SessionState):
    def locked(_session: str) -> int:
        raise StorageError("database is locked")

    live = LiveWatcher(console, locked, wall)
    live.started(state)
    live.checkpointed(CheckpointInfo(3, AT, AT, 5, MONEY, 0, 0, 9, "00"))
    wall.seconds += 1
    live.ticked(state, AT)
    assert "Checkpoint  #3, 0s ago, 0 stored" in seen(live)
    live.close(None)


def test_the_same_decision_again_is_counted(live: LiveWatcher, wall: Wall, state: SessionState):
    live.started(state)
    for second in range(3):
        live.took(denied(1, after(seconds=second)), state)
    live.took(denied(2), state)
    wall.seconds += 1
    live.ticked(state, AT)
    lines = [line for line in seen(live) if "denied" in line]
    assert [line[10:] for line in lines] == [
        "denied   AAPL  buy: position open (1 held) (3 times)", "denied   AAPL  buy: position open (2 held)",
    ]  # fmt: skip
    assert lines[0].startswith("10:00:02")


def test_a_terminal_that_gets_narrower_keeps_one_region(terminal: Terminal):
    console = console_of(terminal)
    region = Region(console, lambda: [Text("x" * min(70, console.width)), Text()])
    console.print("before")
    region.start()
    terminal.rows[1:2] = ["x" * 40, "x" * 30]  # as a terminal breaks a line of ours that no longer fits
    terminal.row += 1
    terminal.width = console.width = 40
    console.print("after")
    region.stop()
    assert [row for row in terminal.text.splitlines() if row] == ["before", "after"]


@pytest.mark.parametrize(("tty", "term"), [(False, "xterm"), (True, "dumb"), (True, "unknown")])
def test_where_there_is_no_terminal_there_is_no_region(monkeypatch, tty: bool, term: str):
    monkeypatch.setenv("TERM", term)
    stream = Glass(Terminal())
    monkeypatch.setattr(stream, "isatty", lambda: tty)
    assert region_console(stream) is None
