"""The file that sessions move in: a zip of JSON lines and plain bytes, each named with its size and checksum.

`manifest.json` comes last and lists every other member. Nothing of a file is believed before it was compared with that
list: whoever made it may have meant harm.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from gambler_ai.core.text import one_line
from gambler_ai.errors import ConfigError, SchemaMismatch

#: What the manifest calls such a file, and the newest shape of one that this program writes and reads.
FORMAT, VERSION = "gambler-ai state", 1
MANIFEST = "manifest.json"

#: Of a manifest: a hundred bytes for each member.
MANIFEST_BYTES_MAX = 64 * 2**20
MEMBERS_MAX = 500_000
#: Unpacked bytes in all that any file may have, and beyond that for each byte of the file: ours come to 20.
BYTES_FREE, BYTES_FOR_EACH = 64 * 2**20, 200
#: One row as JSON; the longest are a few kilobytes.
LINE_BYTES_MAX = 16 * 2**20
#: One blob; what is in it is under zlib, and no larger without.
BLOB_BYTES_MAX = 257 * 2**20
#: A file is read twice: looked at, and brought in.
_READ = 2

_CHUNK = 2**20
#: The same rows give the same bytes, whenever they are written.
_NO_DATE = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1


class Member(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the zip, with the size and checksum of what is in it."""

    name: str
    size: int
    sha256: str


class MovedSession(Struct, frozen=True, forbid_unknown_fields=True):
    """One session of the file. ``token`` is the highest that its account had, ``rows`` a number for each table."""

    id: str
    account_id: str
    broker: str
    trading_url: str
    status: str
    seq: int
    journal_hash: str
    token: int
    rows: dict[str, int]
    exchange: bool


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a file holds, which program wrote it, and from which schema. ``made_at`` is wall time."""

    format: str
    version: int
    program: str
    schema: str
    made_at: datetime
    sessions: tuple[MovedSession, ...]
    members: tuple[Member, ...] = ()


class _Preface(Struct, frozen=True):
    format: str
    version: int


def rows_name(session_id: str, table: str) -> str:
    """The member with the rows of a table."""
    return f"sessions/{session_id}/{table}.jsonl"


def blob_name(sha256: str) -> str:
    """The member with bytes that rows name by their checksum."""
    return f"blobs/{sha256}"


def exchange_name(session_id: str) -> str:
    """The member with the account file of a session's embedded exchange."""
    return f"exchange/{session_id}.sqlite3"


class ExportWriter:
    """Writes members one after the other; `finish` adds the manifest. Close it, also when it came to nothing."""

    def __init__(self, file: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._members: dict[str, Member] = {}

    def add(self, name: str, chunks: Iterable[bytes]) -> int:
        """A member out of ``chunks``. Returns how many there were."""
        digest, size, count = hashlib.sha256(), 0, 0
        with self._zip.open(_info(name), "w", force_zip64=True) as out:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                count += 1
                out.write(chunk)
        self._members[name] = Member(name, size, digest.hexdigest())
        return count

    def add_blob(self, content: bytes) -> str:
        """Bytes, once however often they come. Returns their checksum."""
        sha256 = hashlib.sha256(content).hexdigest()
        if blob_name(sha256) not in self._members:
            self.add(blob_name(sha256), [content])
        return sha256

    def finish(self, manifest: Manifest) -> None:
        """The manifest with all that was added, and the end of the file."""
        members = tuple(self._members[name] for name in sorted(self._members))
        whole = msgspec.structs.replace(manifest, members=members)
        self._zip.writestr(_info(MANIFEST), msgspec.json.format(msgspec.json.encode(whole)))
        self._zip.close()

    def close(self) -> None:
        """Write nothing more."""
        self._zip.close()


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _NO_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


def is_ours(path: Path) -> bool:
    """Whether a file says that it is one of these, be it damaged or from a newer program."""
    try:
        with zipfile.ZipFile(path) as found:
            return _preface(_manifest_text(found)).format == FORMAT
    except (OSError, KeyError, *_ZIP_SAYS, msgspec.MsgspecError, ConfigError):
        return False


class ExportFile:
    """A file to be read, whose list of members agrees with its manifest. What is in them is compared as it is read."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ConfigError: it cannot be read, or is not what it says.
            SchemaMismatch: a newer program wrote it.
        """
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
        except _ZIP_SAYS as error:
            raise self.unfit(f"it is no whole zip file ({_said(error)})") from None
        try:
            self.manifest = self._read_manifest()
            self._members = self._checked_members()
            self._unread = set(self._members)
            self._named = 0
        except BaseException:
            self._zip.close()
            raise

    @property
    def _room(self) -> int:
        """Bytes that a file of its size may unpack to."""
        return BYTES_FREE + BYTES_FOR_EACH * self.path.stat().st_size

    def close(self) -> None:
        """Read nothing more."""
        self._zip.close()

    def unfit(self, why: str) -> ConfigError:
        """The error that says why this file is not taken."""
        hint = "nothing was changed; export it again where it comes from"
        return ConfigError(f"{self.path} is not imported: {one_line(why, 300)}", hint=hint)

    @property
    def unread(self) -> list[str]:
        """Members that nobody has asked for yet."""
        return sorted(self._unread)

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a member.

        Raises:
            ConfigError: it is not what the manifest says.
        """
        rest = b""
        for chunk in self.chunks(name):
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > LINE_BYTES_MAX:
                raise self.unfit(f"{name} has a line of more than {LINE_BYTES_MAX} bytes")
            yield from whole
        if rest:
            raise self.unfit(f"{name} ends inside a line")

    def blob(self, sha256: str) -> bytes:
        """The bytes that rows name so. One may be named by many rows, and each of them has it whole.

        Raises:
            ConfigError: it is not what the manifest says, or it is too much in all.
        """
        name = blob_name(sha256)
        size = self._members[name].size if name in self._members else 0
        self._named += size
        if size > BLOB_BYTES_MAX or self._named > _READ * self._room:
            raise self.unfit(
                f"its rows name more bytes than a file of its size may hold: {self._room}, or {name} alone"
            )
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """A member piece by piece; at its end it is known whether they were the right ones.

        Raises:
            ConfigError: it is not what the manifest says.
        """
        member = self._members.get(name)
        if member is None:
            raise self.unfit(f"{name} is not in it")
        digest, left = hashlib.sha256(), member.size
        self._unread.discard(name)
        try:
            with self._zip.open(name) as file:
                while chunk := file.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        break
                    digest.update(chunk)
                    yield chunk
        except (OSError, *_ZIP_SAYS) as error:
            raise self.unfit(f"{name} cannot be unpacked: {_said(error)}") from None
        if left or digest.hexdigest() != member.sha256:
            raise self.unfit(f"{name} is not what the manifest says: its checksum does not match")

    def _read_manifest(self) -> Manifest:
        try:
            text = _manifest_text(self._zip)
            preface = _preface(text)
            if preface.format != FORMAT:
                raise self.unfit(f"its manifest is of {preface.format[:80]!r}, not of {FORMAT!r}")
            if preface.version > VERSION:
                raise SchemaMismatch(
                    f"{self.path} is of format {preface.version}, this program reads up to {VERSION}",
                    hint="import it with the program that wrote it, or a newer one",
                )
            return msgspec.json.decode(text, type=Manifest)
        except KeyError:
            raise self.unfit(f"it has no {MANIFEST}") from None
        except (OSError, *_ZIP_SAYS, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self.unfit(f"its manifest cannot be read: {_said(error)}") from None

    def _checked_members(self) -> dict[str, Member]:
        """The manifest's list, if it names what is there: everything once, plain, and no larger than it may be."""
        listed = {member.name: member for member in self.manifest.members}
        infos = [info for info in self._zip.infolist() if info.filename != MANIFEST]
        names = [info.filename for info in infos]
        for what, wrong in (
            ("is in it twice", _twice([info.filename for info in self._zip.infolist()])),
            ("is listed twice", _twice([member.name for member in self.manifest.members])),
            ("is in it and not listed", sorted(set(names) - set(listed))),
            ("is listed and not in it", sorted(set(listed) - set(names))),
        ):
            if wrong:
                raise self.unfit(f"{wrong[0][:120]!r} {what}")
        for info in infos:
            if why := _why_not(info, listed[info.filename]):
                raise self.unfit(f"{info.filename[:120]!r} {why}")
        whole = sum(member.size for member in listed.values())
        if whole > self._room or len(listed) > MEMBERS_MAX or min((m.size for m in listed.values()), default=0) < 0:
            raise self.unfit(f"it would unpack to {whole} bytes, and a file of its size to {self._room} at most")
        return listed


#: What the standard library says of a zip that is damaged, or made by an enemy.
_ZIP_SAYS = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, RuntimeError, ValueError)


def _manifest_text(found: zipfile.ZipFile) -> bytes:
    info = found.getinfo(MANIFEST)
    if info.file_size > MANIFEST_BYTES_MAX:
        raise zipfile.BadZipFile("it is too large")
    if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile("its manifest is packed in a way that this program does not write")
    with found.open(info) as file:
        return file.read(MANIFEST_BYTES_MAX)


def _preface(text: bytes) -> _Preface:
    with suppress(RecursionError):
        return msgspec.json.decode(text, type=_Preface)
    raise msgspec.DecodeError("it is nested too deeply")


def _why_not(info: zipfile.ZipInfo, member: Member) -> str:
    """Why a member of a zip is none of ours; "" when it may be."""
    parts = info.filename.split("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.filename.startswith("/") or "\\" in info.filename or any(part in ("", ".", "..") for part in parts):
        return "is no name of a member: it would lead elsewhere"
    if kind not in (0, stat.S_IFREG):
        return "is no plain file"
    if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is encrypted, or packed in a way that this program does not write"
    if info.file_size != member.size:
        return f"has {info.file_size} bytes, the manifest says {member.size}"
    return ""


def _twice(names: list[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _said(error: BaseException) -> str:
    return one_line(str(error) or type(error).__name__, 120)
