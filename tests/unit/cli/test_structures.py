"""`structures list|show|payoff`, `--show-sessions` and the question of a fresh start, of stored sessions."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gambler_ai.cli.main import app
from gambler_ai.cli.run import _ask
from gambler_ai.cli.saved import saved, saved_lines
from gambler_ai.core.state import SessionState
from gambler_ai.errors import ConfigError
from gambler_ai.storage import checkpoints, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from tests.unit.cli.structures import condor, covered_call, holding
from tests.unit.fakes import AT, after, make_state

HEAD = "a" * 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with sessions: one in options, one whose journal is broken, one that holds nothing."""
    folder = tmp_path_factory.mktemp("structures")
    database = Database(f"sqlite:///{folder / 'g.sqlite3'}")
    database.prepare()
    store(database, holding(condor(), covered_call(), status="stopped", end_reason="stopped by SIGINT", seq=1))
    broken = make_state(session_id="s-2", account_id="acc-2", status="stopped", seq=2)
    store(database, broken, journal_rows=1)
    store(database, make_state(session_id="s-3", account_id="acc-3", status="stopped", seq=1))
    database.close()
    return folder


def store(database: Database, state: SessionState, journal_rows: int | None = None) -> None:
    rows = state.seq if journal_rows is None else journal_rows
    with database.write() as db:
        sessions.insert(db, state, broker="embedded", trading_url="embedded", genesis=HEAD, wall=after(days=1))
        for seq in range(1, rows + 1):
            db.execute(t.journal.insert(), {
                "session_id": state.session_id, "seq": seq, "at": AT, "kind": "Marked", "payload": "{}", "hash": HEAD,
                "token": 1,
            })  # fmt: skip
        if rows == state.seq:
            checkpoints.create(db, state, 1, HEAD, AT)


@pytest.fixture(autouse=True)
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GAMBLER_HOME", str(folder))
    monkeypatch.setenv("GAMBLER_DATABASE_URL", f"sqlite:///{folder / 'g.sqlite3'}")


@pytest.fixture
def database(folder: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{folder / 'g.sqlite3'}")
    yield opened
    opened.close()


def run(*args: str) -> str:
    ended = CliRunner().invoke(app, list(args))
    assert ended.exit_code == 0, ended.exception or ended.output
    return ended.output


OURS = ("--session", "s-1")


def test_the_list_has_a_line_for_each_with_its_id():
    lines = run("structures", "list", *OURS).splitlines()
    assert any(line.startswith("gam-condor") and "GUARDED" in line and "+210.00" in line for line in lines)
    assert any(line.startswith("gam-covered") for line in lines)
    assert "no order at the broker protects it" in lines[-1]


def test_the_list_for_programs_has_them_all():
    found = json.loads(run("structures", "list", *OURS, "--json"))
    assert [one["structure_id"] for one in found] == ["gam-condor", "gam-covered"]


@pytest.mark.parametrize("name", ["gam-condor", "gam-con", "aapl", "AAPL"])
def test_one_is_named_by_its_id_the_beginning_of_it_or_its_share(name: str):
    text = run("structures", "show", name, *OURS)
    assert "85/90p 110/115c 20 Dec x3" in text
    assert "20 Dec 2008 90 put" in text
    assert "Breaks even 88.55, 111.45" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [("gam", "several structures begin with 'gam'"), ("IBM", "session s-1 holds no structure 'IBM'")],
)
def test_a_name_that_is_none_or_several_is_one_clear_line(name: str, message: str):
    ended = CliRunner().invoke(app, ["structures", "show", name, *OURS])
    assert isinstance(ended.exception, ConfigError)
    assert ended.exception.message == message


def test_the_payoff_is_a_plot_a_page_or_one_document(folder: Path):
    assert "at the expiry" in run("structures", "payoff", "AAPL", *OURS)
    assert run("structures", "payoff", "AAPL", *OURS, "--html", "p.html") == "Written: p.html\n"
    assert "<svg" in (folder / "p.html").read_text()
    found = json.loads(run("structures", "payoff", "AAPL", *OURS, "--json"))
    assert (found["most"], found["least"], found["breakevens"]) == ("435", "-1065", ["88.55", "111.45"])
    assert len(found["today"]) == 121


# -- what there is to go on with ------------------------------------------------------------------


def test_show_sessions_says_of_each_what_it_would_go_on_from():
    lines = run("--show-sessions").splitlines()
    (row,) = [line for line in lines if line.startswith("s-1 ")]
    assert row.split() == ["s-1", "2008-10-08", "10:00:00", "25", "6", "2", "$100,000.00", "stopped"]
    assert lines[0].split()[:3] == ["session", "saved", "(New"]


def test_show_sessions_is_the_list_of_sessions_by_a_short_name():
    found = json.loads(run("--show-sessions", "--json"))
    assert found == json.loads(run("sessions", "list", "--saved", "--json"))
    (ours,) = [one for one in found if one["session"] == "s-1"]
    assert (ours["iteration"], ours["structures"], ours["positions"], ours["cash"]) == (25, 2, 6, "100000")
    assert run("--database-url", "sqlite:///other.sqlite3", "--show-sessions").startswith("No session yet")


def test_a_session_that_cannot_be_read_back_says_why_and_hides_no_other():
    found = {one["session"]: one for one in json.loads(run("--show-sessions", "--json"))}
    assert found["s-2"]["cash"] is None
    assert "journal" in found["s-2"]["broken"]
    assert found["s-1"]["broken"] == ""


def test_the_question_of_a_fresh_start_shows_when_it_was_saved_and_what_it_holds(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    with database.read() as db:
        info = sessions.find(db, "s-1")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert _ask(database, info) is False
    shown = capsys.readouterr().out
    for line in (
        "was interrupted: stopped by SIGINT", "Saved:     2008-10-08 10:00:00 New York",
        "Positions: 6 in 2 structures", "Cash:      $100,000.00", "Iteration: 25",
    ):  # fmt: skip
        assert line in shown


def test_the_question_is_asked_all_the_same_where_what_is_stored_does_not_verify(database: Database):
    with database.read() as db:
        info = sessions.find(db, "s-2")
    lines = saved_lines(saved(database, info, info.status))
    assert len(lines) == 2
    assert "journal" in lines[1]


def test_a_session_that_holds_none_says_so():
    assert "No structure is held." in run("structures", "list", "--session", "s-3")
