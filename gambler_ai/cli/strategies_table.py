"""The parameters of the built-in strategies in docs/STRATEGIES.md."""

from __future__ import annotations

from pathlib import Path

from gambler_ai.cli.marks import filled
from gambler_ai.strategies import loader

DOCUMENT = Path("docs/STRATEGIES.md")
BEGIN, END = "<!-- parameters: written by scripts/docs -->", "<!-- end of parameters -->"


def documents(root: Path) -> dict[Path, str]:
    """The document with its table as it should be."""
    path = root / DOCUMENT
    return {path: filled(path, BEGIN, END, table())}


def table() -> str:
    """A row for each parameter of each built-in strategy."""
    rows = ["| strategy | parameter | default | allowed |", "|---|---|---|---|"]
    for name in loader.BUILT_INS:
        for parameter in loader.describe(loader.find(name)).parameters:
            default = str(parameter.default).lower() if isinstance(parameter.default, bool) else parameter.default
            rows.append(f"| `{name}` | `{parameter.name}` | {default} | {parameter.allowed} |")
    return "\n".join(rows) + "\n"
