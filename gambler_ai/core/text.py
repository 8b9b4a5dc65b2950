"""Texts of others, made safe to store and to show."""

from __future__ import annotations

from gambler_ai.secrecy import masked


def one_line(text: str, length_max: int) -> str:
    """``text`` without secrets and what a terminal or a database could choke on (control characters, lone surrogates).

    Masked before it is cut: half a secret is one as well.
    """
    return "".join(c if c.isprintable() else " " for c in masked(text)[:length_max])
