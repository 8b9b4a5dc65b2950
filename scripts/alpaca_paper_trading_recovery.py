"""The session runner under the name its users know; the same as `gambler-ai run`.

Works with any Python 3.11 or newer: one that lacks the packages hands over to scripts/run, which has them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

NAME = "python scripts/alpaca_paper_trading_recovery.py"


def main() -> None:
    """Run the command line with our arguments."""
    if any(importlib.util.find_spec(name) is None for name in ("gambler_ai", "typer", "alpaca")):
        runner = str(Path(__file__).with_name("run"))
        os.execvp("env", ["env", f"GAMBLER_PROGRAM={NAME}", runner, *sys.argv[1:]])  # noqa: S606 (no shell is the point)
    from gambler_ai.cli.main import main as run

    run(NAME)


if __name__ == "__main__":
    main()
