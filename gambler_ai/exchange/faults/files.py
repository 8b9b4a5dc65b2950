"""A plan of faults in a file: JSON, a list or {"faults": [...]}; or TOML, as [[faults]]."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from gambler_ai.errors import ConfigError

MAX_BYTES = 1 << 20


def read_rows(path: Path) -> list[Any]:
    """The lines of a plan, unchecked.

    Raises:
        ConfigError: it cannot be read, or is no list of faults.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is no plan of faults: it has more than {MAX_BYTES} bytes")
    try:
        found = tomllib.loads(data.decode()) if path.suffix == ".toml" else msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no plan of faults: {' '.join(str(error).split())[:200]}") from None
    if isinstance(found, dict) and set(found) == {"faults"}:
        found = found["faults"]
    if not isinstance(found, list):
        raise ConfigError(f"{path} is no plan of faults: a list, or an object with nothing but a list of faults")
    return [_plain(row) for row in found]


def _plain(value: Any) -> Any:
    """TOML has instants of its own; in a plan they are texts."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
