"""Documents drawn from the code: docs/CLI.md from the commands, the API reference from StateManager; and `reference`'s.

`scripts/docs` writes them; a test compares them with what is there.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from gambler_ai.cli import exchange_table, faults_table, reference, risk_table, strategies_table
from gambler_ai.cli.main import app
from gambler_ai.cli.marks import filled
from gambler_ai.errors import EXIT_CODES

COMMANDS = Path("docs/CLI.md")
CHECKPOINTING = Path("docs/SESSION_CHECKPOINTING.md")
BEGIN, END = "<!-- api: written by scripts/docs -->", "<!-- end of api -->"
PROGRAM = "gambler-ai"

_HEAD = f"""# Commands

Every command with its options, written by `scripts/docs` from the program itself. `{PROGRAM}` stands for
`scripts/run` in a checkout; `{PROGRAM} --symbols X` is `{PROGRAM} run --symbols X`. An option without a default is
taken from the environment or the configuration file first: [CONFIGURATION.md](CONFIGURATION.md).
"""
#: What an option takes that has no word of its own for it.
_TYPES = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "Path": "FILE"}
#: A signature longer than this has a line for each parameter.
SIGNATURE_MAX = 100
#: The help ends with it; here it has a column of its own.
_DEFAULT = re.compile(r"(?:[.;]|^) ?[Dd]efault (?P<value>[^;]*?)\.?$")


def documents(root: Path) -> dict[Path, str]:
    """The files that are drawn from the code, and what they should hold."""
    path = root / CHECKPOINTING
    drawn = {root / COMMANDS: commands_document(), path: filled(path, BEGIN, END, api_reference())}
    tables = (reference, faults_table, exchange_table, strategies_table, risk_table)
    return {path: text for table in tables for path, text in table.documents(root).items()} | drawn


def write(root: Path) -> None:
    """Bring them up to date."""
    for path, text in documents(root).items():
        path.write_text(text, "utf-8")


# -- commands -------------------------------------------------------------------------------------


def commands_document() -> str:
    """docs/CLI.md."""
    codes = [f"| {code} | {text} |" for code, text in EXIT_CODES.items()]
    found = list(commands())
    index = [f"| [`{name}`](#{anchor(name)}) | {_text(command.help)} |" for name, command, _ in found]
    parts = [
        _HEAD, "\n".join(["| command | what it does |", "|---|---|", *index]) + "\n",
        *(_section(name, command, context) for name, command, context in found),
        "\n".join(["## Exit codes", "", "| code | meaning |", "|---|---|", *codes]) + "\n",
    ]  # fmt: skip
    return "\n".join(parts)


def commands() -> Iterator[tuple[str, Any, Any]]:
    """Each command that does something: its words, the command and a context of it."""
    root = typer.main.get_command(app)
    yield from _walk("", root, root.make_context(PROGRAM, [], resilient_parsing=True))


def options(command: Any, context: Any) -> list[Any]:
    """The options and arguments of a command, without --help."""
    return [p for p in command.get_params(context) if p.name != "help" and not getattr(p, "hidden", False)]


def anchor(heading: str) -> str:
    """How GitHub names a heading in a link."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def _walk(words: str, command: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    if words and not getattr(command, "commands", None):
        yield words, command, context
    for name, child in getattr(command, "commands", {}).items():
        inner = type(context)(child, info_name=name, parent=context, resilient_parsing=True)
        yield from _walk(f"{words} {name}".strip(), child, inner)


def _section(name: str, command: Any, context: Any) -> str:
    usage = " ".join([PROGRAM, name, *(_usage(p) for p in options(command, context) if not _is_option(p))])
    lines = [f"## {name}", "", f"`{usage} [OPTIONS]`", "", _text(command.help), ""]
    rows = [_row(p) for p in options(command, context)]
    if rows:
        lines += ["| option | default | what it is |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _row(parameter: Any) -> str:
    text, default = _text(parameter.help), parameter.default
    match = _DEFAULT.search(text)
    if match:
        text, shown = text[: match.start()] + ".", match["value"]
    elif parameter.required:
        shown = "required"
    else:
        shown = "" if default is None or default is False or callable(default) else str(default)
    if not text.strip("."):
        raise ValueError(f"nothing is said of {parameter.name}")
    return f"| {_named(parameter)} | {shown} | {text} |"


def _named(parameter: Any) -> str:
    if not _is_option(parameter):
        return f"`{_usage(parameter)}`"
    flags = ", ".join(f"`{flag}`" for flag in parameter.opts)
    return flags if parameter.is_flag else f"{flags} {parameter.metavar or _TYPES[parameter.bare_type()]}"


def _usage(parameter: Any) -> str:
    word = parameter.metavar or parameter.name.upper()
    return word if parameter.required else f"[{word}]"


def _is_option(parameter: Any) -> bool:
    return any(flag.startswith("-") for flag in parameter.opts)


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


# -- StateManager ---------------------------------------------------------------------------------


def api_reference() -> str:
    """The public members of StateManager: signature and docstring."""
    from gambler_ai.trading.state_manager import StateManager

    members = [
        (name, value) for name, value in vars(StateManager).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
    ]  # fmt: skip
    return "\n".join([_member("StateManager", StateManager.__init__), *(_member(*member) for member in members)])


def _member(name: str, value: Any) -> str:
    function: Any = value.fget if isinstance(value, property) else value
    signature = inspect.signature(function)
    head = name if isinstance(value, property) else name + _parameters(list(signature.parameters.values())[1:])
    result = "" if name == "StateManager" else f" -> {signature.return_annotation}"
    return f"#### {name}\n\n```text\n{head}{result}\n```\n\n{_doc(value)}\n"


def _parameters(parameters: list[inspect.Parameter]) -> str:
    given = []
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and "*" not in given:
            given.append("*")
        default = "" if p.default is p.empty else f" = {p.default!r}"
        given.append(f"{p.name}: {p.annotation}{default}")
    line = f"({', '.join(given)})"
    return line if len(line) <= SIGNATURE_MAX else "(\n" + "".join(f"    {text},\n" for text in given) + ")"


def _doc(value: Any) -> str:
    """A docstring as Markdown: code in one pair of ticks, what it raises as a list."""
    text, _, raises = (inspect.getdoc(value) or "").replace("``", "`").partition("\nRaises:\n")
    lines = [" ".join(part.split()) for part in text.strip().split("\n\n")]
    named = [line.strip() for line in raises.splitlines() if line.strip()]
    if named:
        lines.append("Raises:\n\n" + "\n".join(f"- {line}" for line in named))
    return "\n\n".join(lines)
