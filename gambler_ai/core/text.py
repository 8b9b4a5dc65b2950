"""Texts of others, made safe to store and to show."""

from __future__ import annotations


def one_line(text: str, length_max: int) -> str:
    """``text`` without what a terminal or a database could choke on (control characters, lone surrogates)."""
    return "".join(c if c.isprintable() else " " for c in text[:length_max])
