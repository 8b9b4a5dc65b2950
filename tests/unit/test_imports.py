"""What a start does not import: half of what a start costs is imports, and each of these is most of that half."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HELP = """
import sys
from gambler_ai.cli.main import main
sys.argv = ["gambler-ai", *{args!r}]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""
RESTORE = "import gambler_ai.storage.lease, gambler_ai.storage.sessions, gambler_ai.trading.recovery"
TELL = "\nimport sys\nprint('loaded', *sys.modules)"


def loaded_by(code: str, **env: str) -> set[str]:
    """The modules that a fresh interpreter holds after ``code``; ``env`` is all of its environment, if there is one."""
    done = subprocess.run(
        [sys.executable, "-c", code + TELL], capture_output=True, text=True, check=True, env=env or None
    )  # fmt: skip
    return set(f"\n{done.stdout}".rpartition("\nloaded ")[2].split())


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["sessions", "--help"], ["--version"]], ids=" ".join)
def test_help_imports_nothing_heavy(args):
    loaded = loaded_by(HELP.format(args=args))
    assert "gambler_ai.cli.run" in loaded
    assert loaded.isdisjoint({"sqlalchemy", "alembic", "alpaca", "pandas", "numpy", "starlette", "pydantic_settings"})


def test_a_restore_imports_neither_arrays_nor_a_dialect_that_it_does_not_use():
    loaded = loaded_by(RESTORE)
    assert "sqlalchemy" in loaded
    assert loaded.isdisjoint({"numpy", "pandas", "alpaca", "alembic", "sqlalchemy.dialects.postgresql"})


def test_a_whole_session_without_learners_imports_none_and_no_library_of_theirs(tmp_path):
    args = ["--symbols", "AAPL", "--speed", "0", "--duration", "12"]
    loaded = loaded_by(HELP.format(args=args), GAMBLER_HOME=str(tmp_path), PATH=os.environ["PATH"], HOME=str(tmp_path))
    assert {"gambler_ai.core.learning", "gambler_ai.strategies.momentum", "gambler_ai.trading.runner"} <= loaded
    assert {name for name in loaded if name.startswith("gambler_ai.learners")} == set()
    assert loaded.isdisjoint({"sklearn", "scipy", "torch", "safetensors"})
