"""Files that other programs made, and who takes them in: `state import` asks each of these in turn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from gambler_ai.app.moving import Report
from gambler_ai.clock import Clock
from gambler_ai.config import Settings


class Importer(Struct, frozen=True):
    """One kind of file. ``name`` is what it is called; ``is_one`` looks at the content and changes nothing.

    ``take`` brings it in, or with its last argument only says what would come.
    """

    name: str
    is_one: Callable[[Path], bool]
    take: Callable[[Path, Settings, Clock, bool], Report]


#: Every kind that is known, besides our own.
IMPORTERS: tuple[Importer, ...] = ()


def importer_of(path: Path) -> Importer | None:
    """Who takes a file in; None if nobody knows it."""
    return next((importer for importer in IMPORTERS if importer.is_one(path)), None)
