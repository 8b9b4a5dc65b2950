"""docs/FAULTS.md: its table of kinds, drawn from the exchange's own."""

from __future__ import annotations

import json
from pathlib import Path

from gambler_ai.cli.marks import filled
from gambler_ai.exchange.faults.kinds import (
    AFTER,
    AROUND,
    DEED,
    FOREVER,
    INSIDE,
    KINDS,
    MATCHING,
    NO_SECONDS,
    PIECES,
    SPOILED,
    STREAM,
    UNHANDLED,
    Kind,
)

FAULTS = Path("docs/FAULTS.md")
BEGIN, END = "<!-- kinds: written by scripts/docs -->", "<!-- end of kinds -->"
HEADINGS = {
    UNHANDLED: "Answered instead of being handled",
    AFTER: "Handled, and the answer is lost",
    AROUND: "Handled, but late or slowly",
    INSIDE: "Handled otherwise",
    SPOILED: "Handled, and the answer is changed",
    MATCHING: "Where orders meet the market",
    STREAM: "Streams",
    DEED: "What happens to the account",
}


def documents(root: Path) -> dict[Path, str]:
    """The file, and what it should hold."""
    path = root / FAULTS
    return {path: filled(path, BEGIN, END, tables())}


def tables() -> str:
    """A table for each group of kinds."""
    parts = []
    for group, heading in HEADINGS.items():
        rows = [_row(name, kind) for name, kind in KINDS.items() if kind.group == group]
        head = ["| kind | what the client sees | acts on | own fields | `seconds` |", "|---|---|---|---|---|"]
        parts.append("\n".join([f"### {heading}", "", *head, *rows]) + "\n")
    return "\n".join(["", *parts])


def _row(name: str, kind: Kind) -> str:
    own = [field for field in kind.more if field not in PIECES]
    fields = ", ".join(f"`{field}`" for field in own) or "-"
    return f"| `{name}` | {kind.text} | {_where(kind)} | {fields} | {_seconds(kind)} |"


def _where(kind: Kind) -> str:
    if kind.group in (STREAM, MATCHING):
        return "streams" if kind.group == STREAM else "executions"
    if kind.group == DEED:
        return "its day" if "on" in json.loads(kind.example) else "an instant, or a request"
    return f"`{kind.method} {kind.path}`".replace("` ", "`")


def _seconds(kind: Kind) -> str:
    if kind.seconds == NO_SECONDS:
        return "-"
    return "for good" if kind.seconds == FOREVER else f"{kind.seconds:g}"
