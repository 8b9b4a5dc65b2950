"""What remembers: state beside the session's, evolved from the same facts, stored as bytes that can run no code.

A component is as of a journal row. What it holds is a function of where it began and of the facts since, so a restart
takes what was stored and applies the facts after it: nothing is lost, whenever it was last stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from gambler_ai.core.events import Fact
from gambler_ai.core.proposals import failure
from gambler_ai.core.snapshot import holds_no_number
from gambler_ai.core.text import one_line
from gambler_ai.errors import CheckpointCorrupt, ConfigError, GamblerError, SchemaMismatch

#: What stored bytes may be.
MSGPACK = "msgpack"
#: Containers in containers, in what a script has stored.
DEPTH_MAX = 100
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
_LIBRARIES = {"msgspec": msgspec.__version__}

#: Plain values of an older schema to plain values of the next.
Step = Callable[[Any], Any]


class Component(Protocol):
    """Anything with a memory. `StructComponent` is the usual case; a model that learns brings a format of its own."""

    @property
    def name(self) -> str:
        """A word of its own: letters, digits, dots, dashes and underscores, at most 32."""
        ...

    @property
    def schema(self) -> int:
        """The version of what `dump` writes, raised when its shape changes; 1 or more."""
        ...

    @property
    def format(self) -> str:
        """How `dump` writes: "msgpack", "json", "safetensors"; never one that can run code."""
        ...

    @property
    def libraries(self) -> Mapping[str, str]:
        """Name -> version of what wrote it."""
        ...

    @property
    def revision(self) -> int:
        """Another number whenever `dump` would give other bytes; while it stands still nothing is dumped."""
        ...

    def dump(self) -> bytes:
        """What it remembers; the same memory gives the same bytes."""
        ...

    def load(self, payload: bytes, schema: int) -> None:
        """Take what a `dump` of this or an older schema wrote.

        Raises:
            CheckpointCorrupt: that is no memory of this component; nothing was taken.
            ConfigError, SchemaMismatch: it cannot be read by this program; nothing may be thrown away.
        """
        ...

    def apply(self, fact: Fact) -> None:
        """Evolve by a fact that is journaled. The only thing that changes it: no clock, no I/O, no chance."""
        ...


S = TypeVar("S", bound=Struct)


class StructComponent(Generic[S]):
    """A memory that is one msgspec Struct; ``state`` is what it holds now.

    ``evolve`` is given the state and a fact and returns the state after it: the very same object if nothing changed.
    """

    format = MSGPACK
    libraries: Mapping[str, str] = _LIBRARIES

    def __init__(
        self, name: str, initial: S, evolve: Callable[[S, Fact], S], *, schema: int = 1,
        upgrades: Mapping[int, Step] | None = None,
    ) -> None:  # fmt: skip
        """``upgrades``: older schema -> how its plain values (dicts, lists, texts, numbers) become those of the next.

        Raises:
            ConfigError: the name is not one, the state is not frozen, or a step is missing between two schemas.
        """
        self.name = checked_name(name)
        self.schema = schema
        self.revision = 0
        self.state = initial
        self._evolve = evolve
        self._upgrades = dict(upgrades or {})
        self._kind = type(initial)
        if not self._kind.__struct_config__.frozen:
            raise ConfigError(f"component {name}: its state must be frozen, so that each change of it is seen")
        if schema < 1 or sorted(self._upgrades) != list(range(schema - len(self._upgrades), schema)):
            raise ConfigError(
                f"component {name}: schema {schema} needs a step from each schema below that it still reads"
            )

    def apply(self, fact: Fact) -> None:
        """Evolve by one fact."""
        after = self._evolve(self.state, fact)
        if after is not self.state:
            self.state = after
            self.revision += 1

    def dump(self) -> bytes:
        """The state with its name.

        Raises:
            ValueError: it holds something that is no finite number where one belongs.
        """
        if holds_no_number(self.state):
            raise ValueError(f"component {self.name} holds something that is no finite number")
        return _encoder.encode((self.name, self.state))

    def load(self, payload: bytes, schema: int) -> None:
        """Take what was dumped, brought up to our schema.

        Raises:
            CheckpointCorrupt: it does not decode, or is another component's.
            SchemaMismatch: a newer program wrote it, or one too old.
            ConfigError: a step up from an older schema fails.
        """
        check_schema(self.name, schema, self.schema, self.schema - len(self._upgrades))
        values = unwrapped(self.name, payload)
        for older in range(schema, self.schema):
            values = self._stepped(values, older)
        try:
            state = msgspec.convert(values, self._kind)
        except (msgspec.ValidationError, RecursionError) as error:
            raise CheckpointCorrupt(f"it does not decode: {one_line(str(error), 200)}") from error
        if holds_no_number(state):
            raise CheckpointCorrupt("it holds something that is no number where one belongs")
        self.state = state
        self.revision += 1

    def _stepped(self, values: Any, older: int) -> Any:
        try:
            return self._upgrades[older](values)
        except (Exception, SystemExit) as error:  # what was stored is whole: it is the step that has to be mended
            raise ConfigError(
                f"component {self.name}: the step up from schema {older} fails: {failure(error)}",
                hint="nothing was changed: mend the step, then go on",
            ) from None


class Plain:
    """A memory of plain values that somebody sets by hand; no fact changes it.

    One that was loaded keeps the schema it was stored with, whose values it holds.
    """

    format = MSGPACK
    libraries: Mapping[str, str] = _LIBRARIES

    def __init__(self, name: str, value: Any = None) -> None:
        """``value``: None, bools, texts, whole numbers, finite floats and Decimals, lists and dicts of them.

        Raises:
            ConfigError: the name is not one.
        """
        self.name = checked_name(name)
        self.schema = 1
        self.revision = 0
        self.value = value

    def set(self, value: Any) -> None:
        """Hold another value."""
        self.value = value
        self.revision += 1

    def apply(self, fact: Fact) -> None:
        """Nothing that happens changes it."""

    def dump(self) -> bytes:
        """The value with its name.

        Raises:
            ConfigError: it is not plain; the message says where.
        """
        try:
            return _encoder.encode((self.name, _tagged(self.value, self.name, DEPTH_MAX)))
        except UnicodeEncodeError as error:
            raise ConfigError(f"{self.name}: a text in it is not Unicode: {error.reason}") from None

    def load(self, payload: bytes, schema: int) -> None:
        """Take what was dumped; Decimals are Decimals again.

        Raises:
            CheckpointCorrupt: it does not decode, or is another component's.
        """
        self.value, self.schema = unwrapped(self.name, payload), schema
        self.revision += 1


def evolve(component: Component, fact: Fact) -> str:
    """Give a component a fact. What its code raised, in one line; "" if nothing."""
    try:
        component.apply(fact)
    except (Exception, SystemExit) as error:
        return f"it failed on {type(fact).__name__}: {failure(error)}"
    return ""


def dumped(component: Component) -> bytes:
    """What a component remembers.

    Raises:
        ValueError: its code raised, or gave no bytes.
    """
    try:
        payload: Any = component.dump()  # an annotation is a promise of somebody else's code
    except (Exception, SystemExit) as error:
        raise ValueError(f"it could not be stored: {failure(error)}") from None
    if not isinstance(payload, bytes):
        raise ValueError(f"it could not be stored: dump returned {type(payload).__name__}, not bytes")
    return payload


def load(component: Component, payload: bytes, schema: int) -> None:
    """Have a component take bytes that verify.

    Raises:
        CheckpointCorrupt: that is no memory of it.
        ConfigError, SchemaMismatch: it cannot read them; they are whole, and not to be thrown away for that.
    """
    try:
        component.load(payload, schema)
    except GamblerError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"component {component.name} cannot be loaded: {failure(error)}",
            hint="nothing was changed: mend the component, then go on",
        ) from None


def checked_name(name: Any) -> str:
    """``name``, if a component may be called so.

    Raises:
        ConfigError: it may not.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r:.60} is no name for a component",
            hint="at most 32 letters, digits, dots, dashes and underscores, beginning with a letter",
        )
    return name


def check_schema(name: str, found: int, newest: int, oldest: int) -> None:
    """Refuse a memory that this program does not know how to read.

    Raises:
        SchemaMismatch: it has a schema above ``newest`` or below ``oldest``.
    """
    if found > newest:
        raise SchemaMismatch(
            f"component {name}: what is stored has schema {found}, this program reads up to {newest}",
            hint="nothing was changed: use the newer version that wrote it, of gambler-ai or of the strategy",
        )
    if found < oldest:
        raise SchemaMismatch(
            f"component {name}: what is stored has schema {found}, this program reads from {oldest} on",
            hint="nothing was changed: go on with a version between the two first",
        )


def unwrapped(name: str, payload: bytes) -> Any:
    """The plain values in what a component dumped.

    Raises:
        CheckpointCorrupt: it does not decode, or is another component's.
    """
    try:
        found = _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise CheckpointCorrupt(f"it does not decode: {one_line(str(error), 200)}") from error
    if not isinstance(found, list) or len(found) != 2:
        raise CheckpointCorrupt("it does not decode: it is not a name and a value")
    if found[0] != name:
        raise CheckpointCorrupt(f"it is of another component ({found[0]!r:.60})")
    if holds_no_number(found[1]):
        raise CheckpointCorrupt("it holds something that is no number where one belongs")
    return found[1]


#: A Decimal in plain values: msgpack knows none, and a text must stay one.
_DECIMAL = 1


def _tagged(value: Any, place: str, depth: int) -> Any:
    """``value`` with its Decimals marked; ``place`` names it in a message."""
    if depth == 0:
        raise ConfigError(f"{place:.200}: more than {DEPTH_MAX} containers in each other")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Decimal) and value.is_finite():
        return msgspec.msgpack.Ext(_DECIMAL, str(value).encode())
    if isinstance(value, list | tuple):
        return [_tagged(item, f"{place}[{index}]", depth - 1) for index, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _tagged(item, f"{place}.{key}", depth - 1) for key, item in value.items()}
    raise ConfigError(
        f"{place:.200}: a component holds plain values, and {value!r:.60} ({type(value).__name__}) is none",
        hint="None, bools, texts, finite numbers, Decimals, lists, and dicts whose keys are texts",
    )


def _untagged(code: int, data: memoryview) -> Decimal:
    if code != _DECIMAL:
        raise ValueError(f"extension {code} is none of ours")
    try:
        return Decimal(bytes(data).decode("ascii"))
    except InvalidOperation:
        raise ValueError("a Decimal is none") from None


_encoder = msgspec.msgpack.Encoder(order="deterministic", decimal_format="string")
_decoder = msgspec.msgpack.Decoder(ext_hook=_untagged)
