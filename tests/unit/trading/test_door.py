"""The HALT file, whatever is there by that name, and requests in the order in which they were asked."""

from __future__ import annotations

import os

import pytest

from gambler_ai.clock import ManualClock
from gambler_ai.core.events import HaltFileSeen, Requested
from gambler_ai.storage import requests, sessions
from gambler_ai.trading.door import REASON_MAX, Door, halt_reason
from tests.unit.fakes import AT, SESSION, after


@pytest.fixture
def halt(tmp_path):
    return tmp_path / "HALT"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"upgrade\nmore\n", "upgrade"),
        (b"  upgrade  \r\n", "upgrade"),
        (b"\x1b[31mred\x07", "[31mred"),
        ("a\tb\u009bc".encode(), "a b c"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 5000, "x" * REASON_MAX),
    ],
    ids=["first line", "stripped", "escape", "tab and C1", "not UTF-8", "long"],
)
def test_the_reason_is_the_first_line_as_a_terminal_can_show_it(halt, content, reason):
    halt.write_bytes(content)
    assert halt_reason(halt) == reason


@pytest.mark.parametrize("content", [b"", b"\n", b"   \nreason", b"\x1b\x07\n"])
def test_a_file_that_says_nothing_halts(halt, content):
    halt.write_bytes(content)
    assert halt_reason(halt) == f"{halt} is there"


def test_no_file_is_no_halt(halt):
    assert halt_reason(halt) is None
    assert halt_reason(halt.parent / "no" / "folder" / "HALT") is None


def test_what_is_there_and_cannot_be_read_halts_all_the_same(halt):
    halt.mkdir()
    assert halt_reason(halt) == f"{halt} cannot be read (Is a directory)"
    assert halt_reason(halt / ".." / "HALT" / ("x" * 300)) is not None
    file = halt / "file"
    file.write_text("")
    assert halt_reason(file / "HALT") == f"{file / 'HALT'} cannot be read (Not a directory)"


def test_a_link_to_nowhere_halts(halt):
    halt.symlink_to("nowhere")
    assert halt_reason(halt) == f"{halt} is there"


def test_a_pipe_that_nobody_writes_to_halts_and_holds_nothing_up(halt):
    os.mkfifo(halt)
    assert halt_reason(halt) == f"{halt} is there"


def test_the_halt_file_comes_first_and_then_what_was_asked_oldest_first(halt, database, ledger):
    with database.write() as db:
        info = sessions.find(db, SESSION)
        ids = [requests.add(db, info, kind, "", "", "", after(seconds=n)) for n, kind in enumerate(("halt", "flatten"))]
    door = Door(ledger, halt, ManualClock(after(hours=1)))
    seen, *asked = door.look()
    assert seen == HaltFileSeen(after(hours=1), None)
    assert [r.request.id for r in asked if isinstance(r, Requested)] == ids
    halt.write_text("upgrade")
    assert door.look()[0] == HaltFileSeen(after(hours=1), "upgrade")
    with database.write() as db:
        requests.answer(db, ids[0], "done", AT)
    assert len(door.look()) == 2
