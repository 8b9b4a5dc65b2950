"""One file with its manifest: what is whole comes out as it went in, and everything else is named and refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import tarfile
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from gambler_ai.errors import StorageError
from gambler_ai.storage.backups import archive
from gambler_ai.storage.backups.archive import Manifest, SessionHead, manifest_of, pack, unpack

HEAD = SessionHead("s-1", "acc-1", "embedded", "running", 3, "a" * 64)
MANIFEST = Manifest(
    format=1, kind="sqlite", program="gambler-ai 0", taken_at=datetime(2026, 11, 22, tzinfo=UTC), database="x",
    server="SQLite", revision="0004", token=7, sessions=(HEAD,),
)  # fmt: skip
CONTENT = {"database.sqlite3": b"books" * 1000, "exchange/s-1.sqlite3": b"account"}


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    files = {}
    for name, content in CONTENT.items():
        files[name] = tmp_path / name.replace("/", "_")
        files[name].write_bytes(content)
    pack(tmp_path / "b.tar.gz", MANIFEST, files)
    return tmp_path / "b.tar.gz"


def made(tmp_path: Path, manifest: Manifest, members: list[tuple[str, bytes]]) -> Path:
    """An archive of somebody else's making."""
    path = tmp_path / "theirs.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in [("manifest.json", msgspec.json.encode(manifest)), *members]:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def part(name: str, content: bytes, **changes: object) -> archive.Part:
    whole = archive.Part(name, len(content), hashlib.sha256(content).hexdigest())
    return replace(whole, **changes)


def test_it_comes_out_as_it_went_in(packed: Path, tmp_path: Path):
    seen: list[tuple[int, int]] = []
    out = tmp_path / "out"
    out.mkdir()
    manifest = unpack(packed, out, "b", lambda done, total: seen.append((done, total)))
    assert {name: (out / name).read_bytes() for name in CONTENT} == CONTENT
    assert replace(manifest, parts=()) == MANIFEST
    assert seen[-1] == (5007, 5007) == (manifest.size, manifest.size)
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600
    assert stat.S_IMODE((out / "database.sqlite3").stat().st_mode) == 0o600
    with packed.open("rb") as file:
        assert manifest_of(file, "b") == manifest


def test_cut_short_anywhere_it_is_damaged(packed: Path, tmp_path: Path):
    content = packed.read_bytes()
    for size in (0, 1, 30, len(content) // 2, len(content) - 1):
        packed.write_bytes(content[:size])
        with pytest.raises(StorageError, match=r"damaged|no backup"):
            unpack(packed, None, "b")


@pytest.mark.parametrize("at", range(0, 300, 7))
def test_a_changed_byte_never_passes_for_another_content(packed: Path, tmp_path: Path, at: int):
    content = bytearray(packed.read_bytes())
    content[at % len(content)] ^= 0x10
    packed.write_bytes(content)
    out = tmp_path / "out"
    out.mkdir()
    try:
        unpack(packed, out, "b")
    except StorageError:
        return
    assert {name: (out / name).read_bytes() for name in CONTENT} == CONTENT  # a byte of gzip's own header


BOOKS = part("database.sqlite3", b"books")
STRANGE = {
    "another file": ([part("../../etc/passwd", b"x")], [("../../etc/passwd", b"x")], "names parts that no backup has"),
    "beside the database": (
        [BOOKS, part("exchange/../x.sqlite3", b"x")], [("database.sqlite3", b"books"), ("exchange/../x.sqlite3", b"x")],
        "names parts that no backup has",
    ),
    "another sum": ([part("database.sqlite3", b"other")], [("database.sqlite3", b"books")], "does not match"),
    "another size": ([replace(BOOKS, size=4)], [("database.sqlite3", b"books")], "is not where its manifest says"),
    "missing": ([BOOKS], [], "is not where its manifest says"),
    "one more": ([BOOKS], [("database.sqlite3", b"books"), ("more", b"x")], "holds more than its manifest says"),
    "no database": ([], [], "names parts that no backup has"),
}  # fmt: skip


@pytest.mark.parametrize("case", STRANGE)
def test_what_somebody_else_made_is_refused_by_what_is_wrong(tmp_path: Path, case: str):
    parts, members, says = STRANGE[case]
    path = made(tmp_path, replace(MANIFEST, parts=tuple(parts)), members)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(StorageError, match=says):
        unpack(path, out, "b")
    assert not (tmp_path / "etc").exists()


def test_a_link_is_not_followed(tmp_path: Path):
    path = tmp_path / "link.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        text = msgspec.json.encode(replace(MANIFEST, parts=(replace(BOOKS, size=0),)))
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
        entry = tarfile.TarInfo("database.sqlite3")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(StorageError, match="is not where its manifest says"):
        unpack(path, None, "b")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"no archive", "damaged"), (b"", "damaged")],
)
def test_another_file_is_no_backup(tmp_path: Path, content: bytes, says: str):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=says):
        unpack(path, None, "x")
    with pytest.raises(StorageError, match="there is no backup"):
        unpack(tmp_path / "none", None, "none")


def test_a_newer_format_names_the_program_that_wrote_it(tmp_path: Path):
    path = made(tmp_path, replace(MANIFEST, format=2, program="gambler-ai 9.0"), [])
    with pytest.raises(StorageError, match="format 2") as caught:
        unpack(path, None, "b")
    assert "gambler-ai 9.0" in caught.value.hint


def refused(path: Path, says: str) -> None:
    """By all who read it, and without the memory that it asks for."""
    tracemalloc.start()
    try:
        with pytest.raises(StorageError, match=says):
            unpack(path, None, "b")
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 << 20


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for entry, content in members:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def manifest_entry(parts: tuple[archive.Part, ...]) -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo("manifest.json"), msgspec.json.encode(replace(MANIFEST, parts=parts))


def header(kind: bytes, size: int = 16 << 20) -> tuple[tarfile.TarInfo, bytes]:
    """A header that is nothing but long: a PAX one is a list of values, the other a name."""
    entry = tarfile.TarInfo("x")
    entry.type = kind
    digits = str(size)
    return entry, f"{digits} comment=".encode().ljust(size - 1, b"a") + b"\n"


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("where", ["before the manifest", "before a part", "at the end"])
def test_a_header_is_not_read_that_is_longer_than_any_of_ours(tmp_path: Path, kind: bytes, where: str):
    large = part("database.sqlite3", bytes(32 << 20)) if where == "before a part" else BOOKS
    members = [manifest_entry((large,)), (tarfile.TarInfo("database.sqlite3"), b"books")]
    members.insert(["before the manifest", "before a part", "at the end"].index(where), header(kind))
    path = tar_of(tmp_path / "b.tar.gz", *members)
    refused(path, "it unpacks to more than its manifest says")
    if where == "before the manifest":
        with path.open("rb") as file, pytest.raises(StorageError, match="it unpacks to more"):
            manifest_of(file, "b")


def test_what_follows_the_end_is_not_read_to_its_end(tmp_path: Path):
    path = tar_of(tmp_path / "b.tar.gz", manifest_entry((BOOKS,)), (tarfile.TarInfo("database.sqlite3"), b"books"))
    with path.open("ab") as file:
        file.write(gzip.compress(bytes(32 << 20)))
    refused(path, "it unpacks to more than its manifest says")


def test_what_would_fill_the_disk_is_not_unpacked(tmp_path: Path):
    size = archive.BYTES_FREE + (32 << 20)
    path = tar_of(tmp_path / "b.tar.gz", manifest_entry((archive.Part("database.sqlite3", size, "0" * 64),)))
    refused(path, f"it would unpack to {size} bytes")


def test_a_file_with_holes_is_none_of_ours(tmp_path: Path):
    """It is as large as it says, and its content is nowhere."""
    entry = tarfile.TarInfo("database.sqlite3")
    entry.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,5",
                         "GNU.sparse.size": "5"}  # fmt: skip
    refused(tar_of(tmp_path / "b.tar.gz", manifest_entry((BOOKS,)), (entry, b"books")), "is not where its manifest")


@pytest.mark.parametrize("values", [{"seq": 2**63}, {"seq": -1}, {"id": "a\0b"}, {"id": "x" * 65}])
def test_a_session_that_no_database_can_have_is_not_asked_for(tmp_path: Path, values: dict[str, object]):
    strange = replace(MANIFEST, sessions=(replace(HEAD, **values),), parts=(BOOKS,))
    refused(made(tmp_path, strange, [("database.sqlite3", b"books")]), "names sessions that no database has")


@pytest.mark.parametrize("token", [-1, 10**12 + 1, 2**63 - 1])
def test_a_token_that_nobody_can_have_had_is_not_believed(tmp_path: Path, token: int):
    path = made(tmp_path, replace(MANIFEST, token=token, parts=(BOOKS,)), [("database.sqlite3", b"books")])
    refused(path, f"its token is {token}")
