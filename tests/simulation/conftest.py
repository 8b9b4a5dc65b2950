"""One folder with an empty database of our schema, for all executions of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gambler_ai.simulation.campaign import workshop


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    with workshop() as found:
        yield found
