"""What a start does not import: half of what a start costs is imports, and each of these is most of that half."""

from __future__ import annotations

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


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter holds after ``code``."""
    done = subprocess.run([sys.executable, "-c", code + TELL], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded ")[2].split())


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["sessions", "--help"], ["--version"]], ids=" ".join)
def test_help_imports_nothing_heavy(args):
    loaded = loaded_by(HELP.format(args=args))
    assert "gambler_ai.cli.run" in loaded
    assert loaded.isdisjoint({"sqlalchemy", "alembic", "alpaca", "pandas", "numpy", "starlette", "pydantic_settings"})


def test_a_restore_imports_neither_arrays_nor_a_dialect_that_it_does_not_use():
    loaded = loaded_by(RESTORE)
    assert "sqlalchemy" in loaded
    assert loaded.isdisjoint({"numpy", "pandas", "alpaca", "alembic", "sqlalchemy.dialects.postgresql"})
