# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""Stored bytes never run: no pickle, no eval, and a planted one stays a file (protocol 4.3)."""

import ast
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from gambler_ai.core import snapshot
from gambler_ai.errors import CheckpointCorrupt
from tests.recovery.harness import World, base_env
from tests.test_tidy import ROOT, check

PACKAGE = sorted((ROOT / "gambler_ai").rglob("*.py")) + sorted((ROOT / "migrations").rglob("*.py"))
#: Names that turn bytes or text into code; `np.load` and the like only with pickles on.
CODE = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "jsonpickle"}
#: Where code is loaded on purpose: a strategy that the user names, and our own modules.
MAY_LOAD = {"gambler_ai/strategies/loader.py"}


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def running(tree: ast.AST) -> list[str]:
    """What in a source could run stored bytes."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            found += [name for name in names if name.partition(".")[0] in MODULES]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if (
                name in CODE
                or name.endswith(("read_pickle", "to_pickle"))
                or options.get("allow_pickle") == "True"
                or (name.endswith((".load", ".loads")) and "torch" in name and options.get("weights_only") != "True")
                or options.get("shell") == "True"
                or name in ("os.system", "os.popen")
            ):
                found.append(name)
    return found


@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_nothing_runs_stored_bytes(path: Path):
    assert running(ast.parse(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "import yaml", "eval('1')", "exec(text)", "np.load(f, allow_pickle=True)",
     "pd.read_pickle(f)", "torch.load(f)", "subprocess.run(c, shell=True)", "os.system(c)", "__import__(name)"],
)  # fmt: skip
def test_the_lint_can_fail(source: str):
    assert running(ast.parse(source))


def test_the_lint_of_the_tree_bans_them_too():
    assert check("gambler_ai/storage/x.py", "import pickle")


def test_numpy_refuses_a_pickle(tmp_path: Path):
    """What `np.load` does without being asked; the pandas and numpy we pin have it so."""
    file = tmp_path / "a.npy"
    np.save(file, np.array([Bomb(tmp_path / "ran")], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.load(file)
    assert not (tmp_path / "ran").exists()


def test_a_planted_pickle_is_no_checkpoint(tmp_path: Path):
    for version in (0, 1, snapshot.STATE_VERSION):
        with pytest.raises(CheckpointCorrupt):
            snapshot.load(pickle.dumps(Bomb(tmp_path / "ran")), version)
    assert not (tmp_path / "ran").exists()


def test_pickles_planted_in_every_place_that_is_read_do_not_run(tmp_path: Path):
    """Beside the database, as configuration and secrets, and in every column of bytes of a session that resumes."""
    world = World(tmp_path, base_env(tmp_path))
    world.trade(duration=12, crash_at="checkpoint.inside:8").was_killed()
    mark = tmp_path / "ran"
    bomb = pickle.dumps(Bomb(mark))
    for name in ("state.pkl", "checkpoint.pickle", "model.joblib", "weights.pt", "HALT"):
        (world.home / name).write_bytes(bomb)
    assert world.write(
        "UPDATE checkpoints SET payload = ?, length = ?, sha256 = ?", bomb, len(bomb), snapshot.digest(bomb)
    )
    ended = world.resume().ok()
    assert "does not decode" in ended.out + ended.err, ended
    (tmp_path / "gambler.toml").write_bytes(bomb)
    assert world.run("config", "show").code == 2
    (tmp_path / "gambler.toml").unlink()
    (tmp_path / "mine.py").write_bytes(bomb)
    assert world.run("strategies", "check", "mine.py").code == 2
    assert not mark.exists()
    pickle.load(io.BytesIO(bomb))
    assert mark.exists(), "the bomb would have worked"
