"""What tests of several rooms begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gambler_ai.storage.database import Database


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A database of each kind, with our schema."""
    opened = Database(migrated_url)
    opened.prepare()
    yield opened
    opened.close()
