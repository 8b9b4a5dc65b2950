"""`state export --format fno`: one session, as it stands in the database, in the files of an F&O system's dashboards.

Nothing is asked of a broker and nothing is written to the database, so it may run beside the session, as often as a
dashboard looks. Each file is there whole or as it was; the three of them name the instant they are of.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from gambler_ai.ancestors import fno_writing
from gambler_ai.ancestors.fno import SYSTEM
from gambler_ai.app.archiving import is_archived
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.state import SessionState
from gambler_ai.errors import ConfigError, SessionNotFound
from gambler_ai.storage import sessions, views
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import restore

#: Round trips in `current_state.json`, the newest.
TRADES_MAX = 10_000
_SESSIONS_MAX = 1_000


class Snapshot(Struct, frozen=True):
    """A session's files as they would be written: name -> bytes."""

    session_id: str
    files: dict[str, bytes]


def snapshot(database: Database, session_id: str | None) -> Snapshot:
    """The files of the session that is named; else of the one --resume would take, else of the newest.

    Raises:
        SessionNotFound: there is none.
        ConfigError: it is another bot's, archived.
        CheckpointCorrupt: its journal does not verify.
    """
    info = _find(database, session_id)
    if is_archived(info):
        raise ConfigError(
            f"session {info.id} is another bot's, archived: it has no files of ours",
            hint="gambler-ai state imported --json shows all of it",
        )
    state = restore(database, info).state
    documents = fno_writing.documents(state, _trades(database, state))
    return Snapshot(info.id, {name: fno_writing.encoded(document) for name, document in documents.items()})


def write(found: Snapshot, out: str) -> list[Path]:
    """Put the files where ``out`` says: all three into a directory, which is made; into a file only the first.

    What is not there yet is a directory unless its name ends as a file's does.

    Raises:
        ConfigError: one cannot be written, or something else is there; those before it are written.
    """
    folder = Path(out)
    named = bool(folder.suffix) or os.path.isfile(out)
    if named and not os.path.isdir(out) and not out.endswith(os.sep):  # Path.is_dir raises for a name that is too long
        _replace(folder, found.files[SYSTEM])
        return [folder]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"--out: {folder} cannot be made: {why}", hint="name another directory") from None
    paths = [folder / name for name in found.files]
    for path in paths:
        _refuse_other(path)
    for path in paths:
        _replace(path, found.files[path.name])
    return paths


def _find(database: Database, session_id: str | None) -> SessionInfo:
    with database.read() as db:
        if session_id is not None:
            return sessions.find(db, session_id)
        info = sessions.newest_open(db)
        ours = (one for one in sessions.listed(db, _SESSIONS_MAX) if one.broker != sessions.SCRIPT)
        if (found := info or next(ours, None)) is None:
            raise SessionNotFound("there is no session to write out", hint="start one: gambler-ai run")
        return found


def _trades(database: Database, state: SessionState) -> list[ClosedTrade]:
    """Its round trips as of ``state``: those that were closed since it was read are left to the next time."""
    with database.read() as db:
        since = sessions.find(db, state.session_id).closed_trades - state.closed_trades
        found = views.closed_trades(db, state.session_id, TRADES_MAX + since)
    return found[: len(found) - since]


def _replace(path: Path, data: bytes) -> None:
    """Write ``path`` whole or not at all, for its owner alone: a reader sees the old one or the new."""
    _refuse_other(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
            _sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"--out: {path} cannot be written: {why}", hint="name another file") from None


def _refuse_other(path: Path) -> None:
    """What is replaced is a file of JSON: never a link, a device, or somebody's database.

    Raises:
        ConfigError: it is something else.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"--out: {path} cannot be written: {why}", hint="name another file") from None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or file.read(1) not in (b"", b"{"):
            raise ConfigError(f"--out: {path} is there and is no file of this kind", hint="name another file")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
