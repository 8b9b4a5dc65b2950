"""Requests: rows that wait in the order in which they were asked, until one answer stands beside each."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.errors import StorageError
from gambler_ai.storage import requests, sessions
from tests.unit.fakes import AT, SESSION, after, make_state
from tests.unit.storage.conftest import add


def ask(database, kind="halt", argument="", reason="lunch", by="ann on desk", at=AT, session_id=SESSION) -> str:
    with database.write() as db:
        return requests.add(db, sessions.find(db, session_id), kind, argument, reason, by, at)


def waiting(database, session_id=SESSION):
    with database.read() as db:
        return requests.waiting(db, session_id)


@pytest.mark.usefixtures("session")
def test_what_is_asked_waits_as_it_was_asked(database):
    request_id = ask(database, "flatten", "AAPL")
    [request] = waiting(database)
    assert (request.id, request.kind, request.argument, request.reason) == (request_id, "flatten", "AAPL", "lunch")
    assert request.asked_by == "ann on desk"


@pytest.mark.usefixtures("session")
def test_the_oldest_comes_first_though_all_were_asked_within_a_second(database):
    """Halt and resume-trading the wrong way round would leave a session trading that was to be halted."""
    ids = [ask(database, at=AT + timedelta(milliseconds=n)) for n in range(12)]
    assert [request.id for request in waiting(database)] == ids


@pytest.mark.usefixtures("session")
def test_what_was_answered_waits_no_more_and_keeps_its_answer(database):
    first, second = ask(database), ask(database, at=after(seconds=1))
    with database.write() as db:
        requests.answer(db, first, "no entries", after(seconds=2))
    assert [request.id for request in waiting(database)] == [second]
    with database.read() as db:
        row, other = requests.find(db, first), requests.find(db, second)
    assert row is not None
    assert other is not None
    assert (row.asked_at, row.taken_at, row.answer) == (AT, after(seconds=2), "no entries")
    assert (other.taken_at, other.answer) == (None, "")


@pytest.mark.usefixtures("session")
def test_each_session_has_its_own(database):
    other = make_state()
    other.session_id = "s-2"
    add(database, other)
    ask(database, session_id="s-2")
    assert waiting(database) == []
    assert len(waiting(database, "s-2")) == 1


@pytest.mark.usefixtures("session")
def test_a_reason_is_one_line_that_a_terminal_can_show(database):
    ask(database, reason="\x1b[31mred\nand more" + "x" * 1000, by="ann\x07" * 100)
    [request] = waiting(database)
    assert request.reason.startswith("[31mred and more")
    assert len(request.reason) <= requests.TEXT_MAX
    assert request.reason.isprintable()
    assert request.asked_by.isprintable()
    assert len(request.asked_by) <= 255


@pytest.mark.usefixtures("session")
def test_only_what_can_be_asked_is_written(database):
    with pytest.raises(AssertionError):
        ask(database, "double-down")
    assert waiting(database) == []


def test_a_request_that_is_not_there_is_none(database):
    with database.read() as db:
        assert requests.find(db, "nothing") is None


def test_a_request_of_no_session_is_not_written(database, session):
    with database.read() as db:
        info = replace(sessions.find(db, session.session_id), id="nobody")
    with pytest.raises(StorageError, match=r"(?i)foreign key"), database.write() as db:
        requests.add(db, info, "halt", "", "", "", AT)
