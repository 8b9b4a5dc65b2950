"""Shell completion, asked as bash, zsh and fish ask: commands, options of run without its name, session ids."""

from __future__ import annotations

import pytest

from gambler_ai.cli.main import app
from gambler_ai.storage import journal, sessions
from gambler_ai.storage.database import Database
from tests.unit.fakes import AT, make_state


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Two sessions in the default place; the folder they are in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAMBLER_HOME", str(tmp_path / "home"))
    fill(f"sqlite:///{tmp_path / 'home' / 'gambler.sqlite3'}", "20261121-a", "20261122-b")
    return tmp_path


def fill(url: str, *ids: str) -> None:
    database = Database(url)
    database.prepare()
    with database.write() as db:
        for number in ids:
            state = make_state(session_id=number, status="stopped")
            sessions.insert(db, state, broker="embedded", trading_url="u", genesis=journal.GENESIS, wall=AT)
    database.close()


@pytest.fixture
def complete(monkeypatch, capsys):
    """``complete(line, shell)``: what the shell is told. The last word of the line is the one to complete."""

    def ask(line: str, shell: str = "bash") -> str:
        monkeypatch.setenv("_GAMBLER_AI_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        with pytest.raises(SystemExit) as ended:
            app(prog_name="gambler-ai")
        assert not ended.value.code
        out, err = capsys.readouterr()
        assert not err
        return str(out)

    return ask


def test_the_commands_are_offered(complete):
    found = complete("gambler-ai ").split()
    assert {"run", "sessions", "doctor", "config", "db", "exchange"} <= set(found)
    assert complete("gambler-ai doc").split() == ["doctor"]
    assert complete("gambler-ai sessions ch").split() == ["checkpoints"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gambler-ai --checkp", ["--checkpoint-interval"]),
        ("gambler-ai --vers", ["--version"]),
        ("gambler-ai --symbols AAPL --dur", ["--duration"]),
        ("gambler-ai --symbols=AAPL --quiet --max-po", ["--max-positions"]),
        ("gambler-ai run --dur", ["--duration"]),
        ("gambler-ai doctor --off", ["--offline"]),
        ("gambler-ai --he", ["--help"]),
    ],
)
def test_the_options_of_run_are_offered_with_and_without_its_name(complete, line, words):
    assert complete(line).split() == words


def test_the_programs_own_options_are_among_them(complete):
    found = complete("gambler-ai --").split()
    assert {"--version", "--help", "--duration", "--resume-or-start"} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "line", [f"gambler-ai {words} " for words in ("--resume-session", "run --resume-session", "sessions show", "halt")]
)
def test_sessions_are_offered(complete, stored, line):
    assert complete(line).split() == ["20261121-a", "20261122-b"]
    assert complete(f"{line}20261122").split() == ["20261122-b"]
    assert complete(f"{line}x").split() == []


def test_learners_are_offered(complete):
    for command in ("show", "reset"):
        assert {"attention", "chooser"} <= set(complete(f"gambler-ai learners {command} ").split())
        assert complete(f"gambler-ai learners {command} att").split() == ["attention"]


def test_every_shell_is_answered_in_its_way(complete, stored):
    zsh = complete("gambler-ai --resume-session 20261121", "zsh")
    assert zsh.strip() == """_arguments '*: :(("20261121-a":"stopped, AAPL,MSFT"))'"""
    assert complete("gambler-ai --resume-session 20261121", "fish").strip() == "20261121-a\tstopped, AAPL,MSFT"
    assert "--duration" in complete("gambler-ai --dur", "zsh")
    assert complete("gambler-ai --dur", "fish").startswith("--duration\t")


def test_the_database_that_is_named_is_the_one_that_is_read(complete, stored):
    url = f"sqlite:///{stored / 'other.sqlite3'}"
    fill(url, "20260101-z")
    assert complete(f"gambler-ai --database-url {url} --resume-session ").split() == ["20260101-z"]
    (stored / "c.toml").write_text(f'database_url = "{url}"\n')
    assert complete("gambler-ai --config c.toml --resume-session ").split() == ["20260101-z"]


def test_looking_makes_no_file(complete, stored):
    def files() -> set[str]:
        return {str(p) for p in stored.rglob("*")}

    before = files()
    complete("gambler-ai sessions show ")
    complete("gambler-ai --database-url sqlite:///new.sqlite3 --resume-session ")
    assert files() == before


@pytest.mark.parametrize("text", ["", "these are not rows\n" * 500])
def test_where_nothing_can_be_read_nothing_is_said(complete, stored, text):
    (stored / "home" / "gambler.sqlite3").write_text(text)
    assert complete("gambler-ai sessions show ").strip() == ""
    (stored / "gambler.toml").write_text("colour = 1\n")
    assert complete("gambler-ai sessions show ").strip() == ""


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o default"), ("zsh", "#compdef gambler-ai"), ("fish", "complete --command")]
)
def test_each_shell_gets_a_script_of_its_own(monkeypatch, capsys, shell, word):
    monkeypatch.setenv("_GAMBLER_AI_COMPLETE", f"source_{shell}")
    with pytest.raises(SystemExit):
        app(prog_name="gambler-ai")
    assert word in capsys.readouterr().out
