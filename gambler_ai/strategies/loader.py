"""Finding a strategy by its name: a built-in, an installed one, ``package.module:Class`` or ``file.py:Class``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import stat
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from msgspec import Struct

from gambler_ai.core.components import checked_name
from gambler_ai.core.proposals import failure
from gambler_ai.core.state import OPTIONS, SHARES
from gambler_ai.errors import ConfigError
from gambler_ai.strategies.base import Part, Strategy
from gambler_ai.strategies.parameters import Parameter, make, parameters, plain

#: The group in which an installed package names its strategies.
GROUP = "gambler_ai.strategies"
BUILT_INS = {
    "momentum": "gambler_ai.strategies.momentum:Momentum",
    "mean_reversion": "gambler_ai.strategies.mean_reversion:MeanReversion",
    "breakout": "gambler_ai.strategies.breakout:Breakout",
    "chooser": "gambler_ai.learners.chooser:Chooser",
    "straddle": "gambler_ai.strategies.options.straddle:Straddle",
    "strangle": "gambler_ai.strategies.options.straddle:Strangle",
    "vertical": "gambler_ai.strategies.options.vertical:Vertical",
    "iron_condor": "gambler_ai.strategies.options.iron_condor:IronCondor",
    "covered_call": "gambler_ai.strategies.options.covered_call:CoveredCall",
    "options_mix": "gambler_ai.strategies.options.mix:OptionsMix",
}
#: More bars than this of each symbol are a mistake, not a history.
HISTORY_MAX = 10_000
#: What a strategy may trade.
UNIVERSES = (SHARES, OPTIONS)
SOURCE_MAX_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")


class Found(Struct, frozen=True):
    """A strategy's class. ``spec`` finds it again from anywhere; ``sha256`` is of a file's bytes, else ""."""

    spec: str
    cls: type[Strategy]
    origin: str
    sha256: str = ""


class Loaded(Struct, frozen=True):
    """A strategy ready to run, with all its parameters as plain JSON values."""

    spec: str
    strategy: Strategy
    parameters: dict[str, Any]
    sha256: str


class Description(Struct, frozen=True):
    """What a person has to know of a strategy; ``error`` is why it cannot be used."""

    name: str
    origin: str
    summary: str = ""
    parameters: list[Parameter] = []
    error: str = ""
    universe: str = "shares"


def load(spec: str, values: Mapping[str, Any]) -> Loaded:
    """The strategy ``spec`` with these parameters.

    Raises:
        ConfigError: it cannot be found or loaded, or a parameter is not allowed.
    """
    return prepare(find(spec), values)


def prepare(found: Found, values: Mapping[str, Any]) -> Loaded:
    """A strategy of that class with these parameters.

    Raises:
        ConfigError: a parameter is not allowed, or the class itself fails.
    """
    try:  # their code: it may raise anything, and a `sys.exit` in it must not end us in silence
        strategy = make(found.cls, values)
        stored = plain(strategy)
        history: Any = strategy.history  # an annotation is a promise of somebody else's code
        daily: Any = strategy.daily_history
        parts = strategy.made_of()
        _check_names(strategy, [part.name for part in parts], [component.name for component in strategy.components()])
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"strategy {found.spec} cannot be made: {failure(error)}") from None
    if not isinstance(history, int) or isinstance(history, bool) or not 1 <= history <= HISTORY_MAX:
        raise ConfigError(f"strategy {found.spec}: history must be 1 to {HISTORY_MAX:,} bars (got {history!r:.40})")
    if not isinstance(daily, int) or isinstance(daily, bool) or not 0 <= daily <= HISTORY_MAX:
        raise ConfigError(f"strategy {found.spec}: daily_history must be 0 to {HISTORY_MAX:,} bars (got {daily!r:.40})")
    return Loaded(found.spec, strategy, stored, _sha256(found, parts))


def _sha256(found: Found, parts: Sequence[Part]) -> str:
    """Of its file, and of the files of what it is made of: another one when any of them is changed."""
    theirs = [f"{part.name} {part.sha256}" for part in parts if part.sha256]
    if not theirs:
        return found.sha256
    return hashlib.sha256("\n".join([found.sha256, *theirs]).encode()).hexdigest()


def _check_names(strategy: Strategy, parts: Collection[str], names: list[str]) -> None:
    """A memory belongs to one strategy of an account, whichever sessions trade it, or ask it for another."""
    owners = (strategy.name, *parts)
    for name in names:
        if checked_name(name) not in owners and not name.startswith(tuple(f"{owner}." for owner in owners)):
            raise ConfigError(
                f"strategy {strategy.name}: a component of it is called {name}",
                hint=f"call it {strategy.name}, or {strategy.name}.SOMETHING",
            )
        if names.count(name) > 1:
            raise ConfigError(f"strategy {strategy.name}: two of its components are called {name}")


def settings_of(given: Mapping[str, Any], names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Parameters by strategy, of NAME.PARAMETER; a name may have dots of its own.

    Raises:
        ValueError: a setting is nobody's.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in given.items():
        name, _, parameter = key.rpartition(".")
        if name not in found:
            raise ValueError(f"settings: {key!r:.60} is not NAME.PARAMETER of {', '.join(names)}")
        found[name][parameter] = value
    return found


def find(spec: str) -> Found:
    """The class that ``spec`` names.

    Raises:
        ConfigError: there is none, or its code cannot be loaded.
    """
    if not spec.isprintable():
        raise ConfigError(f"{spec!r:.80} is not the name of a strategy")
    place, name = split(spec)
    if place.endswith(".py"):
        return _from_file(place, name)
    if name:
        return Found(spec, _attribute(_module(place, spec), name, spec), f"module {place}")
    if spec in BUILT_INS:
        module, _, name = BUILT_INS[spec].partition(":")
        return Found(spec, _attribute(importlib.import_module(module), name, spec), "built in")
    return _installed(spec)


def split(spec: str) -> tuple[str, str]:
    """A file (its path made absolute), module or name, and the class in it ("" if none is named)."""
    place, colon, name = spec.rpartition(":")
    if not colon or spec.endswith(".py"):
        place, name = spec, ""
    return (os.path.realpath(os.path.expanduser(place)) if place.endswith(".py") else place), name


def is_same(asked: str, stored: str) -> bool:
    """Whether ``asked`` names what is stored as ``stored``; a file's class may be left out."""
    (place, name), (known_place, known_name) = split(asked), split(stored)
    return place == known_place and name in ("", known_name)


def describe(found: Found) -> Description:
    """A class as it is listed.

    Raises:
        ConfigError: a parameter's type cannot be used.
    """
    summary = (found.cls.__doc__ or "").strip().partition("\n")[0].replace("``", "")
    name = found.spec if found.spec in BUILT_INS or ":" not in found.spec else found.cls.name
    return Description(name, found.origin, summary, parameters(found.cls), universe=found.cls.universe)


def listed() -> list[Description]:
    """Built-ins, then what installed packages bring; what cannot be loaded says why."""
    found = []
    for name in [*BUILT_INS, *sorted({point.name for point in _entry_points()} - BUILT_INS.keys())]:
        try:
            found.append(describe(find(name)))
        except ConfigError as error:
            found.append(Description(name, "installed", error=error.message))
    return found


def _entry_points() -> importlib.metadata.EntryPoints:
    return importlib.metadata.entry_points(group=GROUP)


def _installed(spec: str) -> Found:
    points = {point.value: point for point in _entry_points() if point.name == spec}
    if not points:
        there = sorted({*BUILT_INS, *(point.name for point in _entry_points())})
        raise ConfigError(
            f"no strategy {spec!r:.200}",
            hint=f"there are: {', '.join(there)}; your own is path/file.py:Class or package.module:Class",
        )
    if len(points) > 1:
        raise ConfigError(f"strategy {spec!r} is brought by several packages: {', '.join(sorted(points))}")
    [point] = points.values()
    package = f"package {point.dist.name}" if point.dist is not None else "installed"
    return Found(spec, _attribute(_module(point.module, spec), point.attr, spec), package)


def _module(name: str, spec: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"strategy {spec}: there is no module {name!r}",
                hint="it must be installed or on PYTHONPATH; a file is named by its path, dir/file.py:Class",
            ) from None
        raise _broken(spec, error) from None
    except (Exception, SystemExit) as error:
        raise _broken(spec, error) from None


def _broken(spec: str, error: BaseException) -> ConfigError:
    """Its code raised. A syntax error knows its own place."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return ConfigError(f"strategy {spec}: {type(error).__name__}: {error.msg} (line {error.lineno})")
    return ConfigError(f"strategy {spec} cannot be loaded: {failure(error)}")


def _from_file(path: str, name: str) -> Found:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            source = file.read(SOURCE_MAX_BYTES + 1) if is_file else b""
    except OSError as error:
        raise ConfigError(f"strategy file {path} cannot be read: {error.strerror}") from None
    if not is_file:  # a pipe that nobody writes to would be waited for
        raise ConfigError(f"strategy file {path} is not a file")
    if len(source) > SOURCE_MAX_BYTES:
        raise ConfigError(f"strategy file {path} is larger than a strategy can be")
    sha256 = hashlib.sha256(source).hexdigest()
    module = _executed(path, source, sha256)
    cls = _attribute(module, name, path) if name else _only_class(module, path)
    return Found(f"{path}:{name or cls.__name__}", cls, f"file {path}", sha256)


class _Source(SourceFileLoader):
    """Compiles the bytes that were hashed: no bytecode is read from or written beside a user's file."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._source, self.path)


def _executed(path: str, source: bytes, sha256: str) -> ModuleType:
    name = f"_gambler_ai_strategy_{hashlib.sha256(path.encode()).hexdigest()[:8]}_{sha256[:8]}"
    spec = importlib.util.spec_from_loader(name, _Source(name, path, source), origin=path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where msgspec looks up what a field's annotation means
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _broken(path, error) from None
    return module


def _only_class(module: ModuleType, path: str) -> type[Strategy]:
    own = [
        value for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    ]  # fmt: skip
    if len(own) == 1:
        return _usable(own[0], path)
    if not own:
        raise ConfigError(f"strategy file {path} has no subclass of gambler_ai.strategies.Strategy")
    names = ", ".join(cls.__name__ for cls in own)
    raise ConfigError(
        f"strategy file {path} has several strategies: {names}", hint=f"name one: {path}:{own[0].__name__}"
    )


def _attribute(module: ModuleType, name: str, spec: str) -> type[Strategy]:
    value = getattr(module, name, None)
    if value is None:
        raise ConfigError(f"strategy {spec}: there is no {name!r} in {module.__spec__ and module.__spec__.origin}")
    if not (isinstance(value, type) and issubclass(value, Strategy)):
        raise ConfigError(
            f"strategy {spec}: {name} is not a subclass of gambler_ai.strategies.Strategy",
            hint="class Mine(Strategy): its parameters as fields, and propose(self, view)",
        )
    return _usable(value, spec)


def _usable(cls: type[Strategy], spec: str) -> type[Strategy]:
    if cls.propose is Strategy.propose:
        raise ConfigError(f"strategy {spec}: {cls.__name__} has no propose(self, view)")
    if not cls.__struct_config__.frozen:
        raise ConfigError(f"strategy {spec}: {cls.__name__} must stay frozen: only its parameters outlive a restart")
    if cls.universe not in UNIVERSES:
        raise ConfigError(f"strategy {spec}: universe must be {' or '.join(UNIVERSES)} (got {cls.universe!r:.40})")
    name: Any = cls.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"strategy {spec}: name must be 1 to 40 letters, digits, dots, _ or - (got {name!r:.60})")
    return cls
