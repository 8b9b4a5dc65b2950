"""No piece of a secret is in an export, packed or unpacked, nor in what an import leaves behind."""

import sqlite3
import zipfile
from contextlib import closing

from tests.security.conftest import Marked
from tests.security.mirror import SECRET
from tests.security.scan import finds, needles


def test_no_secret_travels(marked: Marked):
    marked.trades("--json").ok()
    file = marked.folder / "x.zip"
    marked.run("state", "export", str(file)).ok()
    with zipfile.ZipFile(file) as found:
        content = b"".join(found.read(name) for name in found.namelist())
    assert b"IntentPlanned" in content or b"RunStarted" in content, "it was the session that was looked at"
    assert not finds(content, needles())
    marked.run("state", "import", str(file), GAMBLER_HOME=str(marked.folder / "other")).ok()
    marked.run("state", "import", str(file), "--json", GAMBLER_HOME=str(marked.folder / "other")).ok()
    marked.check()


def test_the_secret_of_an_embedded_exchange_stays_at_home(marked: Marked):
    """It is random and nobody's marker, so the file has it put in."""
    env = {"ALPACA_API_KEY": "", "ALPACA_API_SECRET": ""}
    marked.run("--symbols", "AAPL", "--duration", "5", "--speed", "0", "--broker", "embedded", **env).ok()
    [account] = (marked.home / "exchange").glob("*.sqlite3")
    with closing(sqlite3.connect(account)) as db, db:
        db.execute("UPDATE meta SET value=? WHERE name='secret_key'", (SECRET,))
    marked.run("state", "export", "--all", str(marked.folder / "x.zip"), **env).ok()
    with zipfile.ZipFile(marked.folder / "x.zip") as found:
        content = b"".join(found.read(name) for name in found.namelist())
    assert b"SQLite format 3" in content
    assert not finds(content, needles())
