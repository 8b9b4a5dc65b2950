"""The part of a document that is drawn from the code: what stands between two marks."""

from __future__ import annotations

from pathlib import Path


def filled(path: Path, begin: str, end: str, drawn: str) -> str:
    """The document at ``path`` with ``drawn`` between its marks; what stands around them stays."""
    return filled_text(path.read_text("utf-8"), begin, end, drawn)


def filled_text(text: str, begin: str, end: str, drawn: str) -> str:
    """The same of a document's text."""
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{drawn}{end}{rest.partition(end)[2]}"
