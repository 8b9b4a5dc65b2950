"""Databases of our own on a server: made, used, dropped; nobody else's is touched."""

import pytest

from gambler_ai.errors import ConfigError
from gambler_ai.proving.books import Books
from gambler_ai.proving.databases import PREFIX, Databases
from tests.databases import postgres_only


def names(postgres) -> set[str]:
    return {name for (name,) in postgres.execute("SELECT datname FROM pg_database")}


@postgres_only
def test_each_world_has_one_with_our_schema_and_all_are_dropped(backend, postgres):
    before = names(postgres)
    made = Databases(postgres.url("postgres"))
    first, second = made.make(), made.make()
    assert first != second
    assert Books(first).rows("SELECT * FROM sessions") == []
    assert {name for name in names(postgres) - before if not name.startswith(PREFIX)} == set()
    made.drop(first)
    assert len(names(postgres) - before) == 2  # the second, and the one they are copied from
    made.close()
    assert names(postgres) == before


@postgres_only
def test_only_its_own_are_dropped(backend, postgres):
    theirs = postgres.create(migrated=False)
    made = Databases(postgres.url(theirs))
    made.drop(postgres.url(theirs))
    made.close()
    assert theirs in names(postgres)
    postgres.drop(theirs)


@postgres_only
def test_a_role_that_may_not_make_databases_is_refused(backend, postgres):
    with pytest.raises(ConfigError, match="role gambler may not create databases on ") as refused:
        Databases(postgres.tcp_url("postgres"))
    assert "CREATEDB" in refused.value.hint
    assert "geheim" not in refused.value.message + refused.value.hint


def test_another_kind_of_database_is_refused():
    with pytest.raises(ConfigError, match="takes a Postgres URL"):
        Databases("sqlite:////tmp/x.sqlite3")
