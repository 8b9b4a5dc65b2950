"""Finding a strategy by its name; whatever is wrong with it is one line that a user can act on."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gambler_ai.errors import ConfigError
from gambler_ai.strategies import Strategy
from gambler_ai.strategies.loader import BUILT_INS, describe, find, is_same, listed, load
from gambler_ai.strategies.momentum import Momentum
from gambler_ai.strategies.testing import proposals_of, view_of

MINE = """
from __future__ import annotations
from typing import Annotated
from msgspec import Meta
from gambler_ai.strategies import MarketView, Proposal, Side, Strategy

class Mine(Strategy):
    '''Buys ``what`` it is told to.

    And no more.
    '''
    what: tuple[str, ...] = ("AAPL",)
    bars: Annotated[int, Meta(ge=1)] = 3

    @property
    def history(self) -> int:
        return self.bars

    def propose(self, view: MarketView) -> list[Proposal]:
        frame = view.frame
        wanted = [(i, s) for i, s in enumerate(frame.symbols) if s in self.what]
        return [Proposal(s, Side.BUY, frame.newest_at(i), "told to") for i, s in wanted]
"""


EMPTY = "from gambler_ai.strategies import Strategy\nclass A(Strategy): pass"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, name: str = "mine.py") -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return name


def refused(spec: str, **values: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(spec, values)
    error = caught.value
    assert error.exit_code == 2
    assert "\n" not in error.message + error.hint
    assert "Traceback" not in error.message
    return error


def test_built_ins_have_their_names():
    for name in BUILT_INS:
        found = find(name)
        assert (found.spec, found.cls.name, found.sha256) == (name, name, "")
    assert load("momentum", {"lookback": "8"}).strategy == Momentum(lookback=8)
    assert load("momentum", {}).parameters == {
        "change_pct": 2.0, "lookback": 5, "volume_ratio": 2.0, "volume_bars": 20
    }  # fmt: skip


def test_what_it_trades_is_listed():
    universes = {found.name: found.universe for found in listed()}
    assert universes["momentum"] == universes["chooser"] == "shares"
    assert universes["iron_condor"] == universes["options_mix"] == "options"


def test_a_name_that_is_none_comes_with_those_there_are():
    error = refused("momentun")
    assert "no strategy 'momentun'" in error.message
    assert "mean_reversion, momentum" in error.hint
    assert "file.py:Class" in error.hint


@pytest.mark.parametrize("spec", ["mine.py", "mine.py:Mine", "./mine.py", "../{here}/mine.py:Mine"])
def test_a_file_is_found_again_from_anywhere(folder, spec, monkeypatch):
    write(MINE)
    loaded = load(spec.format(here=folder.name), {"what": "MSFT"})
    assert loaded.spec == f"{folder}/mine.py:Mine"
    assert loaded.sha256 == hashlib.sha256((folder / "mine.py").read_bytes()).hexdigest()
    assert loaded.parameters == {"what": ["MSFT"], "bars": 3}
    monkeypatch.chdir("/")
    again = load(loaded.spec, loaded.parameters)
    assert (again.parameters, again.sha256) == (loaded.parameters, loaded.sha256)
    [proposal] = proposals_of(again.strategy, view_of({"AAPL": [1.0], "MSFT": [2.0]}))
    assert proposal.symbol == "MSFT"


def test_a_changed_file_is_the_changed_code_at_once():
    """A file's time and size may be the same: no bytecode may be trusted, and none is left behind."""
    write(MINE)
    before = load("mine.py", {})
    write(MINE.replace("bars: Annotated[int, Meta(ge=1)] = 3", "bars: Annotated[int, Meta(ge=1)] = 4"))
    after = load("mine.py", {})
    assert (before.strategy.history, after.strategy.history) == (3, 4)
    assert before.sha256 != after.sha256
    assert sorted(path.name for path in Path().iterdir()) == ["mine.py"]


def test_two_strategies_in_a_file_want_a_name():
    write(MINE + "\nclass Other(Mine):\n    pass\n")
    error = refused("mine.py")
    assert "several strategies: Mine, Other" in error.message
    assert "mine.py:Mine" in error.hint
    assert load("mine.py:Other", {}).strategy.name == "other"


def test_a_class_is_found_again_by_the_name_it_was_asked_by(folder):
    write(MINE + "\nAlias = Mine\ndel Mine\n")
    assert find("mine.py:Alias").spec == f"{folder}/mine.py:Alias"
    assert find(find("mine.py:Alias").spec).cls.name == "mine"


def test_an_imported_strategy_is_not_the_files_own():
    write("from gambler_ai.strategies.momentum import Momentum\n" + dedent(MINE).replace("from __future__", "#"))
    assert find("mine.py").cls.name == "mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "mine.py has no subclass of gambler_ai.strategies.Strategy"),
        ("def f(:\n  pass", "SyntaxError: invalid syntax (line 1)"),
        ("\n\nraise RuntimeError('no luck')", "cannot be loaded: RuntimeError: no luck (line 3)"),
        ("import nowhere_at_all", "cannot be loaded: ModuleNotFoundError: No module named 'nowhere_at_all' (line 1)"),
        ("\nimport sys\nsys.exit(0)", "cannot be loaded: SystemExit: 0 (line 3)"),
        ("def f():\n    1 / 0\nf()", "ZeroDivisionError: division by zero (line 2)"),
        ("raise ValueError('a\\nb\\ud800')", "ValueError: a b  (line 1)"),
        ("\x00", "null bytes"),
    ],
    ids=["nothing", "syntax", "raises", "imports", "exits", "deep", "odd text", "null"],
)
def test_a_file_that_cannot_be_loaded_names_file_line_and_error(folder, text, says):
    before = set(sys.modules)
    error = refused(write(text))
    assert says in error.message
    assert f"{folder}/mine.py" in error.message
    left = [name for name in set(sys.modules) - before if name.startswith("_gambler_ai_strategy_")]
    assert (left == []) is ("cannot be loaded" in error.message or "SyntaxError" in error.message)


def test_a_file_that_is_not_there(folder):
    assert (
        refused("gone.py:Mine").message == f"strategy file {folder}/gone.py cannot be read: No such file or directory"
    )
    (folder / "dir.py").mkdir()
    assert "Is a directory" in refused("dir.py").message
    write("#" * (1 << 20) + "\n", "big.py")
    assert "larger than a strategy can be" in refused("big.py").message
    (folder / "latin.py").write_bytes(b"x = '\xe9'\n")
    assert "SyntaxError" in refused("latin.py").message


@pytest.mark.parametrize(
    ("text", "spec", "says"),
    [
        (MINE, "mine.py:Nobody", "there is no 'Nobody' in"),
        (MINE, "mine.py:Side", "Side is not a subclass of gambler_ai.strategies.Strategy"),
        (MINE, "mine.py:Meta", "Meta is not a subclass"),
        ("class Duck:\n  history = 1\n  def propose(self, view): return []", "mine.py:Duck", "not a subclass"),
        (EMPTY, "mine.py", "A has no propose(self, view)"),
        (MINE + "\nclass B(Mine):\n    name = 'a|b'\n", "mine.py:B", "name must be 1 to 40 letters"),
        (MINE + "\nclass B(Mine):\n    name = 7\n", "mine.py:B", "name must be 1 to 40 letters"),
        (MINE + "\nclass B(Mine):\n    name: str = 'x'\n", "mine.py:B", "name must be 1 to 40 letters"),
        (MINE + "\nclass B(Mine):\n    history = 0\n", "mine.py:B", "history must be 1 to 10,000 bars (got 0)"),
        (MINE + "\nclass B(Mine):\n    history = 5.0\n", "mine.py:B", "history must be"),
        (MINE + "\nclass B(Mine):\n    history = True\n", "mine.py:B", "history must be"),
        (MINE + "\nclass B(Mine):\n    history = 10**9\n", "mine.py:B", "history must be"),
        (MINE + "\nclass B(Mine):\n    daily_history = -1\n", "mine.py:B", "daily_history must be 0 to 10,000"),
        (MINE + "\nclass B(Mine):\n    daily_history = 20_000\n", "mine.py:B", "daily_history must be"),
        (MINE + "\nclass B(Mine):\n    universe = 'bonds'\n", "mine.py:B", "universe must be shares or options"),
        (MINE + "\nclass B(Mine):\n    history = property(lambda s: 1 // 0)\n", "mine.py:B", "ZeroDivisionError"),
        (MINE + "\nclass B(Mine):\n    def __post_init__(self): raise KeyError(1)\n", "mine.py:B", "KeyError: 1 (line"),
        (MINE + "\nclass B(Mine):\n    def __post_init__(self): raise ValueError('a<b')\n", "mine.py:B", "b: a<b"),
        (MINE + "\nclass B(Mine):\n    x: Nobody = 1\n", "mine.py:B", "'Nobody' is not defined"),
        (MINE + "\nclass B(Mine, frozen=False):\n    x: int = 1\n", "mine.py:B", "must stay frozen"),
        (MINE + "\nclass B(Mine):\n    x: list[int] = [1]\n", "mine.py:B", "cannot be loaded: TypeError"),
        ("", "mine.py:", "has no subclass"),
        ("", "\x00.py", "is not the name of a strategy"),
        ("", ":B", "cannot be loaded"),
    ],
)  # fmt: skip
def test_a_class_that_cannot_be_used_says_why(text, spec, says):
    write(text)
    assert says in refused(spec).message


def test_a_history_may_be_a_parameter():
    write(MINE + "\nclass B(Mine):\n    history: int = 20\n")
    loaded = load("mine.py:B", {"history": "30"})
    assert (loaded.strategy.history, loaded.parameters["history"]) == (30, 30)


def test_a_module_is_named_by_its_path(folder, monkeypatch):
    write("", "pack_a/__init__.py")
    write(MINE, "pack_a/mine.py")
    write("import nowhere_at_all", "pack_a/broken.py")
    assert "there is no module 'pack_a.mine'" in refused("pack_a.mine:Mine").message
    assert "PYTHONPATH" in refused("pack_a.mine:Mine").hint
    monkeypatch.syspath_prepend(str(folder))
    loaded = load("pack_a.mine:Mine", {})
    assert (loaded.spec, loaded.sha256) == ("pack_a.mine:Mine", "")
    assert "there is no 'Nobody'" in refused("pack_a.mine:Nobody").message
    assert "No module named 'nowhere_at_all'" in refused("pack_a.broken:X").message
    assert describe(find("pack_a.mine:Mine")).origin == "module pack_a.mine"


def install(folder: Path, package: str, points: str) -> None:
    """What an installer leaves behind, as far as entry points go."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[gambler_ai.strategies]\n{points}\n")


def test_an_installed_package_brings_strategies(folder, monkeypatch):
    write(MINE, "pack_b.py")
    install(folder, "pack-b", "bold = pack_b:Mine\nlost = pack_b:Nobody\nmomentum = pack_b:Mine")
    monkeypatch.syspath_prepend(str(folder))
    loaded = load("bold", {"bars": 5})
    assert (loaded.spec, loaded.strategy.history) == ("bold", 5)
    assert load("momentum", {}).strategy == Momentum()  # nobody takes a built-in's name
    rows = {row.name: row for row in listed()}
    assert list(rows) == [*BUILT_INS, "bold", "lost"]
    assert (rows["bold"].origin, rows["bold"].summary) == ("package pack-b", "Buys what it is told to.")
    assert [p.name for p in rows["bold"].parameters] == ["what", "bars"]
    assert "there is no 'Nobody'" in rows["lost"].error  # and the others are listed all the same
    assert "bold, breakout, chooser, covered_call" in refused("nobody").hint


def test_a_name_that_two_packages_bring_is_refused(folder, monkeypatch):
    write(MINE, "pack_c.py")
    install(folder, "pack-c", "twice = pack_c:Mine")
    install(folder, "pack-d", "twice = pack_d:Mine")
    monkeypatch.syspath_prepend(str(folder))
    assert "several packages: pack_c:Mine, pack_d:Mine" in refused("twice").message


@pytest.mark.parametrize(
    ("asked", "stored", "same"),
    [
        ("momentum", "momentum", True),
        ("momentum", "mean_reversion", False),
        ("{here}/x.py", "{here}/x.py:A", True),
        ("x.py:A", "{here}/x.py:A", True),
        ("x.py:B", "{here}/x.py:A", False),
        ("y.py", "{here}/x.py:A", False),
        ("x.py", "momentum", False),
        ("a.b:C", "a.b:C", True),
        ("a.b:D", "a.b:C", False),
    ],
)
def test_what_is_asked_for_is_compared_with_what_is_stored(folder, asked, stored, same):
    assert is_same(asked.format(here=folder), stored.format(here=folder)) is same


def test_a_name_is_the_classs_own():
    write(MINE + "\nclass Named(Mine):\n    name = 'my-own'\n\nclass Heir(Named):\n    pass\n")
    assert [find(f"mine.py:{c}").cls.name for c in ("Mine", "Named", "Heir")] == ["mine", "my-own", "heir"]
    assert Strategy().propose(view_of({})) == ()
    assert Strategy().history == 1


REMEMBERS = """
from msgspec import Struct
from gambler_ai.strategies import Strategy, StructComponent
class Seen(Struct, frozen=True):
    n: int = 0
class Own(Strategy):
    def propose(self, view):
        return []
    def components(self):
        return [StructComponent(name, Seen(), lambda seen, fact: seen) for name in {names}]
"""


@pytest.mark.parametrize("names", [[], ["own"], ["own", "own.daily", "own.x.y"]])
def test_what_a_strategy_remembers_bears_its_name(folder, names):
    (folder / "own.py").write_text(REMEMBERS.replace("{names}", repr(names)))
    assert [component.name for component in load("own.py", {}).strategy.components()] == names


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["risk"], "a component of it is called risk"),
        (["owner"], "a component of it is called owner"),
        (["own", "own"], "two of its components are called own"),
        (["own/x"], "is no name for a component"),
        (["Own"], "a component of it is called Own"),
    ],
)
def test_another_name_is_refused(folder, names, says):
    (folder / "own.py").write_text(REMEMBERS.replace("{names}", repr(names)))
    with pytest.raises(ConfigError, match=says):
        load("own.py", {})


def test_components_that_cannot_be_made_are_a_line(folder):
    (folder / "own.py").write_text(REMEMBERS.replace("{names}", "1 / 0"))
    with pytest.raises(ConfigError, match="cannot be made: ZeroDivisionError"):
        load("own.py", {})
