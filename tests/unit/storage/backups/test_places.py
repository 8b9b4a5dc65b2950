"""Where backups are kept: folders, files and addresses; what is missing is told in one line."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest

from gambler_ai.errors import ConfigError, StorageError
from gambler_ai.storage.backups import places
from gambler_ai.storage.backups.archive import pack
from gambler_ai.storage.backups.places import LocalPlace, RemotePlace, place_of
from tests.recovery.harness import ROOT
from tests.unit.storage.backups.test_archive import MANIFEST

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    books = tmp_path / "books"
    books.write_bytes(b"books")
    pack(tmp_path / "made", MANIFEST, {"database.sqlite3": books})
    return tmp_path / "made"


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
        place.put(backup, places.name_for("gambler", AT, place.names()))
        assert len(place.names()) == number
    assert [kept.number for kept in places.kept(place, "gambler")] == [3, 2, 1]
    assert places.kept(place, "gamble") == []
    assert places.prune(place, "gambler", 1) == ["gambler-20261122-120000-2.tar.gz", "gambler-20261122-120000.tar.gz"]
    place.fetched("gambler-20261122-120000-3.tar.gz", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == backup.read_bytes()
    with pytest.raises(StorageError, match="there is no backup"):
        place.fetched("none.tar.gz", tmp_path / "again")


def test_what_an_upload_left_half_done_is_no_backup(backup: Path):
    place = place_of("memory://cut", exists=False)
    fsspec.filesystem("memory").pipe_file("/cut/gambler-20261122-120000.tar.gz.part", b"half")
    place.put(backup, "gambler-20261122-120000.tar.gz")
    assert place.names() == ["gambler-20261122-120000.tar.gz"]


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
    assert places.prune(place, "books", 1, made) == []
    assert places.prune(place, "books", 1) == [made]
