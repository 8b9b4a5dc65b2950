"""The wheel, built without a network: its own migrations are in it, and are the ones it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gambler_ai.storage.database import Database

ROOT = Path(__file__).resolve().parent.parent
WHERE = """
import gambler_ai
from gambler_ai.storage import migrate
print(gambler_ai.__file__, migrate.script_location(), sep="\\n")
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a wheel without compiled parts is unpacked is where it is installed."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    return folder


def run(installed: Path, folder: Path, code: str, *args: str, patience_s: float = 60) -> str:
    """Run Python in ``folder`` with the wheel in front of the checkout."""
    env = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=patience_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_the_migrations_and_nothing_of_ours_beside_the_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    ours = {f"gambler_ai/migrations/{p.relative_to(ROOT / 'migrations')}" for p in (ROOT / "migrations").rglob("*.py")}
    assert ours
    assert ours <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"gambler_ai"}
    assert not [name for name in names if "__pycache__" in name]


def test_it_migrates_with_its_own(installed: Path, tmp_path: Path, url: str) -> None:
    package, scripts = run(installed, tmp_path, WHERE).splitlines()
    assert Path(package).parent == installed / "gambler_ai"
    assert Path(scripts) == installed / "gambler_ai" / "migrations"
    code = "from gambler_ai.cli.main import main; main()"
    assert "was empty" in run(installed, tmp_path, code, "db", "upgrade", "--database-url", url)
    database = Database(url)
    database.check()
    said = run(installed, tmp_path, code, "db", "downgrade", "--to", "base", "--yes", "--database-url", url)
    assert "schema base, was " in said
    assert database.revision() is None
    database.close()


@pytest.mark.nightly
def test_it_proves_itself(installed: Path, tmp_path: Path) -> None:
    """An exchange, a session that is killed, and one that resumes: all of them from the wheel."""
    code = "from gambler_ai.cli.main import main; main()"
    args = ("verify-crash", "--only", "lease.after", "--scenario", "market", "--seed", "1", "--json")
    found = json.loads(run(installed, tmp_path, code, *args, patience_s=110))
    assert (found["green"], found["counts"]["kills"], found["counts"]["pass"]) == (True, 1, 1)
