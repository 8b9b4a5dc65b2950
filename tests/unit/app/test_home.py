"""The state directory is ours alone, or it is refused; nothing but a dangerous mode is changed."""

from __future__ import annotations

import os

import pytest

from gambler_ai.app.home import make_private, refuse_link, unsafe
from gambler_ai.errors import ConfigError


def mode(path) -> int:
    return int(path.stat().st_mode & 0o7777)


@pytest.mark.parametrize("before", [0o770, 0o707, 0o777, 0o2770, 0o775])
def test_write_access_is_taken_from_others(tmp_path, before):
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(before)
    make_private(path)
    assert mode(path) == 0o700


@pytest.mark.parametrize("before", [0o700, 0o755, 0o750, 0o500])
def test_a_directory_that_others_can_only_read_is_left_as_it_is(tmp_path, before):
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(before)
    make_private(path)
    assert mode(path) == before


def test_a_shared_directory_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "tmp"
    path.mkdir()
    path.chmod(0o1777)
    with pytest.raises(ConfigError, match="shared by everybody"):
        make_private(path)
    assert mode(path) == 0o1777


def test_a_file_or_a_link_to_nothing_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is not a directory"):
        make_private(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="link to nothing"):
        make_private(tmp_path / "link")


def test_a_link_to_a_directory_counts_as_that_directory(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    make_private(tmp_path / "link")
    assert mode(tmp_path / "disk") == 0o700


def test_one_that_is_not_there_is_left_to_be_made(tmp_path):
    make_private(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
def test_that_of_another_user_is_refused_unless_we_are_root(tmp_path):
    path = tmp_path / "state"
    path.mkdir()
    os.chown(path, 12345, -1)
    assert unsafe(path) is None  # root: a volume of a container's
    tmp_path.chmod(0o755)
    os.seteuid(23456)
    try:
        found = unsafe(path)
    finally:
        os.seteuid(0)
    assert found in ("belongs to another user", "cannot be used: Permission denied")


def test_a_link_in_place_of_a_file_is_refused(tmp_path):
    refuse_link(tmp_path / "nothing")
    (tmp_path / "file").touch()
    refuse_link(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(ConfigError, match="symbolic link"):
        refuse_link(tmp_path / "link")
