"""An F&O system's files at the command line: archived, shown and never a session of ours; and ours in their shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gambler_ai.cli import sessions, state
from gambler_ai.errors import GamblerError
from gambler_ai.storage.database import Database
from tests.unit.ancestors.fno import FILES, SYSTEM
from tests.unit.app.moved import write_session
from tests.unit.fakes import SESSION

SETTINGS = (
    "gambler-ai run --universe options --min-confidence 0.65 --interval 300 --max-positions 5"
    " --capital-per-trade 200000"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("GAMBLER_HOME", str(tmp_path / "ours"))
    for name, document in FILES.items():
        (tmp_path / name).write_text(json.dumps(document))
    return tmp_path


def run(app: Any, *args: str) -> str:
    ended = CliRunner().invoke(app, list(args))
    assert ended.exit_code == 0, (ended, ended.exception)
    return ended.output


def refused(app: Any, *args: str) -> tuple[int, str]:
    """The exit code, and the error."""
    ended = CliRunner().invoke(app, list(args))
    assert isinstance(ended.exception, GamblerError), ended.exception
    assert "\n" not in ended.exception.message
    return ended.exception.exit_code, ended.exception.message


@pytest.fixture
def archived() -> str:
    """The session that the three files became."""
    found: str = json.loads(run(state.app, "import", *FILES, "--zone", "Asia/Kolkata", "--json"))["session_id"]
    return found


def test_it_stands_among_the_saved_sessions_with_what_its_files_say(archived: str):
    (found,) = json.loads(run(sessions.app, "list", "--saved", "--json"))
    assert found["session"] == archived
    assert (found["status"], found["iteration"], found["cash"], found["currency"]) == (
        "archived", 25, "914462.59", "",
    )  # fmt: skip
    assert found["positions"] > 0
    line = next(line for line in run(sessions.app, "list", "--saved").splitlines() if archived in line)
    assert "914,462.59" in line
    assert "$" not in line


@pytest.fixture
def ours(folder: Path) -> str:
    """A session of ours that holds ten AAPL."""
    (folder / "ours").mkdir(mode=0o700)
    database = Database(f"sqlite:///{folder}/ours/gambler.sqlite3")
    database.prepare()
    write_session(database)
    database.close()
    return SESSION


def test_what_was_taken_is_told_with_its_zone_and_its_settings():
    shown = run(state.app, "import", *FILES, "--zone", "Asia/Kolkata")
    for line in ("75 NIFTY25SEP24650CE at 220.42, stop 207.19, target 246.87 (straddle, F&O)", SETTINGS,
                 "cash 914,462.59 of 1,000,000.00, P&L +0.00, 5 trades (currency not named)",
                 "its times name no zone: taken as Asia/Kolkata (--zone)", "archived as session "):  # fmt: skip
        assert line in shown, line
    again = run(state.app, "import", *FILES, "--zone", "Asia/Kolkata")
    assert again.count("is archived already, in session ") == 3
    assert "archived as session" not in again


def test_a_dry_run_archives_nothing(folder: Path):
    assert "75 NIFTY25SEP24650CE" in run(state.app, "import", *FILES, "--dry-run")
    assert not (folder / "ours").exists()


def test_it_is_listed_and_shown_as_what_it_is(archived: str):
    listed = run(sessions.app, "list")
    assert f"{archived}  archived" in listed
    assert "NIFTY25SEP24650CE,BANKNIFTY25SEP57200CE" in listed
    shown = run(sessions.app, "show", archived)
    for line in ("never traded, never reconciled", "fno_system_state.json", "Iteration   25", "Cash        914,462.59",
                 "Saved       2025-09-29 06:19:10 UTC, times taken as Asia/Kolkata", SETTINGS, "207.19", "246.87",
                 "BANKNIFTY25SEP57200CE", "current_state.json", "5, 1 won, 0 lost", "+120.50"):  # fmt: skip
        assert line in shown, line
    (first, *_) = json.loads(run(sessions.app, "show", archived, "--json"))["archived"]
    assert first["books"]["positions"][0]["qty"] == "75"


def test_it_is_among_what_was_imported(archived: str):
    assert archived in run(state.app, "imported")
    found = json.loads(run(state.app, "imported", "--json"))
    assert [row["name"] for row in found] == ["archived.system", "archived.day", "archived.portfolio"]
    assert {row["session_id"] for row in found} == {archived}
    assert json.loads(run(state.app, "imported", "--json", "--account", "PA7")) == []


def test_words_of_a_file_cannot_style_a_terminal(folder: Path):
    held = {"[red]A": SYSTEM["portfolio"]["positions"]["NIFTY25SEP24650CE"]}
    (folder / "a.json").write_text(json.dumps({**SYSTEM, "portfolio": {**SYSTEM["portfolio"], "positions": held}}))
    assert refused(state.app, "import", "a.json") == (2, "1 of 1 file refused; nothing was imported")
    row = {**SYSTEM["portfolio"]["positions"]["NIFTY25SEP24650CE"], "strategy": "[red]x[/red]"}
    document = {**SYSTEM, "portfolio": {**SYSTEM["portfolio"], "positions": {"A": row}}}
    (folder / "a.json").write_text(json.dumps(document))
    session_id = json.loads(run(state.app, "import", "a.json", "--json"))["session_id"]
    assert "[red]x[/red]" in run(state.app, "import", "a.json")
    assert "[red]x[/red]" in run(sessions.app, "show", session_id)
    assert "[red]x[/red]" in run(state.app, "imported")


def test_ours_is_printed_or_written_in_their_shape(ours: str, folder: Path):
    document = json.loads(run(state.app, "export", "--format", "fno"))
    assert document["portfolio"]["positions"]["AAPL"]["shares"] == 10
    assert "Written: out/current_state.json" in run(state.app, "export", "--format", "fno", "--out", "out/")
    assert json.loads((folder / "out/fno_system_state.json").read_text()) == document
    found = json.loads(run(state.app, "export", "--format", "fno", "--session", ours, "--out", "x.json", "--json"))
    assert found == {"session_id": ours, "files": ["x.json"]}
    assert "archived as session" in run(state.app, "import", *(f"out/{name}" for name in FILES))


CASES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "for an account": (("import", *FILES, "--account", "PA7"), 2, "it is for no session and no account"),
    "for a session": (("import", *FILES, "--session", "s"), 2, "it is for no session and no account"),
    "account of that name": (("import", "q.npy", "--account", "archived"), 2, "1 of 1 file refused"),
    "two of a kind": (("import", "current_state.json", "current_state.json"), 2, "1 of 2 files refused"),
    "settings of nothing": (("import", *FILES, "--write-config", "x.toml"), 2, "needs a config.json"),
    "zip without a file": (("export",), 2, "--format zip writes one FILE"),
    "zip with out": (("export", "x.zip", "--out", "y"), 2, "--out is for --format fno"),
    "fno with a file": (("export", "x.json", "--format", "fno"), 2, "writes where --out says"),
    "fno of all": (("export", "--format", "fno", "--all"), 2, "writes one session"),
    "fno of two": (("export", "--format", "fno", "--session", "a", "--session", "b"), 2, "writes one session"),
    "fno of none": (("export", "--format", "fno"), 5, "there is no session to write out"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_done_is_one_clear_line(name: str):
    args, code, says = CASES[name]
    found, message = refused(state.app, *args)
    assert found == code
    assert says in message
