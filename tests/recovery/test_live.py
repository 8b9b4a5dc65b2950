"""The live view on a terminal of 80x24, and the objects of a run: what a person and a program are left with."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.databases import sqlite_only
from tests.recovery.harness import PATIENCE_S, PROGRAM, World, audit
from tests.terminal import Terminal

WIDTH, HEIGHT = 80, 24


class Seat:
    """A program on a terminal of its own."""

    def __init__(self, world: World, *args: str) -> None:
        self.terminal = Terminal(WIDTH, HEIGHT)
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self._modes = termios.tcgetattr(theirs)
        env = {k: v for k, v in world.env(TERM="xterm-256color").items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*PROGRAM, *args], env=env, cwd=world.folder, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
        )  # fmt: skip
        self._theirs = theirs

    def wait_for(self, text: str) -> None:
        """Until ``text`` is on the screen, or was."""
        deadline_s = time.monotonic() + PATIENCE_S
        while text not in self.terminal.text:
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"time is up before {text!r}:\n{self.terminal.text}"
            ended = not self._read(left_s) and self.process.poll() is not None
            assert not ended, f"it ended before {text!r}:\n{self.terminal.text}"

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], min(timeout_s, 0.2))
        if ready:
            self.terminal.feed(os.read(self._ours, 65_536).decode())
        return bool(ready)

    def end(self) -> int:
        """Wait for its end; the terminal has to be as it was found."""
        deadline_s = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline_s, f"it did not end:\n{self.terminal.text}"
            self._read(0.2)
        while self._read(0.0):
            pass
        assert termios.tcgetattr(self._theirs) == self._modes
        assert self.terminal.private == [], "a cursor was hidden, or another screen shown"
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def sit(world: World) -> Iterator[Callable[..., Seat]]:
    seats: list[Seat] = []

    def start(*args: str) -> Seat:
        seats.append(Seat(world, *args))
        return seats[-1]

    yield start
    for seat in seats:
        seat.close()


RUN = ("--symbols", "AAPL,MSFT", "--duration", "30", "--speed", "600")


@pytest.mark.nightly
def test_a_run_leaves_its_report_and_what_was_decided_above_it(world: World, sit):
    seat = sit(*RUN)
    seat.wait_for("Time left")
    assert seat.end() == 0
    text = seat.terminal.text
    assert "Time left" not in text, "the live view is gone"
    for line in ("entry    AAPL  buy", "fill     AAPL", "closed   AAPL  long", "Shutting down gracefully"):
        assert line in text
    assert text.index("Shutting down") < text.index("Closed trades: 1") < text.index("Resume with")
    assert any("PROTECTED" in row for row in seat.terminal.screen)


def test_the_first_signal_ends_it_with_the_report(world: World, sit):
    seat = sit(*RUN[:-1], "60")
    seat.wait_for("PROTECTED")
    seat.process.send_signal(signal.SIGINT)
    assert seat.end() == 0
    assert "Time left" not in seat.terminal.text
    assert "stopped by SIGINT" in seat.terminal.text
    assert "Resume with" in seat.terminal.text


@pytest.mark.nightly
def test_a_second_signal_and_kill_9_leave_a_line_for_the_prompt(world: World, sit):
    seat = sit(*RUN[:-1], "60")
    seat.wait_for("PROTECTED")
    world.there.plan({"kind": "hang", "seconds": 6, "method": "GET", "path": "/v2/"})
    seat.process.send_signal(signal.SIGINT)
    seat.wait_for("Stopping")
    seat.process.send_signal(signal.SIGTERM)
    assert seat.end() == 130
    assert "Stopped at once" in seat.terminal.text
    world.there.plan()
    again = sit("--resume", "--speed", "60")
    again.wait_for("Time left")
    again.process.kill()
    assert again.end() == -signal.SIGKILL
    world.resume("--speed", "0", "--duration", "5").ok()
    audit(world)


@pytest.mark.nightly
def test_an_error_keeps_the_last_picture_and_ends_with_its_line(world: World, sit):
    seat = sit(*RUN[:-1], "60")
    seat.wait_for("PROTECTED")
    world.there.place("MSFT", "buy", "1", type="limit", limit_price="1.00", client_order_id="ga1-of-another-database")
    assert seat.end() == 6, seat.terminal.text
    text = seat.terminal.text
    assert text.count("Time left") == 1
    assert text.index("Time left") < text.index("PROTECTED") < text.index("error: ")
    assert "Traceback" not in text


@pytest.mark.nightly
def test_plain_and_a_pipe_get_the_same_lines(world: World, sit):
    seat = sit(*RUN, "--plain")
    assert seat.end() == 0
    assert "Time left" not in seat.terminal.text
    assert "\x1b" not in "".join(seat.terminal.rows)
    assert "Checkpoint #10 created" in seat.terminal.text


def test_objects_tell_the_same_trades_as_the_database(world: World):
    log = world.folder / "run.log"
    ended = world.trade("--json", "--log-file", str(log)).ok()
    assert ended.err == ""
    lines = [json.loads(line) for line in ended.out.splitlines()]
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    assert [{k: v for k, v in line.items() if k not in ("wall", "level")} for line in logged] == lines
    fills = [(r["activity_id"], r["symbol"], r["qty"], r["price"], r["at"]) for r in lines if r["kind"] == "fill"]
    rows = world.rows("SELECT * FROM fills ORDER BY at, activity_id")
    assert [f[:4] for f in fills] == [(r["activity_id"], r["symbol"], r["qty"], r["price"]) for r in rows]
    closed = [(r["symbol"], r["pnl"], r["reason"]) for r in lines if r["kind"] == "closed"]
    assert closed == [(r["symbol"], r["pnl"], r["reason"]) for r in world.rows("SELECT * FROM closed_trades")]
    intents = {r["client_order_id"] for r in lines if r["kind"] == "intent"}
    assert intents == {r["client_order_id"] for r in world.rows("SELECT * FROM intents")}
    last = lines[-1]
    assert (last["kind"], last["closed_trades"], last["fills"]) == ("ended", len(closed), len(fills))
    assert last["session"] == world.session()["id"]


def test_no_object_and_no_log_holds_a_secret(world: World):
    log = world.folder / "run.log"
    world.trade("--json", duration=12, crash_at="fill.after_commit:1", GAMBLER_LOG_FILE=str(log)).was_killed()
    world.there.plan({"kind": "503_html", "method": "GET", "path": "/v2/stocks", "times": 2})
    world.resume("--json", "--log-file", str(log)).ok()
    texts = [log.read_text(), *(text for ended in world.outputs for text in (ended.out, ended.err))]
    for name in ("ALPACA_API_KEY", "ALPACA_API_SECRET", "GAMBLER_EXCHANGE_TOKEN"):
        assert not any(world.there.names[name] in text for text in texts), name
    kinds = [json.loads(line)["kind"] for line in log.read_text().splitlines()]
    assert kinds.count("opening") == 2, "the second run goes on in the same file"
    assert "resumed" in kinds


@pytest.mark.parametrize(
    ("args", "code", "word"),
    [
        (["--duration", "0"], 2, "--duration"), (["--no-such-option"], 2, "--no-such-option"),
        (["--resume"], 5, "session"), (["--plain"], 2, "--plain"), (["--log-file", "missing/run.log"], 2, "--log-file"),
    ],
)  # fmt: skip
def test_an_error_is_the_last_object(make_world, args: list[str], code: int, word: str):
    bare: World = make_world(exchange=False)
    ended = bare.run("--json", *args)
    assert ended.code == code
    (line,) = [json.loads(line) for line in ended.out.splitlines()]
    assert (line["kind"], line["exit_code"], line["at"]) == ("error", code, None)
    assert word in line["message"]
    assert ended.err.startswith(f"error: {line['message']}")


@sqlite_only
def test_init_db_is_an_object_too(make_world):
    bare: World = make_world(exchange=False)
    line = json.loads(bare.run("--init-db", "--json").ok().out)
    assert (line["kind"], Path(line["database"]).name) == ("ready", "gambler.sqlite3")


def test_a_log_that_cannot_be_written_any_more_ends_nothing(world: World):
    ended = world.trade("--log-file", "/dev/full", duration=12).ok()
    assert ended.err.count("cannot be written; the session goes on") == 1
    audit(world)
