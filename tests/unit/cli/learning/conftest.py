"""What is shown of learners, made of real ones that were taught, without a database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.app.learning_view import LearnerPage, Learning, Standing, described
from gambler_ai.core.learning import LearningRules
from gambler_ai.learners.attention import Attention
from gambler_ai.learners.base import Grid
from gambler_ai.storage.components import ComponentInfo
from tests.unit.fakes import AT
from tests.unit.lessons import taught

GRID = Grid(
    ("rising, calm", "falling, wild"), ("momentum", "breakout", "mean_reversion"),
    ((0.61, 0.5, None), (None, 0.25, 0.31)), ((12, 3, 0), (0, 40, 7)),
)  # fmt: skip
STORED = ComponentInfo("s-1", "attention", 3, "acc-1", AT, AT, 1234, 1, "msgpack", {}, "ab" * 32, "", 4221)
MakePage = Callable[..., LearnerPage]


@pytest.fixture(scope="session")
def pages() -> dict[tuple[int, float], LearnerPage]:
    """Learners by how many outcomes they were told of, and by how much one feature tells."""
    found = {}
    for count, tells in ((0, 0.0), (21, 0.0), (25, 0.0), (120, 0.0), (900, 4.0)):
        learner = Attention()
        taught(learner, count, tells=tells)
        found[count, tells] = described(learner.describe())
    return found


@pytest.fixture
def make_page(pages: dict[tuple[int, float], LearnerPage]) -> MakePage:
    """``make_page(outcomes, tells, ROW'S AND PAGE'S FIELDS)``."""

    def make(count: int = 120, tells: float = 0.0, *, grid: Grid | None = None, **row: Any) -> LearnerPage:
        page = pages[count, tells]
        told = {"standing": Standing.WATCHING, "why": "nothing is asked of it", "hint": "gambler-ai --x"} | row
        return replace(page, row=replace(page.row, **told), grid=grid, stored=STORED)

    return make


def learning(*pages: LearnerPage, **changes: Any) -> Learning:
    found = Learning("s-1", "running", "acc-1", AT, LearningRules(("attention",)), pages)
    return replace(found, **changes)
