"""Worlds of the fault tools' own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.worlds import new_world
from tests.recovery.harness import World


@pytest.fixture
def world_at(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """``world_at(name, *options of exchange serve)``: as many as a test wants, gone when it ends."""
    with ExitStack() as stack:
        yield lambda name, *options: stack.enter_context(new_world(tmp_path / name, *options))
