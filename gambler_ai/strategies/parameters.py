"""Parameters of a strategy, and rules of risk: from text, TOML or JSON to typed fields, and back to what is stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec import inspect as kinds

from gambler_ai.errors import ConfigError
from gambler_ai.strategies.base import Strategy

S = TypeVar("S", bound=Struct)
_LISTS = (kinds.VarTupleType, kinds.ListType, kinds.SetType, kinds.FrozenSetType, kinds.TupleType)
_WORDS: dict[type, str] = {
    kinds.IntType: "a whole number", kinds.FloatType: "a number", kinds.DecimalType: "a number",
    kinds.BoolType: "true or false", kinds.StrType: "text", kinds.NoneType: "null",
}  # fmt: skip
_BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))


class Parameter(Struct, frozen=True):
    """One parameter as it is shown: ``allowed`` in words, ``default`` as a plain JSON value."""

    name: str
    allowed: str
    default: Any
    required: bool
    minimum: float | None = None
    maximum: float | None = None


def parameters(cls: type[Struct]) -> list[Parameter]:
    """The parameters of a class, in its own order.

    Raises:
        ConfigError: one of them has a type that cannot be stored.
    """
    found = []
    for field in _fields(cls).values():
        low, high = getattr(field.type, "ge", None), getattr(field.type, "le", None)
        found.append(Parameter(field.encode_name, _allowed(field.type), _default(field), field.required, low, high))
    return found


def make(cls: type[S], values: Mapping[str, Any]) -> S:
    """An object with these parameters, and the defaults of the others.

    Raises:
        ConfigError: a parameter is unknown, missing or not allowed, or the class itself refuses them.
    """
    fields = _fields(cls)
    for name, value in values.items():
        if name not in fields:
            there = ", ".join(fields) or "none"
            raise ConfigError(f"{_owner(cls)} has no parameter {name!r}", hint=f"it has: {there}")
        _convert(cls, fields[name], value)
    for name, field in fields.items():
        if field.required and name not in values:
            raise ConfigError(f"{_owner(cls)} needs its parameter {name}: {_allowed(field.type)}")
    try:
        return msgspec.convert({n: _split(fields[n], v) for n, v in values.items()}, cls, strict=False)
    except msgspec.ValidationError as error:  # what __post_init__ says
        raise ConfigError(f"{_owner(cls)}: {error}") from None


def plain(strategy: Struct) -> dict[str, Any]:
    """All parameters as plain JSON values; `make` takes them again.

    Raises:
        ConfigError: one of them, a default perhaps, would not be taken again.
    """
    cls = type(strategy)
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(cls):
        try:
            found[field.encode_name] = _json(getattr(strategy, field.name))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{_owner(cls)}: parameter {field.name} cannot be stored: {error}") from None
    if make(cls, found) != strategy:
        raise ConfigError(f"{_owner(cls)}: its parameters are not the same once stored and read again")
    return found


def _owner(cls: type[Struct]) -> str:
    name: str = getattr(cls, "name", cls.__name__)
    return f"strategy {name}" if issubclass(cls, Strategy) else name


def _fields(cls: type[Struct]) -> dict[str, kinds.Field]:
    try:
        info = kinds.type_info(cls)
    except (TypeError, NameError) as error:
        raise ConfigError(f"{_owner(cls)}: a parameter's type cannot be used: {error}") from None
    assert isinstance(info, kinds.StructType)
    return {field.encode_name: field for field in info.fields}


def _convert(cls: type[Struct], field: kinds.Field, value: Any) -> None:
    """Only to say which parameter it is, and what it may be."""
    name = field.encode_name
    annotation = next(f.type for f in msgspec.structs.fields(cls) if f.encode_name == name)
    try:
        converted = msgspec.convert(_split(field, value), annotation, strict=False)
        if not _is_finite(converted):
            raise ValueError
    except (msgspec.ValidationError, ValueError):
        raise ConfigError(
            f"{_owner(cls)}: parameter {name} must be {_allowed(field.type)} (got {str(value)[:60]!r})"
        ) from None


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float | Decimal) or math.isfinite(value)


def _split(field: kinds.Field, value: Any) -> Any:
    """``A,B`` where a list is wanted, ``A:x,B:y`` where a table is."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if any(isinstance(kind, _LISTS) for kind in _options(field.type)):
        return parts
    if any(isinstance(kind, kinds.DictType) for kind in _options(field.type)) and all(":" in part for part in parts):
        pairs = (part.partition(":") for part in parts)
        return {name.strip(): text.strip() for name, _colon, text in pairs}
    return value


def _options(kind: kinds.Type) -> tuple[kinds.Type, ...]:
    return kind.types if isinstance(kind, kinds.UnionType) else (kind,)


def _allowed(kind: kinds.Type) -> str:
    if isinstance(kind, kinds.UnionType):
        return " or ".join(_allowed(one) for one in kind.types)
    if isinstance(kind, kinds.LiteralType):
        return "one of " + ", ".join(str(value) for value in kind.values)
    if isinstance(kind, kinds.EnumType):
        return "one of " + ", ".join(str(member.value) for member in kind.cls)
    if isinstance(kind, _LISTS):
        return "a list: A,B"
    if isinstance(kind, kinds.DictType):
        return "a table: A:x,B:y"
    if isinstance(kind, kinds.Metadata):
        return _allowed(kind.type)
    return _WORDS.get(type(kind), type(kind).__name__.removesuffix("Type").lower()) + _bounds(kind)


def _bounds(kind: kinds.Type) -> str:
    low, high = getattr(kind, "ge", None), getattr(kind, "le", None)
    if low is not None and high is not None:
        return f" from {low} to {high}"
    found = [f"{word} {limit}" for name, word in _BOUNDS if (limit := getattr(kind, name, None)) is not None]
    found += [f"like {kind.pattern}"] if isinstance(kind, kinds.StrType) and kind.pattern else []
    return f" {' and '.join(found)}" if found else ""


def _default(field: kinds.Field) -> Any:
    value = field.default_factory() if field.default_factory is not NODEFAULT else field.default
    return None if value is NODEFAULT else _json(value)


def _json(value: Any) -> Any:
    """As it will be read back; a set in the same order every time."""
    return msgspec.json.decode(msgspec.json.encode(value, order="deterministic"))
