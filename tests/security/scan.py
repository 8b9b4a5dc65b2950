"""Looking for a secret in every byte that was left behind."""

from collections.abc import Iterable
from pathlib import Path

from tests.security.mirror import SECRET, TOKEN, spellings

#: Characters of a secret that are looked for in a row, and from which places of it: any 12 of them hold one such piece.
PIECE, STRIDE = 8, 5


def needles(secrets: Iterable[str] = (SECRET, TOKEN)) -> set[bytes]:
    found: set[bytes] = set()
    for secret in secrets:
        for form in spellings(secret):
            found |= {form[i : i + PIECE].encode() for i in range(0, len(form) - PIECE + 1, STRIDE)}
    return found


def finds(data: bytes, wanted: Iterable[bytes]) -> list[bytes]:
    return [needle for needle in wanted if needle in data]


def left_in(folder: Path, wanted: set[bytes]) -> list[str]:
    """The files below ``folder`` that hold a piece of a secret, and how much was looked at."""
    found, size = [], 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            size += len(data)
            found += [f"{path.name}: {needle!r}" for needle in finds(data, wanted)[:1]]
    assert size, "nothing was left behind at all"
    return found
