"""Stands in for `sleep` in the documents' blocks: waits until the session in the background holds something."""

import os
import select
import sqlite3
import sys
import time
from pathlib import Path

PATIENCE_S = 60.0
DATABASE = Path(os.environ["HOME"]) / ".local/state/gambler_ai/gambler.sqlite3"


def holds() -> bool:
    """Whether a position is stored."""
    if not DATABASE.exists():
        return False
    db = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
    try:
        return bool(db.execute("SELECT count(*) FROM positions").fetchone()[0])
    except sqlite3.OperationalError:  # its tables are not there yet
        return False
    finally:
        db.close()


deadline_s = time.monotonic() + PATIENCE_S
while not holds():
    if time.monotonic() > deadline_s:
        sys.exit("no position was taken")
    select.select([], [], [], 0.02)
