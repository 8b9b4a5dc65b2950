"""The documents say what is so: commands run, links lead somewhere, each condition has its row and its test.

A block marked ```sh is run; ```sh no-run is not (it needs keys, a network or a person). Blocks of one document run in
order, in one scratch directory with a home of its own. ```sh exit=2 expects that exit code, speed=60 a slower market
than the usual one of these tests. A block below a line "`name.py`:" is written to that file. Output is in blocks
without a language.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from gambler_ai import errors
from gambler_ai.cli import exchange_table, manual
from gambler_ai.config import Settings, load
from gambler_ai.core.degraded import Condition
from gambler_ai.core.orders import Status
from gambler_ai.core.protection import Protection
from gambler_ai.core.reconcile import Kind
from gambler_ai.core.risk import Code
from gambler_ai.crashpoints import POINTS
from gambler_ai.errors import EXIT_CODES
from gambler_ai.exchange.faults.kinds import KINDS
from gambler_ai.exchange.rest.catalogue import ENTRIES
from gambler_ai.storage.database import Database

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md")})
GUIDE = ROOT / "docs/RECOVERY_GUIDE.md"
RESTART = ROOT / "docs/RESTART.md"
TROUBLES = ROOT / "docs/TROUBLESHOOTING.md"
#: Market seconds a second in the blocks, and the wall seconds a block may take.
SPEED = 1800
PATIENCE_S = 90
#: Settings that make a session of an hour cheap and change none of its trades.
CHEAP = {"GAMBLER_INTERVAL": "300", "GAMBLER_CHECKPOINT_INTERVAL": "300", "GAMBLER_STREAMS": "off"}

_FENCE = re.compile(r"^(?:`([\w.]+)`:\n\n)?```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of a document; ``file`` names what it is to be written to, "" for none."""

    file: str
    language: str
    words: frozenset[str]
    text: str
    line: int


@cache
def blocks(path: Path) -> tuple[Block, ...]:
    text = path.read_text("utf-8")
    return tuple(
        Block(m[1] or "", m[2], frozenset(m[3].split()), m[4], text.count("\n", 0, m.start(2)) + 1)
        for m in _FENCE.finditer(text)
    )


def prose(path: Path) -> str:
    """A document without its blocks."""
    return _FENCE.sub("", path.read_text("utf-8"))


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def to_run(path: Path, language: str) -> list[Block]:
    return [b for b in blocks(path) if b.language == language and "no-run" not in b.words and not b.file]


def with_blocks(language: str) -> list[object]:
    return named([path for path in DOCUMENTS if to_run(path, language)])


# -- commands -------------------------------------------------------------------------------------


def test_each_command_and_option_has_help_and_is_documented():
    text = (ROOT / manual.COMMANDS).read_text("utf-8")
    found = list(manual.commands())
    assert len(found) > 10
    for name, command, context in found:
        assert command.help, f"{name} has no help"
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert section, f"{name} has no section"
        for parameter in manual.options(command, context):
            assert parameter.help, f"{name} {parameter.name} has no help"
            flags = [flag for flag in parameter.opts if flag.startswith("-")]
            assert all(f"`{flag}`" in section for flag in flags), f"{name}: {flags}"


def test_what_is_written_by_scripts_docs_is_current():
    for path, text in manual.documents(ROOT).items():
        assert path.read_text("utf-8") == text, f"{path.name} is out of date: run scripts/docs"


# -- links ----------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    return {manual.anchor(re.sub(r"[`*]", "", heading)) for heading in _HEADING.findall(prose(path))}


@pytest.mark.parametrize("path", named(DOCUMENTS))
def test_each_link_leads_somewhere(path: Path):
    for link in [a or b for a, b in _LINK.findall(prose(path))]:
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


# -- blocks ---------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a clone looks like to a reader, on the interpreter of this test."""
    folder = tmp_path / "clone"
    (folder / "scripts").mkdir(parents=True)
    for name in ("tests", "gambler_ai", "migrations", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    script = "scripts/alpaca_paper_trading_recovery.py"
    (folder / script).write_text((ROOT / script).read_text("utf-8"), "utf-8")
    shims = tmp_path / "bin"
    shims.mkdir()
    program = f'"{sys.executable}" -c "from gambler_ai.cli.main import main; main()" "$@"'
    write(folder / "scripts/run", f"#!/bin/sh\nexport GAMBLER_PROGRAM=scripts/run\nexec {program}\n")
    write(folder / "scripts/test", f'#!/bin/sh\nexec "{sys.executable}" -m pytest -p no:cacheprovider "$@"\n')
    write(shims / "gambler-ai", f"#!/bin/sh\nexec {program}\n")
    for name in ("python", "python3"):
        write(shims / name, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    write(shims / "sleep", f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "tests/until_it_trades.py"}"\n')
    return folder


def said(block: Block, name: str, default: int) -> int:
    """A number that the fence of a block gives: ```sh exit=2."""
    return next((int(word.partition("=")[2]) for word in block.words if word.startswith(f"{name}=")), default)


def write_files(path: Path, folder: Path) -> None:
    """What a document shows as files, where its reader would have put it."""
    for block in blocks(path):
        if block.file:
            (folder / block.file).write_text(block.text, "utf-8")


def write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o755)


def environment(folder: Path) -> dict[str, str]:
    home = folder.parent / "home"
    (home / ".local/state/gambler_ai").mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name in ("LANG", "TMPDIR")}
    return kept | {
        "HOME": str(home), "PATH": f"{folder.parent / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        "GAMBLER_SPEED": str(SPEED), "COLUMNS": "120", **CHEAP,
    }  # fmt: skip


#: Pasted at night: what they say is walked through at each commit by README's own blocks or by a test of its own
#: (`test_bot_state_lifecycle`; of `recovery`: `test_moving`, `test_backup`, `test_report`, `test_risk`,
#: `test_faults_file`, `test_learners`; of `unit`: `cli/test_structures`).
BY_NIGHT = {
    "QUICKSTART.md",
    "RESTART.md",
    "MOVING.md",
    "BACKUP.md",
    "ANALYTICS.md",
    "RISK.md",
    "FAULTS.md",
    "LEARNERS.md",
    "OPTIONS.md",
    "STRATEGIES.md",
    "TROUBLESHOOTING.md",
}


def pasted() -> list[object]:
    found = [path for path in DOCUMENTS if to_run(path, "sh")]
    marks = [pytest.mark.nightly if path.name in BY_NIGHT else () for path in found]
    return [
        pytest.param(path, id=str(path.relative_to(ROOT)), marks=mark) for path, mark in zip(found, marks, strict=True)
    ]


@pytest.mark.parametrize("path", pasted())
def test_what_can_be_pasted_runs(path: Path, checkout: Path):
    write_files(path, checkout)
    for block in to_run(path, "sh"):
        wanted, speed = said(block, "exit", 0), said(block, "speed", SPEED)
        ended = subprocess.run(
            ["bash", "-ec", f"{block.text}\nwait || true"], cwd=checkout,
            env=environment(checkout) | {"GAMBLER_SPEED": str(speed)}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert ended.returncode == wanted, f"{path.name}:{block.line}\n{ended.stdout}\n{ended.stderr}"
        assert "Traceback" not in ended.stderr, f"{path.name}:{block.line}\n{ended.stderr}"


@pytest.mark.parametrize("path", with_blocks("python"))
def test_each_python_block_runs(path: Path, checkout: Path):
    """In order and in one namespace, as a reader would paste them."""
    code = "\n".join(block.text for block in to_run(path, "python"))
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=checkout, env=environment(checkout), capture_output=True,
        text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, f"{path.name}\n{ended.stdout}\n{ended.stderr}"


@pytest.mark.parametrize("path", with_blocks("sql"))
def test_each_query_is_one_the_schema_knows(path: Path, migrated_url: str):
    database = Database(migrated_url)
    database.prepare()
    for block in to_run(path, "sql"):
        for statement in filter(str.strip, block.text.split(";")):
            with database.read() as db:
                db.execute(sa.text(statement)).all()
    database.close()


def test_each_configuration_loads(tmp_path: Path):
    """Of TOML and JSON all parses; what names settings is a configuration and loads."""
    for block in (b for path in DOCUMENTS for b in blocks(path) if b.language in ("toml", "json")):
        values = tomllib.loads(block.text) if block.language == "toml" else json.loads(block.text)
        if isinstance(values, dict) and set(values) & set(Settings.model_fields):
            file = tmp_path / f"gambler.{block.language}"
            file.write_text(block.text, "utf-8")
            load({}, file)


# -- the recovery guide ---------------------------------------------------------------------------


def rows(path: Path, heading: str) -> Iterator[list[str]]:
    """The cells of the tables below a heading, without the head of each."""
    section = path.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    heads = {n - 1 for n, line in enumerate(lines) if line.startswith("|-")}
    for n, line in enumerate(lines):
        if n not in heads and not line.startswith("|-"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def first_cells(path: Path, heading: str) -> set[str]:
    """What stands in ticks in the first cells."""
    return {word for cells in rows(path, heading) for word in re.findall(r"`([^`]+)`", cells[0])}


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("How it ended", {str(code) for code in EXIT_CODES}),
        ("Where it died", set(POINTS)),
        ("Differences", {kind.value for kind in Kind}),
        ("Positions", {state.value for state in Protection}),
        ("Orders", {status.value for status in Status}),
        ("Why nothing is entered", {code.value for code in Code}),
        ("Degraded", {condition.value for condition in Condition}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_condition_has_its_row(heading: str, names: set[str]):
    assert first_cells(GUIDE, heading) == names


def test_each_kind_of_fault_has_its_row():
    assert first_cells(ROOT / "docs/FAULTS.md", "Kinds") >= set(KINDS)
    for name, kind in KINDS.items():
        assert f"\n| `{name}` | {kind.text} |" in (ROOT / "docs/FAULTS.md").read_text("utf-8")


def test_each_route_of_the_exchange_has_its_row():
    rows_of = first_cells(ROOT / "docs/EXCHANGE.md", "Endpoints")
    assert rows_of == {f"{method} {path}" for method, path in exchange_table.served()}
    assert len(rows_of) >= 40
    assert set(ENTRIES) == set(exchange_table.served()), "the catalogue has a route that is not there"


@pytest.mark.parametrize(("path", "at_least"), [(GUIDE, 80), (RESTART, 20)], ids=["guide", "restart"])
def test_each_row_names_a_test_that_is_there(path: Path, at_least: int):
    found = 0
    for heading in _HEADING.findall(prose(path))[1:]:
        for cells in rows(path, heading):
            file, _, name = cells[-1].partition("::")
            assert name in functions(ROOT / "tests" / file), f"{heading}: {cells[0]}: {cells[-1]}"
            found += 1
    assert found > at_least


@cache
def functions(path: Path) -> frozenset[str]:
    assert path.exists(), path
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


# -- messages -------------------------------------------------------------------------------------


@cache
def texts() -> str:
    """Every string of the program, where a value goes in a blank."""
    found = []
    for path in [*sorted((ROOT / "gambler_ai").rglob("*.py")), *sorted((ROOT / "scripts").iterdir())]:
        text = path.read_text("utf-8")
        if path.suffix != ".py":
            found.append(text)
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(v.value) if isinstance(v, ast.Constant) else "\0" for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                found.append(node.value if isinstance(node.value, str) else node.value.decode("utf-8", "replace"))
    return "\n".join(found)


def test_each_message_that_is_explained_is_one_the_program_prints():
    """Values are … in the document; what is between them stands in the code, in one string."""
    found = 0
    for cells in rows(TROUBLES, "Messages"):
        for message in re.findall(r"`([^`]+)`", cells[0]):
            parts = [part.strip() for part in message.split("…") if len(part.strip()) > 3]
            assert parts, message
            missing = [part for part in parts if part not in texts()]
            assert not missing, f"{message}: {missing}"
            found += 1
    assert found > 80


#: Where errors are for people who write code or plan faults, not for those who read lines on a terminal.
NOT_LINES = (
    "faults/plan.py", "faults/schedule.py", "faults/deeds.py", "faults/files.py", "exchange/deeds.py",
    "exchange/exchange.py", "exchange/instants.py", "state_manager.py", "orders.py",
)  # fmt: skip


def messages() -> Iterator[tuple[str, str]]:
    """Where each error is raised, and its line with a blank for each value."""
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type)} - {
        "GamblerError",
        "LimitBreached",
    }
    for path in sorted((ROOT / "gambler_ai").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds and node.args:
                text = template(node.args[0])
                if len(text.replace("\0", "").strip()) > 8 and not str(path).endswith(NOT_LINES):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def template(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "\0" for v in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_each_error_is_explained():
    """A row's message fits when its pieces stand in the line in that order."""
    ticks = [m for cells in rows(TROUBLES, "Messages") for m in re.findall(r"`([^`]+)`", cells[0])]
    pieces = [[re.escape(p.strip()) for p in tick.split("…") if p.strip(" :;,.()")] for tick in ticks]
    patterns = [re.compile(".*".join(found), re.DOTALL) for found in pieces if sum(map(len, found)) > 6]
    found = list(messages())
    assert len(found) > 80
    missing = [f"{where} {text!r}" for where, text in found if not any(p.search(text) for p in patterns)]
    assert not missing, "\n".join(missing)
