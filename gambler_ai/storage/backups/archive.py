"""One backup, one file: a gzipped tar with its manifest first, then the database, then the exchange's accounts.

`tar xzf` opens it anywhere. The manifest holds a sum of each part, so that a copy that lost a byte on its way is told
from one that is whole. Nothing is unpacked by a name that the file itself chooses.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, cast

import msgspec
from msgspec import Struct

from gambler_ai.core.text import one_line
from gambler_ai.errors import StorageError
from gambler_ai.storage.lease import TOKEN_MAX
from gambler_ai.storage.sessions import is_id

FORMAT = 1
SUFFIX = ".tar.gz"
MANIFEST = "manifest.json"
#: The database's part, by its kind.
SQLITE, POSTGRES = "sqlite", "postgres"
DATABASE_PARTS = {SQLITE: "database.sqlite3", POSTGRES: "database.pgdump"}
EXCHANGE = "exchange/"
#: A manifest is a line for each session; what is larger is none.
MANIFEST_MAX = 64 << 20
#: Unpacked bytes that any file may have, and beyond that for each byte of the file: ours come to 20.
BYTES_FREE, BYTES_FOR_EACH = 64 << 20, 200
#: What a tar may have around a member, and at its end, of headers and padding.
_AROUND = 64 << 10
_CHUNK = 1 << 20
_PART = re.compile(r"database\.(sqlite3|pgdump)|exchange/[A-Za-z0-9_-]{1,64}\.sqlite3")
#: The last row that a journal has room for.
SEQ_MAX = 2**63 - 1
#: What a damaged file makes its readers raise.
_DAMAGE = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError)

Progress = Callable[[int, int], None]


def nothing(_done: int, _total: int) -> None:
    """Nobody watches."""


class Part(Struct, frozen=True):
    """One file inside: its name, its bytes, and their SHA-256."""

    name: str
    size: int
    sha256: str


class SessionHead(Struct, frozen=True):
    """How far a session had come: its last journal row and that row's hash."""

    id: str
    account_id: str
    broker: str
    status: str
    seq: int
    journal_hash: str


class Manifest(Struct, frozen=True):
    """What a backup holds, and of when (wall time). ``token``: the highest fencing token in it."""

    format: int
    kind: str
    program: str
    taken_at: datetime
    database: str
    server: str
    revision: str
    token: int
    sessions: tuple[SessionHead, ...]
    parts: tuple[Part, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all parts, unpacked."""
        return sum(part.size for part in self.parts)

    @property
    def database_part(self) -> str:
        """The name of the part that is the database."""
        return DATABASE_PARTS[self.kind]


def pack(target: Path, manifest: Manifest, files: Mapping[str, Path], progress: Progress = nothing) -> Manifest:
    """Write ``files`` (part name -> where it is) with their sums to ``target``, which must not exist; synced, 0600.

    Returns the manifest as it was written.

    Raises:
        StorageError: it cannot be written.
    """
    whole = msgspec.structs.replace(manifest, parts=tuple(part_of(name, path) for name, path in files.items()))
    text = msgspec.json.format(msgspec.json.encode(whole), indent=1)
    done = 0
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=6) as tar:
                tar.addfile(_entry(MANIFEST, len(text)), io.BytesIO(text))
                for part in whole.parts:
                    with files[part.name].open("rb") as file:
                        tar.addfile(_entry(part.name, part.size), file)
                    done += part.size
                    progress(done, whole.size)
            raw.flush()
            os.fsync(raw.fileno())
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}", hint="see that there is room") from error
    return whole


def manifest_of(file: IO[bytes], name: str) -> Manifest:
    """The manifest at the beginning of an archive.

    Raises:
        StorageError: it is no backup of ours, or of a newer program.
    """
    with _damage(name), gzip.GzipFile(fileobj=file) as plain:
        bounded = _Bounded(plain)
        with _opened(bounded) as tar:
            return _manifest(tar, bounded, name)


def unpack(archive: Path, folder: Path | None, name: str, progress: Progress = nothing) -> Manifest:
    """Write each part below ``folder``, and compare it with the manifest; without a folder it is compared only.

    Raises:
        StorageError: it is no backup of ours, or it is damaged.
    """
    with _damage(name), gzip.open(archive) as plain:
        bounded, room = _Bounded(plain), BYTES_FREE + BYTES_FOR_EACH * archive.stat().st_size
        with _opened(bounded) as tar:
            manifest = _taken_out(tar, bounded, room, folder, name, progress)
        while bounded.read(_CHUNK):  # to its end, where gzip's own sum is
            pass
    return manifest


class _Bounded:
    """What is unpacked, as far as it may go: whoever made the file chose what its headers ask for.

    A few thousand bytes are unpacked to gigabytes, and a header of a tar is read into memory whole.
    """

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self._left = _AROUND

    def allow(self, size: int) -> None:
        """From here on so many bytes, and what is around them. What was not used before is gone."""
        self._left = size + _AROUND

    def read(self, size: int) -> bytes:
        """
        Raises:
            ValueError: there is more than there may be.
        """
        content = self._file.read(min(size, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise ValueError("it unpacks to more than its manifest says")
        return content


def _opened(bounded: _Bounded) -> tarfile.TarFile:
    return tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r|")  # it only reads


def _taken_out(
    tar: tarfile.TarFile, bounded: _Bounded, room: int, folder: Path | None, name: str, progress: Progress
) -> Manifest:
    manifest, done = _manifest(tar, bounded, name), 0
    if min(part.size for part in manifest.parts) < 0 or manifest.size > room:
        raise _damaged(name, f"it would unpack to {manifest.size} bytes, and a file of its size to {room} at most")
    for part, member in _members(manifest, tar, bounded, name):
        source = tar.extractfile(member)
        assert source is not None
        if (_written(source, folder / part.name) if folder else _summed(source)) != part.sha256:
            raise _damaged(name, f"{part.name} does not match its checksum")
        done += part.size
        progress(done, manifest.size)
    return manifest


def _members(
    manifest: Manifest, tar: tarfile.TarFile, bounded: _Bounded, name: str
) -> Iterator[tuple[Part, tarfile.TarInfo]]:
    for part in manifest.parts:
        bounded.allow(0)
        member = tar.next()
        if member is None or not _is_plain(member) or (member.name, member.size) != (part.name, part.size):
            raise _damaged(name, f"{part.name} is not where its manifest says")
        bounded.allow(part.size)
        yield part, member
    bounded.allow(0)
    if tar.next() is not None:
        raise _damaged(name, "it holds more than its manifest says")


def _is_plain(member: tarfile.TarInfo) -> bool:
    """A sparse one would be as large as it says, whatever is in the file."""
    return member.isreg() and not member.issparse()


def _manifest(tar: tarfile.TarFile, bounded: _Bounded, name: str) -> Manifest:
    member = tar.next()
    if member is None or member.name != MANIFEST or not _is_plain(member) or member.size > MANIFEST_MAX:
        raise StorageError(f"{name} is no backup of gambler-ai", hint="name a file that `db backup` wrote")
    bounded.allow(member.size)
    file = tar.extractfile(member)
    assert file is not None
    try:
        manifest = msgspec.json.decode(file.read(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise _damaged(name, f"its manifest cannot be read: {one_line(str(error), 200)}") from error
    if manifest.format != FORMAT or manifest.kind not in DATABASE_PARTS:
        raise StorageError(
            f"{name} is a backup of format {manifest.format} ({one_line(manifest.kind, 20)}), this program reads"
            f" format {FORMAT}",
            hint=f"use the program that wrote it: {one_line(manifest.program, 40)}",
        )
    names = [part.name for part in manifest.parts]
    if names[:1] != [manifest.database_part] or len(set(names)) < len(names) or not all(map(_PART.fullmatch, names)):
        raise _damaged(name, "its manifest names parts that no backup has")
    if not all(is_id(head.id) and 0 <= head.seq <= SEQ_MAX for head in manifest.sessions):
        raise _damaged(name, "its manifest names sessions that no database has")
    refuse_token(manifest.token, name)
    return manifest


def refuse_token(token: int, name: str) -> None:
    """
    Raises:
        StorageError: nobody can have had such a token. Believed, it would leave none for those after it.
    """
    if not 0 <= token <= TOKEN_MAX:
        raise _damaged(name, f"its token is {token}, and {TOKEN_MAX} is the highest there can be")


@contextmanager
def _damage(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(f"there is no backup {name}", hint="see what is there: ls -l") from error
    except _DAMAGE as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else one_line(str(error), 200)
        raise _damaged(name, what or "it ends too early") from error


def _damaged(name: str, what: str) -> StorageError:
    return StorageError(f"backup {name} is damaged: {what}", hint="keep it, and take an older one")


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def part_of(name: str, path: Path) -> Part:
    """What a manifest says of a file."""
    with path.open("rb") as file:
        return Part(name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _written(source: IO[bytes], target: Path) -> str:
    """Write it to a new file, synced; the sum of what was written."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        total = _summed(source, file)
        file.flush()
        os.fsync(file.fileno())
    return total


def _summed(source: IO[bytes], target: IO[bytes] | None = None) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        if target is not None:
            target.write(chunk)
    return digest.hexdigest()
