# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""Files that are no strategies: one line that names the file, whatever their code does on the way."""

import os
from pathlib import Path

import pytest

from gambler_ai.cli.render import printable
from gambler_ai.errors import ConfigError
from gambler_ai.strategies import loader
from tests.test_tidy import ROOT

FILES = sorted((ROOT / "tests/hostile/files/strategy").iterdir())


def refusal(spec: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loader.load(spec, {})
    line = printable(caught.value.message)
    assert "\n" not in line
    assert len(line) <= 500
    return line


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_nasty_file_is_refused_in_one_line(path: Path, tmp_path: Path):
    """Kept as texts: neither a linter nor an importer is to trip over them."""
    copy = tmp_path / f"{path.stem}.py"
    copy.write_bytes(path.read_bytes())
    assert copy.name in refusal(str(copy))


def test_what_is_no_file_is_no_strategy(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    (tmp_path / "large.py").write_bytes(b"#" * 5_000_000)
    for name in ("pipe", "folder", "zero", "loop", "large", "gone", "x" * 300):
        assert refusal(str(tmp_path / f"{name}.py")), name


@pytest.mark.parametrize("spec", ["", ":", "::", "a:b:c", "os:system", "builtins:eval", "subprocess:Popen", "../x", "a\x00.py",
                                  "\x1b[31m", "\u202emomentum", "x" * 5000, "json:loads", ".py", "/", "gambler_ai.cli.main:main",
                                  "momentum\n", "%s", "no.such.module:Name", "os.path:join", "\ud800"])  # fmt: skip
def test_a_nasty_name_is_refused_in_one_line(spec: str):
    refusal(spec)
