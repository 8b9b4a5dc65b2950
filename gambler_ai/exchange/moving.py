"""An exchange's file on its way to another machine: a whole copy without the secret, and what is looked at there.

The next one that opens such a copy draws a secret of its own: nobody has to carry one.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from gambler_ai.exchange.journal import OLDER_VERSIONS, SCHEMA_VERSION, TABLES
from gambler_ai.exchange.refusal import ExchangeFileError


def copy(path: Path, to: Path) -> None:
    """Write what the file ``path`` holds at one moment to the new file ``to``, be it in use.

    Raises:
        ExchangeFileError: it cannot be read, or there is no room.
    """
    try:
        os.close(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_opened(path, "mode=ro")) as source, closing(sqlite3.connect(to, isolation_level=None)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
            if target.execute("SELECT 1 FROM sqlite_master WHERE name='meta'").fetchone():  # else nothing is in it yet
                target.execute("UPDATE meta SET value='' WHERE name='secret_key'")
            target.execute("VACUUM")  # what was there before is not left in a free page
    except (OSError, sqlite3.Error) as error:
        raise ExchangeFileError(f"{path} cannot be copied: {error}") from None


def check(path: Path, account_id: str) -> str:
    """Why the file ``path`` is no copy of the account's, "" when it is. Anybody may have made it."""
    try:
        with closing(_opened(path, "mode=ro&immutable=1")) as db:
            db.execute("PRAGMA trusted_schema=OFF")
            found = db.execute("SELECT type, name FROM sqlite_master").fetchall()
            strange = [name for kind, name in found if not _known(kind, name)]
            if strange:
                return f"it holds {strange[0][:40]!r}, which no exchange makes"
            if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return "it is damaged"
            meta = dict(db.execute("SELECT name, value FROM meta"))
    except sqlite3.Error as error:
        return f"it is no usable file: {error}"
    if meta.get("schema") not in (SCHEMA_VERSION, *OLDER_VERSIONS):
        return f"it has schema {str(meta.get('schema'))[:40]!r}, this program writes {SCHEMA_VERSION}"
    if meta.get("account_id") != account_id:
        return f"it is of account {str(meta.get('account_id'))[:40]!r}"
    return "" if meta.get("secret_key") == "" else "it holds a secret"


def _known(kind: str, name: str) -> bool:
    return (kind == "table" and name in TABLES) or (kind == "index" and name.startswith("sqlite_autoindex_"))


def _opened(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{how}", uri=True)
