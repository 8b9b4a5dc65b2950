"""What is installed is pinned by hash, and nothing fetches anything at run time (protocol 4.10)."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.test_tidy import ROOT

LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)")


def pins(lock: str) -> dict[str, list[str]]:
    """Package and version -> its hashes."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in lock.splitlines():
        if match := PIN.match(line):
            name = f"{match[1]}=={match[2]}"
            found[name] = []
        elif "--hash=" in line:
            found[name] += re.findall(r"--hash=sha256:([0-9a-f]{64})", line)
    return found


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_package_is_pinned_with_its_hashes(path: Path):
    found = pins(path.read_text())
    assert len(found) > 30
    assert [name for name, hashes in found.items() if not hashes] == []
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", " "))]
    assert all(PIN.match(line) for line in lines), "no file, no address, no editable package"


def test_the_scan_can_fail():
    assert pins("a==1 \\\n    --hash=sha256:" + "0" * 64 + "\nb==2\n")["b==2"] == []


def test_alpaca_py_is_one_whose_ways_are_known():
    version = next(name.partition("==")[2] for name in pins(LOCKS[0].read_text()) if name.startswith("alpaca-py=="))
    assert tuple(map(int, version.split(".")[:2])) >= (0, 44)
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert any(need.startswith("alpaca-py>=0.44,<0.45") for need in asked), "a newer one is looked at first"


#: Asks exchanges of its own, on loopback, past every proxy.
PROVER = ROOT / "gambler_ai/proving/exchange.py"


def test_nothing_is_installed_or_fetched_at_run_time():
    for path in (ROOT / "gambler_ai").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        names |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not {
            n for n in names if n.partition(".")[0] in ("pip", "ensurepip", "setuptools", "ftplib", "telnetlib")
        }
        if path != PROVER:
            assert "urllib.request" not in names, f"{path}: HTTP goes through the fence"
