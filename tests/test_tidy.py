"""The rules of this codebase that a machine can read off its source: a rule that is not a test is not a rule.

Layers are import-linter's and style is ruff's (pyproject.toml); here is what neither of them can say.
"""

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCANNED = ("bench", "gambler_ai", "migrations", "scripts", "tests")
SOURCES = sorted(path for folder in SCANNED for path in (ROOT / folder).rglob("*.py"))

FUNCTION_LINES_MAX = 60  # one screen
FILE_LINES_MAX = 500  # one sitting
CLASS_PUBLIC_METHODS_MAX = 15  # more is two classes

CLOCK, CONFIG = "gambler_ai/clock.py", "gambler_ai/config.py"
TIME_SAYS = "time is handed in, as an instant or a Clock"
CODE_SAYS = "stored bytes must never be able to run code"
MOCK_SAYS = "swap the far end (a fake Broker, the exchange), never patch the near one"

# Name -> the one file that may mention it, and what to do elsewhere. A name covers all that is below it.
BANNED = {
    **dict.fromkeys(("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns"), (CLOCK, TIME_SAYS)),
    **dict.fromkeys(("time.sleep", "datetime.date.today", "datetime.datetime.today"), (CLOCK, TIME_SAYS)),
    **dict.fromkeys(("datetime.datetime.now", "datetime.datetime.utcnow"), (CLOCK, TIME_SAYS)),
    **dict.fromkeys(("os.environ", "os.environb", "os.getenv"), (CONFIG, "settings are handed in")),
    **dict.fromkeys(("uuid.uuid1", "uuid.uuid4"), ("", "ids are functions of the decision")),
    **dict.fromkeys(("pickle", "joblib", "marshal", "shelve", "yaml.load", "eval", "exec"), ("", CODE_SAYS)),
    "random": ("", "seeds are data: numpy.random.default_rng(seed)"),
    "print": ("", "cli/ renders with rich; other rooms return values or log"),
}
TOOLS_MAY = ("print", "os.environ")
BANNED_IN_TOOLS = {name: rule for name, rule in BANNED.items() if name not in TOOLS_MAY}
BANNED_IN_TESTS = {
    "time.sleep": ("", "wait for the thing itself with a deadline, or use ManualClock"),
    "unittest.mock": ("", MOCK_SAYS),
}
BUILTINS = {"eval", "exec", "print"}

# The top of the CLI, the plug-in boundaries (a strategy's code is loaded, then asked, and remembers; a learner's
# library scores), the worker thread that hands what it caught to the main one, and the streams, of which nothing may
# depend: whatever happens to one is told, and polling goes on.
MAY_CATCH_ALL = {
    "gambler_ai/cli/main.py", "gambler_ai/core/engine.py", "gambler_ai/core/proposals.py",
    "gambler_ai/strategies/loader.py", "gambler_ai/trading/executor.py", "gambler_ai/simulation/inline.py",
    "gambler_ai/broker/streams.py", "gambler_ai/storage/backups/places.py", "gambler_ai/core/components.py",
    "gambler_ai/learners/adviser.py",
}  # fmt: skip
UNFINISHED = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error"]))


def check(path: str, source: str) -> list[str]:
    """Each breach of a rule in one file; ``path``, from the repository's root, decides which rules hold."""
    tree = ast.parse(source)
    names = imported(tree)
    if path.startswith("tests/"):
        return [*banned(path, tree, names, BANNED_IN_TESTS), *patched(tree, names)]
    rules = BANNED_IN_TOOLS if path.startswith(("bench/", "scripts/")) else BANNED
    found = [*banned(path, tree, names, rules), *catches_all(path, tree)]
    found += [f"unfinished: {match[0]}" for match in UNFINISHED.finditer(source)]
    if not path.startswith("migrations/"):  # a migration is one long list, and is never edited again
        found += too_big(tree, source)
    return found


def imported(tree: ast.AST) -> dict[str, str]:
    """Local name -> what it stands for: {"np": "numpy", "dt": "datetime.datetime"}."""
    names = {name: name for name in BUILTINS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names |= {alias.asname: alias.name} if alias.asname else {top: top}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def full_name(node: ast.AST, names: dict[str, str]) -> str:
    """``dt.now`` -> "datetime.datetime.now"; empty for what does not begin with an imported name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute) and (owner := full_name(node.value, names)):
        return f"{owner}.{node.attr}"
    return ""


Rules = dict[str, tuple[str, str]]


def banned(path: str, tree: ast.AST, names: dict[str, str], rules: Rules) -> Iterator[str]:
    """A name is banned wherever it is mentioned: a clock that is passed on is a clock that is read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            mentioned = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            mentioned = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Name | ast.Attribute):
            mentioned = [full_name(node, names)]
        else:
            continue
        for name in mentioned:
            for rule, (room, says) in rules.items():
                if path != room and f"{name}.".startswith(f"{rule}."):
                    yield f"{node.lineno}: {rule}: {says}"


def catches_all(path: str, tree: ast.AST) -> Iterator[str]:
    """Catching everything hides the fault it was not written for; a handler that ends in ``raise`` may."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and path not in MAY_CATCH_ALL:
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            caught = {"Exception" if kind is None else ast.unparse(kind) for kind in kinds}
            if caught & {"Exception", "BaseException"} and ast.unparse(node.body[-1]) != "raise":
                yield f"{node.lineno}: except Exception: name what is expected"


def patched(tree: ast.AST, names: dict[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "monkeypatch.setattr":
            target = node.args[0]
            name = target.value if isinstance(target, ast.Constant) else full_name(target, names)
            if str(name).startswith("gambler_ai"):
                yield f"{node.lineno}: monkeypatch.setattr: {MOCK_SAYS}"


def too_big(tree: ast.AST, source: str) -> Iterator[str]:
    if (lines := len(source.splitlines())) > FILE_LINES_MAX:
        yield f"file of {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX:
                yield f"{node.lineno}: function {node.name} of {lines} lines"
        elif isinstance(node, ast.ClassDef):
            methods = [n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            if (count := sum(not name.startswith("_") for name in methods)) > CLASS_PUBLIC_METHODS_MAX:
                yield f"{node.lineno}: class {node.name} of {count} public methods"


def runtime_imports(tree: ast.AST) -> Iterator[str]:
    """What importing a module imports: not what its functions do, nor what only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from (name for branch in node.orelse for name in runtime_imports(ast.Module([branch], [])))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
            yield from runtime_imports(node)


def cycle(sources: dict[str, str]) -> list[str]:
    """One loop of modules that import each other, or nothing. Takes module name -> source."""
    graph = {}
    for module, source in sources.items():
        named = runtime_imports(ast.parse(source))  # `from a import b`: a module a.b, or something inside a
        targets = {name if name in sources else name.rpartition(".")[0] for name in named}
        graph[module] = (targets & sources.keys()) - {module}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_source_is_tidy(file):
    assert check(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")) == []


def test_no_modules_import_each_other():
    sources = {}
    for file in (ROOT / "gambler_ai").rglob("*.py"):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        sources[module] = file.read_text(encoding="utf-8")
    assert cycle(sources) == []


def test_locks_hold_what_the_project_asks_for_and_name_no_host():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, extras = settings["project"], settings["project"]["optional-dependencies"]
    runtime, dev = [(ROOT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock")]
    pins = re.compile(r"^[a-z0-9._-]+==\S+", re.MULTILINE)
    assert set(pins.findall(runtime)) <= set(pins.findall(dev)), "the dev lock must do for the runtime too"
    with_it = [need for name in ("postgres", "options", "backup", "ml") for need in extras[name]]
    asked = [*project["dependencies"], *with_it, *settings["dependency-groups"]["editable"]]
    for lock, wanted in ((runtime, asked), (dev, asked + extras["dev"])):
        assert "://" not in lock
        assert "file:" not in lock
        held = {pin.partition("==")[0] for pin in pins.findall(lock)}
        assert {re.split(r"[^\w.-]", need)[0].lower() for need in wanted} <= held


# Each rule must be able to fail: what it has to report, and beside it what it has to let pass.
CORE = "gambler_ai/core/x.py"
FUNCTION_61 = "def f():\n" + "    x = 1\n" * 60
CLASS_16 = "class C:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(16))


@pytest.mark.parametrize(
    ("path", "source", "reported"),
    [
        (CORE, "import time\ntime.time()", "time.time"),
        (CORE, "import time as t\nt.monotonic()", "time.monotonic"),
        (CORE, "from time import sleep", "time.sleep"),
        (CORE, "from datetime import datetime as dt\ndt.now()", "datetime.now"),
        (CORE, "import datetime\nread = datetime.datetime.utcnow", "utcnow"),
        (CORE, "from datetime import date\ndate.today()", "date.today"),
        (CORE, "import uuid\nuuid.uuid4()", "uuid4"),
        (CORE, "from random import choice", "random"),
        (CORE, "import os\nos.environ['HOME']", "os.environ"),
        ("gambler_ai/clock.py", "from os import getenv", "os.getenv"),
        (CORE, "print(1)", "print"),
        (CORE, "import pickle", "pickle"),
        (CORE, "import yaml\nyaml.load(f)", "yaml.load"),
        (CORE, "eval('1')", "eval"),
        (CORE, "try: f()\nexcept Exception: pass", "except Exception"),
        (CORE, "try: f()\nexcept (OSError, BaseException): pass", "except Exception"),
        (CORE, "try: f()\nexcept: pass", "except Exception"),
        (CORE, "try: f()\nexcept Exception as e:\n    raise KeyError from e", "except Exception"),
        (CORE, "# TO" + "DO", "unfinished"),
        (CORE, "raise NotImplemented" + "Error", "unfinished"),
        (CORE, FUNCTION_61, "function f of 61 lines"),
        ("bench/x.py", "import time\ntime.sleep(1)", "time.sleep"),
        ("scripts/x.py", "\n" * 501, "file of 501 lines"),
        (CORE, CLASS_16, "class C of 16 public methods"),
        ("tests/test_x.py", "import time\ntime.sleep(1)", "time.sleep"),
        ("tests/test_x.py", "from unittest import mock", "unittest.mock"),
        ("tests/test_x.py", "def t(monkeypatch): monkeypatch.setattr('gambler_ai.app.f', 1)", "monkeypatch"),
        ("tests/test_x.py", "from gambler_ai import app\nmonkeypatch.setattr(app, 'f', 1)", "monkeypatch"),
    ],
)
def test_rule_reports(path, source, reported):
    found = check(path, source)
    assert found
    assert all(reported in breach for breach in found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("gambler_ai/clock.py", "import time\ntime.monotonic()"),
        ("gambler_ai/config.py", "import os\nos.environ"),
        ("gambler_ai/cli/main.py", "try: f()\nexcept Exception: pass"),
        ("scripts/x.py", "print(1)"),
        ("bench/x.py", "import os\nprint(os.environ)"),
        (CORE, "try: f()\nexcept BaseException:\n    g()\n    raise"),
        ("tests/test_x.py", "import subprocess\nmonkeypatch.setattr(subprocess, 'run', f)"),
        (CORE, "console.print(1)\ndef f(time, random): return time.time, random.choice"),
        (CORE, FUNCTION_61.replace("    x = 1\n", "", 1)),
        (CORE, CLASS_16.replace("m0", "_m0")),
    ],
)
def test_rule_lets_pass(path, source):
    assert check(path, source) == []


def test_cycle_is_reported():
    assert cycle({"p.a": "from p import b", "p.b": "import p.c", "p.c": "from p.a import f"})
    assert not cycle({"p.a": "from p import b", "p.b": "def f():\n    import p.a"})
    assert not cycle({"p.a": "import p.b", "p.b": "if TYPE_CHECKING:\n    import p.a"})
