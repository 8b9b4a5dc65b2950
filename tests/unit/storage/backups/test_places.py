"""Where backups are kept: folders, files and addresses; what is missing is told in one line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from msgspec.structs import replace

from gambler_ai.errors import ConfigError, StorageError
from gambler_ai.storage.backups import places
from gambler_ai.storage.backups.archive import manifest_of, pack
from gambler_ai.storage.backups.places import LocalPlace, RemotePlace, place_of
from tests.recovery.harness import ROOT
from tests.unit.storage.backups.test_archive import MANIFEST

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return archive_of(tmp_path, MANIFEST.database)


def archive_of(folder: Path, database: str) -> Path:
    books, packed = folder / "books", folder / f"of {database}"
    books.write_bytes(b"books")
    pack(packed, replace(MANIFEST, database=database), {"database.sqlite3": books})
    return packed


def ours(_manifest: object) -> bool:
    return True


@pytest.mark.parametrize("url", ["", "file://"])
def test_a_path_is_a_folder_or_a_file(tmp_path: Path, url: str):
    (tmp_path / "there.tar.gz").write_text("x")
    (tmp_path / "folder").mkdir()
    cases = {
        ("there.tar.gz", True): "there.tar.gz", ("there.tar.gz", False): "there.tar.gz",
        ("new.tar.gz", False): "new.tar.gz",
        ("folder", True): "", ("folder", False): "", ("none", True): "none", ("none", False): "",
    }  # fmt: skip
    for (name, exists), file in cases.items():
        place = place_of(f"{url}{tmp_path}/{name}", exists=exists)
        assert isinstance(place, LocalPlace)
        assert place.file == file, (name, exists)


@pytest.mark.parametrize("where", ["", "memory://backups/deep"])
def test_it_goes_there_and_comes_back(tmp_path: Path, backup: Path, where: str):
    place = place_of(where or str(tmp_path / "new" / "folder"), exists=False)
    assert place.names() == []
    for number in (1, 2, 3):
        assert place.put(backup, places.name_for("gambler", AT, place.names()))
        assert len(place.names()) == number
    assert [kept.number for kept in places.kept(place, "gambler")] == [3, 2, 1]
    assert places.kept(place, "gamble") == []
    assert places.prune(place, "gambler", 1, "", ours) == [
        "gambler-20261122-120000-2.tar.gz",
        "gambler-20261122-120000.tar.gz",
    ]
    place.fetched("gambler-20261122-120000-3.tar.gz", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == backup.read_bytes()
    with pytest.raises(StorageError, match="there is no backup"):
        place.fetched("none.tar.gz", tmp_path / "again")


def test_what_an_upload_left_half_done_is_no_backup(backup: Path):
    place = place_of("memory://cut", exists=False)
    fsspec.filesystem("memory").pipe_file("/cut/gambler-20261122-120000.tar.gz.abc.part", b"half")
    place.put(backup, "gambler-20261122-120000.tar.gz")
    assert [kept.name for kept in places.kept(place, "gambler")] == ["gambler-20261122-120000.tar.gz"]


@pytest.mark.parametrize("where", ["", "memory://left"])
def test_what_a_kill_left_goes_after_a_day(tmp_path: Path, where: str):
    place = place_of(where or str(tmp_path), exists=False)
    old, new = "gambler-20261121-115959", "gambler-20261121-120001"
    stay = [f"{new}.tar.gz.0123456789ab.part", f"{old}.tar.gz", f"x{old}.tar.gz.part", f"{old}.part"]
    for name in [*stay, f"{old}.tar.gz.0123456789ab.part", f"{old}-2.tar.gz.part"]:
        if where:
            fsspec.filesystem("memory").pipe_file(f"/left/{name}", b"half")
        else:
            (tmp_path / name).write_bytes(b"half")
    places.clear(place, "gambler", AT)
    assert set(place.names()) == set(stay)


def test_an_address_may_name_the_file(backup: Path):
    place = place_of("memory://here/one.tar.gz", exists=True)
    assert isinstance(place, RemotePlace)
    assert (place.file, place.shown(place.file)) == ("one.tar.gz", "memory://here/one.tar.gz")


def test_a_password_in_an_address_is_not_shown():
    assert place_of("memory://me:geheim@here/x", exists=False).shown("y") == "memory://me:***@here/x/y"
    with pytest.raises(StorageError, match="cannot be reached") as caught:
        place_of("ftp://me:geheim@127.0.0.1:1/x", exists=False)
    assert "geheim" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(("url", "says"), [("s3://bucket/folder", "s3fs"), ("nowhere://x", "is no place for backups")])
def test_what_is_missing_is_told_in_one_line(url: str, says: str):
    with pytest.raises(ConfigError, match=says) as caught:
        place_of(url, exists=False)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_without_fsspec_folders_work_and_addresses_say_what_to_install():
    program = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from gambler_ai.storage.backups.places import place_of\n"
        "place_of('/tmp', exists=False)\n"
        "try: place_of('memory://x', exists=False)\n"
        "except Exception as error: print(type(error).__name__, error.message, error.hint)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.startswith("ConfigError backups at memory:// need the package fsspec")
    assert "gambler-ai[backup]" in said


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, backup: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot be used"):
        LocalPlace(tmp_path / "file" / "below", "").put(backup, "x.tar.gz")


def test_what_was_just_made_is_kept_whatever_a_clock_has_called_the_others(tmp_path: Path, backup: Path):
    place = LocalPlace(tmp_path / "folder", "")
    made, ahead = "books-20261122-120000.tar.gz", "books-20291122-120000.tar.gz"
    for name in (ahead, made):
        place.put(backup, name)
    assert places.prune(place, "books", 1, made, ours) == []
    assert places.prune(place, "books", 1, "", ours) == [made]


@pytest.mark.parametrize("where", ["", "memory://shared"])
def test_what_another_database_left_there_is_neither_counted_nor_deleted(tmp_path: Path, backup: Path, where: str):
    place = place_of(where or str(tmp_path / "shared"), exists=False)
    theirs = {f"gambler-20261122-12000{n}.tar.gz" for n in (1, 3, 5)}
    names = [f"gambler-20261122-12000{n}.tar.gz" for n in range(6)]
    with closing(archive_of(tmp_path, database="theirs").open("rb")) as other:
        assert manifest_of(other, "x").database == "theirs"
    for name in names:
        place.put(tmp_path / "of theirs" if name in theirs else backup, name)
    assert places.prune(place, "gambler", 2, "", lambda manifest: manifest.database == "x") == [names[0]]
    assert set(place.names()) == set(names[1:])


@pytest.mark.parametrize("has_links", [True, False])
def test_what_has_the_name_by_then_stays(tmp_path: Path, backup: Path, monkeypatch, has_links: bool):
    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    place = LocalPlace(tmp_path / "folder", "")
    assert place.put(backup, "a.tar.gz")
    (place.folder / "b.tar.gz").write_bytes(b"somebody else's")
    assert not place.put(backup, "b.tar.gz")
    assert (place.folder / "b.tar.gz").read_bytes() == b"somebody else's"
    assert (place.folder / "a.tar.gz").read_bytes() == backup.read_bytes()
    assert set(place.names()) == {"a.tar.gz", "b.tar.gz"}


def no_links(*_: object) -> None:
    """As a USB stick or a share does it."""
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_an_upload_does_not_replace_what_has_the_name_by_then(backup: Path):
    place = place_of("memory://taken", exists=False)
    fsspec.filesystem("memory").pipe_file("/taken/a.tar.gz", b"somebody else's")
    assert not place.put(backup, "a.tar.gz")
    assert place.names() == ["a.tar.gz"]
    with place.head("a.tar.gz") as file:
        assert file.read() == b"somebody else's"


@pytest.mark.parametrize("where", ["", "memory://both"])
def test_two_backups_at_once_do_not_write_into_one_file(tmp_path: Path, backup: Path, where: str):
    """The second begins while the first is half done: each has a file of its own for that, and one of them the name."""
    place = place_of(where or str(tmp_path / "both"), exists=False)
    put: list[bool] = []

    class Slow(type(tmp_path)):  # type: ignore[misc]
        def open(self, *args, **kwargs):
            if not put:
                put.append(False)
                put[0] = place.put(backup, "a.tar.gz")
            return super().open(*args, **kwargs)

    assert (place.put(Slow(backup), "a.tar.gz"), put) == (False, [True])
    place.fetched("a.tar.gz", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == backup.read_bytes()
    assert place.names() == ["a.tar.gz"]
