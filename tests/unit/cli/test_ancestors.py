# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""`state import` of other bots' files and `state imported`: what is printed, what is refused, and what stays as it was."""

from __future__ import annotations

import json
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from gambler_ai.cli import state
from gambler_ai.errors import ConfigError
from gambler_ai.storage.database import Database
from gambler_ai.storage.export_file import FORMAT, MANIFEST
from gambler_ai.storage.tables import metadata
from tests.unit.ancestors.test_kinds import CONFIG

FILES = Path(__file__).parents[1] / "ancestors" / "files" / "numpy1"
RAD = ("analytics_state.pkl", "risk_manager_state.pkl", "q_table.pkl", "attention_weights.npy")
LESSON = ("state.json", "config.json")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("GAMBLER_HOME", str(tmp_path / "home"))
    for name in (*RAD, "signal_model.pkl"):
        shutil.copy(FILES / name, tmp_path)
    (tmp_path / "state.json").write_text(json.dumps({"is_in_position": True, "entry_price": 440.12}))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def run(*args: str) -> str:
    ended = CliRunner().invoke(state.app, list(args))
    assert ended.exit_code == 0, (ended, ended.exception)
    return ended.output


def refused(*args: str) -> tuple[str, str]:
    """What was printed, and the error."""
    ended = CliRunner().invoke(state.app, list(args))
    assert isinstance(ended.exception, ConfigError), ended.exception
    return ended.output, ended.exception.message


def stored(folder: Path) -> dict[str, int]:
    """Table -> rows; nothing at all without a database."""
    path = folder / "home" / "gambler.sqlite3"
    if not path.exists():
        return {}
    database = Database(f"sqlite:///{path}")
    with database.read() as db:
        found = {
            t.name: db.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in metadata.sorted_tables
        }
    database.close()
    return found


def test_what_was_taken_is_told_file_by_file_and_shown_later(folder: Path):
    shown = run("import", *RAD, "--account", "PA7")
    for line in ("3 trades from 2025-03-03 to 2025-03-03, 1 won", "25 trades: 13 won, 10 lost, a streak of 2 losses",
                 "9 states, 4 actions, epsilon 0.18", "31 weights (31)", "kept for account PA7"):  # fmt: skip
        assert line in shown
    assert stored(folder)["components"] == 4
    later = run("imported")
    assert "PA7" in later
    assert "9 states, 4 actions, epsilon 0.18" in later
    (history, *_) = json.loads(run("imported", "--json", "--account", "PA7"))
    assert (history["name"], history["memory"]["trades"][1]["symbol"]) == ("imported.history", "ETH-USDT")
    assert json.loads(run("imported", "--json", "--account", "PA8")) == []
    assert "Nothing was imported" in run("imported", "--account", "PA8")


def test_one_refused_file_and_nothing_is_imported_nor_made(folder: Path):
    shown, message = refused("import", *RAD, "signal_model.pkl", "--account", "PA7", "--write-config", "mine.toml")
    assert "names sklearn.ensemble._forest.RandomForestClassifier, which is not plain data" in shown
    assert "a trained model is code" in shown
    assert message == "1 of 5 files refused; nothing was imported"
    assert stored(folder) == {}
    assert not (folder / "mine.toml").exists()


def test_programs_get_one_document(folder: Path):
    found = json.loads(run("import", *RAD, *LESSON, "--account", "PA7", "--json"))
    assert found["stored"] == ["imported.history", "imported.q_table", "imported.risk", "imported.weights"]
    assert [file["kind"] for file in found["files"]] == [
        "analytics", "risk manager", "Q-table", "feature weights", "state.json", "config.json",
    ]  # fmt: skip
    assert found["files"][4]["taken"] == ["holds 10 SPY at 440.12 by its own word"]
    assert tomllib.loads(found["config"]) == {"symbols": ["SPY"], "interval": 300}
    assert stored(folder)["components"] == 4


def test_a_dry_run_changes_nothing(folder: Path):
    assert "25 trades: 13 won, 10 lost" in run("import", *RAD, *LESSON, "--dry-run", "--write-config", "mine.toml")
    assert stored(folder) == {}
    assert not (folder / "mine.toml").exists()


def test_lesson_23_needs_no_account_and_its_keys_stay_where_they_are(folder: Path):
    shown = run("import", *LESSON, "--write-config", "gambler.toml")
    assert "gambler-ai reconcile --adopt SPY" in shown
    text = (folder / "gambler.toml").read_text()
    assert tomllib.loads(text) == {"symbols": ["SPY"], "interval": 300}
    for secret in (CONFIG["api_key"], CONFIG["api_secret"]):
        assert str(secret) not in shown + text
    assert stored(folder)["sessions"] == 0


CASES: dict[str, tuple[tuple[str, ...], str]] = {
    "zone": (("q_table.pkl", "--zone", "Nowhere/At_All"), "is no time zone"),
    "zone with a path": (("q_table.pkl", "--zone", "../../etc/passwd"), "is no time zone"),
    "configuration of nothing": (
        ("q_table.pkl", "--account", "PA7", "--write-config", "x.toml"),
        "needs a config.json",
    ),
    "configuration that is there": ((*LESSON, "--write-config", "config.json"), "is there already"),
    "session and account": (("q_table.pkl", "--session", "a", "--account", "b"), "not both"),
    "account": (("q_table.pkl", "--account", "no such"), "is no account's id"),
    "for nobody": (("q_table.pkl",), "no session is there that this could be for"),
    "state without a symbol": (("state.json",), "1 of 1 file refused"),
    "twice": (("q_table.pkl", "q_table.pkl"), "1 of 2 files refused"),
    "not there": (("gone.pkl",), "1 of 1 file refused"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_done_is_one_clear_line(folder: Path, name: str):
    args, says = CASES[name]
    assert says in refused("import", *args)[1]
    assert not any(stored(folder).values())
    assert json.loads((folder / "config.json").read_text()) == CONFIG


def test_what_state_export_wrote_is_imported_by_itself(folder: Path):

    with zipfile.ZipFile(folder / "ours.zip", "w") as file:
        file.writestr(MANIFEST, json.dumps({"format": FORMAT, "version": 1}))
    assert "imported by itself" in refused("import", "ours.zip", "q_table.pkl")[1]
    assert "for the files of another bot" in refused("import", "ours.zip", "--account", "PA7")[1]
