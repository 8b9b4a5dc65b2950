"""The parameters of the built-in strategies in docs/STRATEGIES.md."""

from __future__ import annotations

from pathlib import Path

from gambler_ai.cli.marks import filled, filled_text
from gambler_ai.strategies import loader
from gambler_ai.strategies.parameters import Parameter

DOCUMENT = Path("docs/STRATEGIES.md")
BEGIN, END = "<!-- parameters: written by scripts/docs -->", "<!-- end of parameters -->"
OPTIONS_BEGIN, OPTIONS_END = (
    "<!-- options parameters: written by scripts/docs -->",
    "<!-- end of options parameters -->",
)
#: Those whose parameters are much the same: a column each.
STRUCTURES = ("straddle", "strangle", "vertical", "iron_condor", "covered_call")


def documents(root: Path) -> dict[Path, str]:
    """The document with its tables as they should be."""
    path = root / DOCUMENT
    text = filled(path, BEGIN, END, table())
    return {path: filled_text(text, OPTIONS_BEGIN, OPTIONS_END, options_table())}


def table() -> str:
    """A row for each parameter of each built-in strategy that is no structure."""
    rows = ["| strategy | parameter | default | allowed |", "|---|---|---|---|"]
    for name in (name for name in loader.BUILT_INS if name not in STRUCTURES):
        rows += [
            f"| `{name}` | `{parameter.name}` | {_default(parameter)} | {parameter.allowed} |"
            for parameter in _parameters(name).values()
        ]
    return "\n".join(rows) + "\n"


def options_table() -> str:
    """A row for each parameter, with the default of each structure that has it."""
    columns = {name: _parameters(name) for name in STRUCTURES}
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = [
        f"| parameter | {' | '.join(f'`{name}`' for name in STRUCTURES)} | allowed |",
        f"|---|{'---|' * len(STRUCTURES)}---|",
    ]
    for name in names:
        there = [column.get(name) for column in columns.values()]
        cells = ["" if one is None else str(_default(one)) for one in there]
        allowed = next(one.allowed for one in there if one is not None)
        rows.append(f"| `{name}` | {' | '.join(cells)} | {allowed} |")
    return "\n".join(rows) + "\n"


def _parameters(name: str) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in loader.describe(loader.find(name)).parameters}


def _default(parameter: Parameter) -> object:
    value = parameter.default
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else value
