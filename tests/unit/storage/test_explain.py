"""What a database says when it is away, and what is ours to mend."""

from __future__ import annotations

import sqlite3
from typing import cast

import pytest
from sqlalchemy.exc import DBAPIError

from gambler_ai.errors import DatabaseOutage, StorageError
from gambler_ai.storage.explain import explained

psycopg = pytest.importorskip("psycopg")


def told(words: str, *, lost: bool = False) -> StorageError:
    error = DBAPIError("COMMIT", None, cast(Exception, psycopg.OperationalError(words)), connection_invalidated=lost)
    with pytest.raises(StorageError) as found, explained("there"):
        raise error
    return found.value


@pytest.mark.parametrize(
    "words",
    [
        "consuming input failed: SSL SYSCALL error: EOF detected",
        "consuming input failed: SSL connection has been closed unexpectedly",
        "consuming input failed: could not receive data from server: Connection timed out",
        "sending query failed: could not send data to server: Broken pipe",
        "the connection is lost",
    ],
)
def test_a_connection_that_broke_is_an_outage_whatever_the_words(words):
    assert isinstance(told(words, lost=True), DatabaseOutage)


@pytest.mark.parametrize(
    "words",
    [
        'connection to server at "db", port 5432 failed: SSL SYSCALL error: EOF detected',
        'connection to server at "db", port 5432 failed: SSL connection has been closed unexpectedly',
        'connection to server at "db", port 5432 failed: Connection timed out',
    ],
)
def test_a_server_that_breaks_off_while_it_is_connected_to_is_an_outage(words):
    assert isinstance(told(words), DatabaseOutage)


@pytest.mark.parametrize(
    "words",
    [
        'connection to server at "db", port 5432 failed: SSL error: certificate verify failed',
        'connection to server at "db", port 5432 failed: server does not support SSL, but SSL was required',
        'connection to server at "db", port 5432 failed: FATAL:  password authentication failed for user "me"',
    ],
)
def test_what_a_person_has_to_mend_is_none(words):
    assert not isinstance(told(words), DatabaseOutage)


def test_a_damaged_file_is_none():
    error = sqlite3.DatabaseError("database disk image is malformed")
    with pytest.raises(StorageError) as found, explained("there"):
        raise DBAPIError("SELECT 1", None, error, connection_invalidated=False)
    assert not isinstance(found.value, DatabaseOutage)
