"""The rules of risk in docs/RISK.md."""

from __future__ import annotations

from pathlib import Path

from gambler_ai.cli.marks import filled
from gambler_ai.cli.risk import described
from gambler_ai.core.risk_rules import BOUNDS

DOCUMENT = Path("docs/RISK.md")
BEGIN, END = "<!-- rules: written by scripts/docs -->", "<!-- end of rules -->"


def documents(root: Path) -> dict[Path, str]:
    """The document with its table as it should be."""
    path = root / DOCUMENT
    return {path: filled(path, BEGIN, END, table())}


def table() -> str:
    """A row for each rule."""
    rows = ["| rule | default | from, to | what it is |", "|---|---|---|---|"]
    for name, default, what in described():
        least, most = BOUNDS.get(name, ("", ""))
        bounds = f"{least}, {most}" if name in BOUNDS else "-"
        rows.append(f"| `{name}` | {default} | {bounds} | {what} |")
    return "\n".join(rows) + "\n"
