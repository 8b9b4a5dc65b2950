"""The files that settings come from, as text and as tables: what may be one, and who may read it."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gambler_ai.core import strict_json
from gambler_ai.errors import ConfigError

#: A configuration is a page of text; what is larger is another file.
CONFIG_MAX_BYTES = 1 << 16

_DEEP_NAME = re.compile(r"""(?:(?:[\w-]{1,99}|"[^"\n]{0,99}"|'[^'\n]{0,99}')[ \t]*\.[ \t]*){16}""")


def table(path: Path) -> dict[str, Any]:
    """What a configuration file holds, by name; JSON where it is called so, else TOML.

    Raises:
        ConfigError: it cannot be read, or is something else.
    """
    try:
        text = _regular_text(path)
        values = strict_json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise ConfigError(f"{path} is not valid {kind}: {_why(error)}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} does not hold a table of settings")
    return values


def private_text(path: Path) -> str:
    """The text of a file for its owner alone, read through one descriptor, so that what is checked is what is read.

    Raises:
        ConfigError: it is a link, no file, somebody else's, open to others, or large.
    """
    if path.is_symlink():
        raise ConfigError(f"secrets file {path} is a symbolic link", hint="put the file itself there")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"secrets file {path} is not a file")
        if found.st_uid != os.geteuid():
            raise ConfigError(f"secrets file {path} belongs to another user", hint="make one of your own, mode 0600")
        if found.st_mode & 0o077:
            raise ConfigError(
                f"secrets file {path} is open to others (mode {stat.S_IMODE(found.st_mode):04o})",
                hint=f"chmod 600 {path}; others may have read the keys: make new ones",
            )
        if found.st_size > CONFIG_MAX_BYTES:
            raise ConfigError(f"secrets file {path} is larger than it can be")
        return file.read(CONFIG_MAX_BYTES).decode("utf-8")


def holds_password(url: str) -> bool:
    """Whether an address has one in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "@" in url
    return bool(parts.password) or "password=" in parts.query


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _regular_text(path: Path) -> str:
    """A file's text, without the mark that some editors put in front. A pipe or a device has no end that we know.

    Raises:
        ConfigError: it is no file, or a large one.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ConfigError(f"configuration {path} is not a file", hint="it is a text of TOML or JSON in a file")
        data = file.read(CONFIG_MAX_BYTES + 1)
    if len(data) > CONFIG_MAX_BYTES:
        raise ConfigError(f"{path} is larger than a configuration can be")
    text = data.decode("utf-8-sig")
    if _DEEP_NAME.search(text):  # tomllib takes a minute for one of ten thousand parts
        raise ValueError("a name has too many parts")
    return text
