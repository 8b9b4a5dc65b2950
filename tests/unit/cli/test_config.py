"""`config show` and `config path`: every setting with its source, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gambler_ai.cli import config, reference
from gambler_ai.config import Settings, in_file

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


def run(*args: str) -> str:
    ended = CliRunner().invoke(config.app, list(args))
    assert ended.exit_code == 0, ended
    return ended.output


def test_every_setting_is_shown_with_its_source(folder, monkeypatch):
    (folder / "c.toml").write_text("duration = 7\n")
    monkeypatch.setenv("GAMBLER_INTERVAL", "9")
    found = json.loads(run("show", "--config", "c.toml", "--database-url", "sqlite:///x", "--json"))
    assert set(found) == set(Settings.model_fields)
    assert found["duration"] == {"value": 7, "source": "c.toml"}
    assert found["interval"] == {"value": 9, "source": "GAMBLER_INTERVAL"}
    assert found["database_url"] == {"value": "sqlite:///x", "source": "command line"}
    assert found["symbols"] == {"value": ["AAPL", "MSFT", "GOOGL"], "source": "default"}
    lines = {line.split()[0]: line.split()[1:] for line in run("show", "--config", "c.toml").splitlines()}
    assert lines["duration"] == ["7.0", "c.toml"]
    assert lines["symbols"] == ["AAPL,MSFT,GOOGL", "default"]


@pytest.mark.parametrize("args", [(), ("--json",)])
def test_no_secret_is_shown_not_even_within_a_url(monkeypatch, args):
    for name in ("ALPACA_API_KEY", "ALPACA_API_SECRET", "GAMBLER_EXCHANGE_TOKEN"):
        monkeypatch.setenv(name, "MARKER")
    monkeypatch.setenv("GAMBLER_DATABASE_URL", "postgresql+psycopg://me:MARKER@localhost/x")
    text = run("show", *args)
    assert "MARKER" not in text
    assert "ALPACA_API_SECRET" in text
    if args:
        found = json.loads(text)
        assert {found[n]["value"] for n in ("api_key", "api_secret", "exchange_token")} == {"set"}


def test_a_secret_that_is_not_set_is_said_to_be(folder):
    found = json.loads(run("show", "--json"))
    assert {found[n]["value"] for n in ("api_key", "api_secret", "exchange_token")} == {"not set"}


def test_settings_that_cannot_work_together_are_shown_and_end_in_an_error(folder):
    (folder / "gambler.toml").write_text("max_order_value = 1\n")
    ended = CliRunner().invoke(config.app, ["show"])
    assert "max_order_value" in ended.output
    assert ended.exit_code != 0


def test_where_files_are_looked_for(folder, home):
    found = json.loads(run("path", "--json"))
    assert found["configuration"] == {"path": str(folder / "gambler.toml"), "exists": False}
    (folder / "gambler.toml").touch()
    assert json.loads(run("path", "--json"))["configuration"]["exists"]
    assert f"{Path(home) / 'gambler_ai' / 'secrets.toml'}" in run("path")


def test_what_is_drawn_from_the_settings_is_up_to_date():
    for path, text in reference.documents(ROOT).items():
        assert path.read_text("utf-8") == text, f"{path.name} is stale: run scripts/docs"


def test_the_table_has_every_setting_with_its_option_and_its_variables():
    rows = [line.split(" | ") for line in reference.settings_table().splitlines()[2:]]
    names = [row[0].removeprefix("| ").removesuffix(" (not in a file)") for row in rows]
    assert names == [name for name in Settings.model_fields if name != "program"]
    by_name = dict(zip(names, rows, strict=True))
    assert by_name["stop_loss_pct"][1:4] == ["`--stop-loss-pct`", "`GAMBLER_STOP_LOSS_PCT`", "2"]
    assert "`ALPACA_API_KEY`" in by_name["api_key"][2]
    assert all(row[4].removesuffix(" |").strip() for row in rows)


def test_the_examples_say_what_each_setting_is():
    text = reference.example_toml()
    for name in in_file():
        assert f"\n# {reference.text_of(name)}\n" in text


def test_a_document_without_the_marks_is_not_destroyed(tmp_path):
    (tmp_path / "docs").mkdir()
    stale = f"before\n{reference.BEGIN}\nfrom yesteryear\n{reference.END}\nafter\n"
    (tmp_path / "docs/CONFIGURATION.md").write_text(stale)
    reference.write(tmp_path)
    text = (tmp_path / "docs/CONFIGURATION.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "from yesteryear" not in text
    reference.write(tmp_path)
    assert (tmp_path / "docs/CONFIGURATION.md").read_text() == text
