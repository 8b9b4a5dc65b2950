"""Deploying: units that systemd takes, the exit codes they know, and commands and options that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from gambler_ai.cli.main import app
from gambler_ai.errors import GamblerError

ROOT = Path(__file__).resolve().parent.parent
DEPLOYMENT = (ROOT / "docs/DEPLOYMENT.md").read_text("utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))


def unit(name: str) -> str:
    """A unit of systemd's, by its mark."""
    match = re.search(rf"<!-- unit: {name} -->\n```ini\n(.*?)```", DEPLOYMENT, re.DOTALL)
    assert match, name
    return match[1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
@pytest.mark.parametrize("name", ["user", "system"])
def test_systemd_takes_the_units(tmp_path, name):
    program = tmp_path / "gambler-ai"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = re.sub(r"ExecStart=\S+", f"ExecStart={program}", unit(name))
    text = re.sub(r"(User|Group)=gambler", r"\1=root", text)
    (tmp_path / "gambler-ai.service").write_text(text)
    (tmp_path / "gambler-ai.timer").write_text(unit("timer"))
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"]
    ended = subprocess.run(
        [*command, str(tmp_path / "gambler-ai.service"), str(tmp_path / "gambler-ai.timer")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    complaints = [line for line in ended.stderr.splitlines() if "gambler-ai" in line]
    assert (ended.returncode, complaints) == (0, [])


@pytest.mark.parametrize("name", ["user", "system"])
def test_what_a_person_must_mend_is_not_started_again(name):
    match = re.search(r"RestartPreventExitStatus=(.*)", unit(name))
    assert match
    codes = {int(code) for code in match[1].split()}
    kinds = {kind.__name__: kind.exit_code for kind in _all(GamblerError)}
    wanted = ("ConfigError", "SessionLeased", "StorageError", "RecoveryHalted")
    assert codes == {kinds[kind] for kind in wanted}
    assert not codes & {0, 1, kinds["BrokerError"], kinds["TryAgainLater"]}


def _all(kind: type[GamblerError]) -> list[type[GamblerError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _all(child))]


def test_every_exit_code_is_in_the_table():
    rows = re.findall(r"^\| ([0-9][^|]*) \|", DEPLOYMENT, re.MULTILINE)
    named = {int(number) for row in rows for number in re.findall(r"\d+", row)}
    assert named >= {kind.exit_code for kind in _all(GamblerError)} | {0, 130}


def options(command: object) -> set[str]:
    """Every option of a command and of those below it."""
    found = {name for p in getattr(command, "params", ()) for name in (*p.opts, *p.secondary_opts)}
    for child in getattr(command, "commands", {}).values():
        found |= options(child)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_options_and_commands_that_are_named_exist(page):
    text = page.read_text("utf-8")
    root = get_command(app)
    known = options(root) | {"--help"}
    for line in re.findall(r"gambler-ai ([^`\n]*)", text):
        named = set(re.findall(r"(?<![\w-])--[a-z-]+", line))
        assert named <= known | {"--user", "--now"}, line
    commands = getattr(root, "commands", {})
    for word, then in re.findall(r"`(?:[\w./$%]*/)?gambler-ai ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", text):
        assert word in commands, word
        below = getattr(commands[word], "commands", None)
        assert not (then and below) or then in below, (word, then)
