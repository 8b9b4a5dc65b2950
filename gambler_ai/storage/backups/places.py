"""Where backups are kept: a folder, a file, or an address that fsspec knows (s3://, gs://, sftp://, ...)."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from gambler_ai import crashpoints, secrecy
from gambler_ai.core.text import one_line
from gambler_ai.errors import ConfigError, StorageError
from gambler_ai.storage.backups.archive import SUFFIX, Manifest, manifest_of
from gambler_ai.storage.upgrade import copied, named

#: What the name of a file ends with that is not whole yet.
HALF = ".part"
#: No backup takes as long: what a kill left is older.
_HALF_FOR = timedelta(days=1)
_NUMBERS = 1_000
_STAMP, _NUMBER = r"\d{8}-\d{6}", r"\d{1,3}"


class Place(Protocol):
    """A folder of backups, or one file in it. ``file``: its name, "" where the program chooses it."""

    file: str

    def shown(self, name: str = "") -> str:
        """The address, without a password."""
        ...

    def names(self) -> list[str]: ...

    def put(self, archive: Path, name: str) -> bool:
        """Bring a local file there, whole or not at all; false when something has that name, which stays as it is.

        Raises:
            StorageError: it cannot be written, or what arrived is not what was sent.
        """
        ...

    def fetched(self, name: str, target: Path) -> None:
        """Bring it here as ``target``."""
        ...

    def head(self, name: str) -> Any:
        """Its first bytes, as a context with a file to read."""
        ...

    def drop(self, name: str) -> None: ...


class Kept(NamedTuple):
    """A backup of one database in a place: when it was taken, and its number where a second had several."""

    stamp: str
    number: int
    name: str


def place_of(text: str, *, exists: bool) -> Place:
    """The place that a person names. ``exists``: a backup that is there is meant, so a file unless it is a folder.

    Raises:
        ConfigError: nothing here speaks that protocol.
    """
    scheme = urlsplit(text).scheme if "://" in text else ""
    if scheme == "file":
        text = unquote(urlsplit(text).path)
    elif scheme:
        return RemotePlace(text)
    path = Path(os.path.expanduser(text))
    is_file = path.is_file() or (not path.is_dir() and (exists or path.name.endswith(SUFFIX)))
    return LocalPlace(path.parent, path.name) if is_file else LocalPlace(path, "")


def name_for(stem: str, at: datetime, taken: list[str]) -> str:
    """A name that is free: STEM-YYYYmmdd-HHMMSS in UTC."""
    first = f"{stem}-{at:%Y%m%d-%H%M%S}"
    names = (f"{first}{f'-{n}' if n > 1 else ''}{SUFFIX}" for n in range(1, _NUMBERS))
    return next(name for name in names if name not in taken)


def kept(place: Place, stem: str) -> list[Kept]:
    """The backups of ``stem`` in a place, newest first, by their names."""
    pattern = re.compile(rf"{re.escape(stem)}-({_STAMP})(?:-({_NUMBER}))?{re.escape(SUFFIX)}")
    found = [Kept(m[1], int(m[2] or 1), m[0]) for name in place.names() if (m := pattern.fullmatch(name))]
    return sorted(found, reverse=True)


def prune(place: Place, stem: str, keep: int, made: str, is_ours: Callable[[Manifest], bool]) -> list[str]:
    """Delete all but the newest ``keep`` backups of ``stem`` that are ours. Returns the names.

    ``made`` was just written and stays, whatever a clock that ran ahead has called others. What another database
    left under the same stem is neither counted nor deleted.
    """
    own = [old.name for old in kept(place, stem) if old.name == made or _is_ours(place, old.name, is_ours)]
    gone = [name for name in own[keep:] if name != made]
    for name in gone:
        place.drop(name)
    return gone


def _is_ours(place: Place, name: str, is_ours: Callable[[Manifest], bool]) -> bool:
    try:
        with place.head(name) as file:
            return is_ours(manifest_of(file, place.shown(name)))
    except StorageError:
        return False  # somebody else's, or damaged: not ours to delete


def clear(place: Place, stem: str, wall: datetime) -> None:
    """Take away what backups of ``stem`` left half done that were killed more than a day ago, where we may."""
    until = f"{wall - _HALF_FOR:%Y%m%d-%H%M%S}"
    pattern = re.compile(rf"{re.escape(stem)}-({_STAMP})(-{_NUMBER})?{re.escape(SUFFIX)}(\.[0-9a-f]{{12}})?{HALF}")
    for name in place.names():
        if (found := pattern.fullmatch(name)) and found[1] < until:
            with suppress(StorageError):
                place.drop(name)


def _half(name: str) -> str:
    """A name for it until it is whole that no other backup has, be it of the same name."""
    return f"{name}.{secrets.token_hex(6)}{HALF}"


class LocalPlace:
    """A folder on this machine."""

    def __init__(self, folder: Path, file: str) -> None:
        self.folder = folder
        self.file = file

    def shown(self, name: str = "") -> str:
        return str(self.folder / name)

    def names(self) -> list[str]:
        with _told(self.shown()):
            return [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []

    def put(self, archive: Path, name: str) -> bool:
        half = self.folder / _half(name)
        with _told(str(self.folder / name)):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                copied(archive, half)
                crashpoints.hit("backup.before_rename")
                return named(half, self.folder / name)
            finally:
                half.unlink(missing_ok=True)

    def fetched(self, name: str, target: Path) -> None:
        with _told(self.shown(name)):
            copied(self.folder / name, target)

    @contextmanager
    def head(self, name: str) -> Iterator[IO[bytes]]:
        with _told(self.shown(name)), (self.folder / name).open("rb") as file:
            yield file

    def drop(self, name: str) -> None:
        with _told(self.shown(name)):
            (self.folder / name).unlink()


class RemotePlace:
    """A folder that fsspec reaches. Keys come from where its driver looks for them, never from us."""

    def __init__(self, url: str) -> None:
        base, _, last = url.rstrip("/").rpartition("/")
        self.file = last if last.endswith(SUFFIX) else ""
        self._url = base if self.file else url.rstrip("/")
        secrecy.keep([urlsplit(url).password or "", unquote(urlsplit(url).password or "")])
        self._files, self._folder = _opened(self._url)

    def shown(self, name: str = "") -> str:
        parts = urlsplit(self._url)
        whole = self._url.replace(f":{parts.password}@", ":***@") if parts.password else self._url
        return f"{whole}/{name}" if name else whole

    def names(self) -> list[str]:
        with _told(self.shown()):
            if not self._files.exists(self._folder):
                return []
            return [str(path).rsplit("/", 1)[-1] for path in self._files.ls(self._folder, detail=False)]

    def put(self, archive: Path, name: str) -> bool:
        half = self._at(_half(name))
        with _told(self.shown(name)):
            self._files.makedirs(self._folder, exist_ok=True)
            self._files.put_file(str(archive), half)
            with archive.open("rb") as ours, self._files.open(half, "rb") as theirs:
                same = hashlib.file_digest(ours, "sha256").digest() == hashlib.file_digest(theirs, "sha256").digest()
            if not same:
                raise StorageError(f"{self.shown(name)}: what arrived is not what was sent", hint="try again")
            crashpoints.hit("backup.before_rename")
            if self._files.exists(self._at(name)):  # few stores do this in one step
                self._files.rm_file(half)
                return False
            self._files.mv(half, self._at(name))
            return True

    def fetched(self, name: str, target: Path) -> None:
        with _told(self.shown(name)), self._files.open(self._at(name), "rb") as source:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                shutil.copyfileobj(source, file)

    @contextmanager
    def head(self, name: str) -> Iterator[IO[bytes]]:
        with _told(self.shown(name)), self._files.open(self._at(name), "rb") as file:
            yield file

    def drop(self, name: str) -> None:
        with _told(self.shown(name)):
            self._files.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}"


def _opened(url: str) -> tuple[Any, str]:
    """fsspec's own file system for ``url``, and the path in it.

    Raises:
        ConfigError: fsspec, or what it needs for that protocol, is not installed; or it knows no such protocol.
    """
    scheme = urlsplit(url).scheme
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ConfigError(
            f"backups at {scheme}:// need the package fsspec, which is not installed",
            hint="install the extra: pip install 'gambler-ai[backup]'; or give a folder of this machine",
        ) from error
    try:
        files, folder = url_to_fs(url)
    except ImportError as error:
        raise ConfigError(
            f"backups at {scheme}:// need a package that is not installed: {secrecy.masked(str(error))}",
            hint="install it beside gambler-ai; or give a folder of this machine",
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{scheme}:// is no place for backups: {secrecy.masked(str(error))}",
            hint="examples: /mnt/backups, s3://bucket/folder, sftp://host/folder",
        ) from error
    except Exception as error:  # a driver that asks its server at once
        said = secrecy.masked(one_line(str(error) or type(error).__name__, 300))
        raise StorageError(f"{scheme}://{urlsplit(url).hostname or ''} cannot be reached: {said}") from error
    return files, str(folder)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Whatever a driver raises ends in one line: there are as many kinds of errors as there are drivers."""
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise StorageError(f"there is no backup {name}", hint="see what is there, or name another place") from error
    except Exception as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        text = f"{name} cannot be used: {secrecy.masked(said.splitlines()[0][:300])}"
        raise StorageError(text, hint="see that it is there and writable") from error
