# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""Names that come from outside stay names: no path, no SQL, no link (protocol 4.6)."""

import ast
from pathlib import Path

import pytest
import sqlalchemy as sa

from gambler_ai.app.venue import exchange_file
from gambler_ai.config import load
from gambler_ai.errors import ConfigError
from gambler_ai.storage import sessions
from gambler_ai.storage.database import Database
from tests.recovery.harness import World, base_env
from tests.test_tidy import ROOT

NASTY = [
    "../../etc/passwd", "..", ".", "/etc/passwd", "a/b", "a\\b", "~root", "$(id)", "`id`", "a b", "a;b", "'; DROP TABLE x--",
    "' OR '1'='1", "%", "_%", "*", "a\x00b", "\x00", "a\nb", "\x1b[31m", "é", "ａ", "а", "\u202e", "\u200b", "\ud800", "",
    "a" * 65, "A" * 100_000, "😀", "-" * 65, "a.sqlite3", "con:", "%2e%2e", "a\t", " a", "a ", "a\r", "None\x7f",
]  # fmt: skip


@pytest.mark.parametrize("name", NASTY, ids=lambda name: ascii(name)[:30])
def test_what_is_no_id_is_refused_before_anything_is_asked(name: str, tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    database.prepare()
    asked: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    with database.read() as db, pytest.raises(ConfigError, match="is not a session id") as caught:
        sessions.find(db, name)
    database.close()
    assert asked == []
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("name", [*NASTY, "20261121-180257-9920/../x"], ids=lambda name: ascii(name)[:30])
def test_a_session_s_file_is_in_the_state_directory(name: str, tmp_path: Path):
    """An id can come from a database that somebody else wrote."""
    with pytest.raises(ConfigError, match="is not a session id"):
        exchange_file(load({}), name)


@pytest.mark.parametrize(
    ("command", "name"),
    [(["--resume-session"], "../../etc/passwd"), (["sessions", "show"], "\x1b[31m\u202e"), (["halt"], "' OR '1'='1")],
)
def test_the_program_says_so_in_one_line(tmp_path: Path, command: list[str], name: str):
    ended = World(tmp_path, base_env(tmp_path)).run(*command, name)
    assert ended.code == 2, ended
    assert ended.err.startswith("error: ")
    assert "is not a session id" in ended.err
    assert "\x1b" not in ended.err
    assert "\u202e" not in ended.err
    assert "Traceback" not in ended.err
    assert {p.name for p in tmp_path.rglob("*.sqlite3")} <= {"gambler.sqlite3"}


def test_an_argument_that_is_no_text_is_refused(tmp_path: Path):
    """Bytes that are not UTF-8 reach Python as lone surrogates, which no database takes."""
    world = World(tmp_path, base_env(tmp_path))
    for command in (["--resume-session"], ["--symbols"], ["--strategy"], ["halt", "--reason"]):
        ended = world.run(*command, "a\udcff")
        assert ended.code in (2, 5), (command, ended)
        assert "Traceback" not in ended.err
        assert "internal error" not in ended.err


def built(tree: ast.AST) -> list[str]:
    """Calls that send SQL which was put together from pieces."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".text", ".execute", ".exec_driver_sql")):
            for given in node.args[:1]:
                if (
                    isinstance(given, ast.BinOp)
                    or (isinstance(given, ast.Call) and "format" in ast.unparse(given.func))
                    or isinstance(given, ast.JoinedStr)
                ):
                    found.append(ast.unparse(node))  # noqa: PERF401
    return found


#: What is put together from names that are ours: constants of the module, and a path that is quoted.
KNOWN = {
    "gambler_ai/storage/database.py": ("PRAGMA ",), "gambler_ai/storage/upgrade.py": ("LOCK ", "CREATE TABLE ", "SELECT count"),
    "gambler_ai/storage/inspect.py": ("PRAGMA ", "SHOW "), "gambler_ai/storage/fencing.py": ("CREATE TRIGGER ",),
    "gambler_ai/exchange/journal.py": ("PRAGMA ", "DELETE FROM "),
}  # fmt: skip


@pytest.mark.parametrize(
    "path", sorted((ROOT / "gambler_ai").rglob("*.py")), ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_sql_is_constant_and_values_are_bound(path: Path):
    place = path.relative_to(ROOT).as_posix()
    found = built(ast.parse(path.read_text("utf-8")))
    assert [text for text in found if not any(known in text for known in KNOWN.get(place, ()))] == []


def test_the_lint_can_fail():
    assert built(ast.parse("db.execute(f'SELECT {x}')"))
    assert built(ast.parse("sa.text('SELECT ' + x)"))
    assert not built(ast.parse("db.execute('SELECT ?', (x,))"))
