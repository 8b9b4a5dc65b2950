"""The settings as documents: the table in docs/CONFIGURATION.md and the two example files, drawn from `Settings`.

`scripts/docs` writes them; a test compares them with what is there.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_origin

from typer.models import OptionInfo

from gambler_ai.cli import options
from gambler_ai.cli.marks import filled
from gambler_ai.config import Settings, in_file, is_secret, variables

#: What the help of `run` does not say, because it has no option for it.
TEXTS = {
    "parameters": "Parameters of the strategy, by name. --set wins over the same name here.",
    "home": "The state directory. It is ~/.local/state/gambler_ai unless set.",
    "log_file": "Lines of what happens go here as well. Default none.",
    "streams": "Wake up on the broker's streams: auto, on, off. It is polled all the same.",
    "api_key": "The key id of an Alpaca paper account.",
    "api_secret": "Its secret.",
    "trading_url": "Alpaca's paper API, or an address on this machine.",
    "data_url": "Alpaca's market data, or an address on this machine.",
    "trading_stream_url": "Alpaca's stream of order updates, or one on this machine.",
    "data_stream_url": "Alpaca's stream of prices, or one on this machine.",
    "exchange_token": "Lets a runner move the market of an exchange on this machine that stands still.",
    "crash_at": "For tests: end the process, as kill -9 does, at a named point.",
}
#: Not a setting of the user's.
HIDDEN = frozenset({"program"})
#: What an example shows for settings without a default.
EXAMPLES: dict[str, Any] = {
    "universe": "options", "max_per_strategy": 3, "max_per_sector": 2,
    "autosave_iterations": 10,
    "min_confidence": 0.55, "max_positions": 5, "max_order_value": 12_000, "max_orders_per_day": 40,
    "max_daily_loss": 1_000, "max_orders_per_minute": 10, "limit_pct": -0.1,
    "database_url": "sqlite:////var/lib/gambler_ai/gambler.sqlite3", "home": "/var/lib/gambler_ai",
    "log_file": "/var/log/gambler_ai.log", "parameters": {},
}  # fmt: skip
#: The help says it; here it has a place of its own.
_DEFAULT = re.compile(r" Default [^.]*\.$")
BEGIN, END = "<!-- settings: written by scripts/docs -->", "<!-- end of settings -->"
CONFIGURATION = Path("docs/CONFIGURATION.md")


def text_of(name: str) -> str:
    """What a setting is, in a sentence or two.

    Raises:
        KeyError: nothing is said of it: give `run` an option for it, or say it here.
    """
    option = _option_of(name)
    text = (option.help or "") if option is not None else TEXTS[name]
    return _DEFAULT.sub("", text)


def settings_table() -> str:
    """All settings as a Markdown table."""
    lines = ["| setting | option | environment | default | what it is |", "|---|---|---|---|---|"]
    for name in Settings.model_fields:
        if name in HIDDEN:
            continue
        option = _option_of(name)
        flag = f"`{option.default}`" if option is not None else "-"  # where Annotated has no default, Typer puts it
        variable = ", ".join(f"`{v}`" for v in variables(name))
        what = text_of(name) + (" Secret." if is_secret(name) else "")
        shown = name if name in in_file() else f"{name} (not in a file)"
        lines.append(f"| {shown} | {flag} | {variable} | {_default(name)} | {what} |")
    return "\n".join(lines) + "\n"


def example_toml() -> str:
    """Every setting that may be in a file, with its default; what has none is commented out."""
    lines = [
        "# Settings of gambler-ai: copy to gambler.toml in the directory it runs in, or name it with --config FILE or",
        "# GAMBLER_CONFIG. Each line is optional and shows the default; docs/CONFIGURATION.md has the whole story.",
        "# Keys and secrets are never in here: the environment or secrets.toml in the state directory has them.",
    ]
    for name in sorted(in_file(), key=lambda n: n == "parameters"):  # a table takes all lines after it
        lines += ["", f"# {text_of(name)}"]
        value = _plain(name)
        if name == "parameters":
            lines += ["[parameters]", "# lookback = 8"]
        elif name in EXAMPLES:
            lines.append(f"# {name} = {json.dumps(EXAMPLES[name])}")
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def example_json() -> str:
    """The same as JSON, which has no comments; null and "" are the default."""
    return json.dumps({name: _plain(name) for name in in_file()}, indent=2) + "\n"


def documents(root: Path) -> dict[Path, str]:
    """The files that are drawn from `Settings`, and what they should hold."""
    path = root / CONFIGURATION
    return {
        root / "config.example.toml": example_toml(),
        root / "config.example.json": example_json(),
        path: filled(path, BEGIN, END, settings_table()),
    }


def write(root: Path) -> None:
    """Bring them up to date."""
    for path, text in documents(root).items():
        path.write_text(text, "utf-8")


def _option_of(name: str) -> OptionInfo | None:
    """The option of `run` that gives a setting: they have one name, in two spellings."""
    alias = getattr(options, name.title().replace("_", ""), None)
    infos = [extra for extra in get_args(alias)[1:] if isinstance(extra, OptionInfo)]
    return infos[0] if infos and get_origin(alias) is not None else None


def _plain(name: str) -> Any:
    value = Settings.model_fields[name].get_default(call_default_factory=True)
    if isinstance(value, Decimal | float):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, Path):
        return ""
    return list(value) if isinstance(value, tuple) else value


def _default(name: str) -> str:
    if is_secret(name) or name == "home":
        return "-"
    value = _plain(name)
    if isinstance(value, list):
        return ",".join(value)
    return "-" if value in (None, "", {}) else str(value)
