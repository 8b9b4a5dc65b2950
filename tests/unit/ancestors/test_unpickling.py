"""Pickles of plain data, read without unpickling: every protocol, both families of NumPy, and joblib's own format."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gambler_ai.ancestors.plain import DEPTH_MAX, walked
from gambler_ai.ancestors.refusal import Refused
from gambler_ai.ancestors.unpickling import read
from tests.unit.ancestors.make_files import containers

FILES = Path(__file__).parent / "files"
STORED = sorted(FILES.rglob("containers*.pkl"))


def same(found: Any, meant: Any) -> bool:
    """Equal, arrays by dtype, shape and numbers, containers by what is in them."""
    if isinstance(meant, np.ndarray):
        return bool(found.dtype == meant.dtype and found.tolist() == meant.tolist())
    if isinstance(meant, dict):
        return list(found) == list(meant) and all(same(found[key], value) for key, value in meant.items())
    if isinstance(meant, list | tuple):
        return len(found) == len(meant) and all(map(same, found, meant))
    if isinstance(meant, np.generic):
        return type(found) is type(meant.item()) and bool(found == meant.item())
    return bool(found == meant)


@pytest.mark.parametrize("path", STORED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_what_was_stored_is_read_whole(path: Path):
    meant = {**containers(), "deque": [1, 2, 3]}
    found = walked(read(path.read_bytes()))
    assert [name for name in meant if not same(found[name], meant[name])] == []


def test_there_is_a_file_of_each_protocol_and_each_numpy():
    names = {path.relative_to(FILES).as_posix() for path in STORED}
    assert {f"numpy{n}/containers_{protocol}.pkl" for n in (1, 2) for protocol in range(6)} <= names
    assert b"numpy.core.multiarray" in (FILES / "numpy1/containers_4.pkl").read_bytes()
    assert b"numpy._core.multiarray" in (FILES / "numpy2/containers_4.pkl").read_bytes()
    assert b"joblib.numpy_pickle" in (FILES / "numpy2/containers.pkl").read_bytes()


@pytest.mark.parametrize("cut", [1, 2, 10, 100, 500])
def test_half_a_pickle_is_refused(cut: int):
    data = (FILES / "numpy2/containers.pkl").read_bytes()
    with pytest.raises(Refused, match="not a whole pickle"):
        read(data[:-cut])


def test_an_escape_that_no_program_writes_is_refused_and_not_warned_of():
    assert read(b"S'a\\n'\n.") == "a\n"
    with pytest.raises(Refused, match="not a whole pickle"):
        read(b"S'a\\d'\n.")


def test_what_is_behind_the_end_is_not_passed_over():
    with pytest.raises(Refused, match="behind the end"):
        read(b"N.N.")


def test_a_day_that_is_none_is_refused():
    """The standard library takes such bytes unseen, and breaks later."""
    good = b"cdatetime\ndatetime\n(C\x0a\x07\xe9\x01\x02\x03\x04\x05\x00\x00\x06tR."
    assert read(good) == datetime(2025, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 (it names no zone)
    with pytest.raises(Refused, match=r"calls datetime\.datetime in a way"):
        read(good.replace(b"\x01\x02\x03", b"\x01\xff\x03"))


def test_a_list_in_itself_is_not_walked_for_ever():
    with pytest.raises(Refused, match=f"more than {DEPTH_MAX} deep, or contains itself"):
        walked(read(b"]q\x00h\x00a."))


def test_what_is_mentioned_twice_is_two():
    found = walked(read(b"(lp0\n(lp1\nag1\na."))
    found[0].append(1)
    assert found == [[1], []]


def test_an_aware_time_stays_one():
    assert walked(read((FILES / "numpy2/containers_5.pkl").read_bytes()))["aware"] == datetime(
        2025, 1, 2, 3, 4, 5, 6, tzinfo=UTC
    )
