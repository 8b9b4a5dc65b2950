"""A program with the marked keys, its broker, and the wish to find them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.recovery.harness import FORKED, Ended, Running, World, base_env
from tests.security.mirror import Mirror, mirror
from tests.security.scan import finds, left_in, needles


class Marked(World):
    """A home whose keys are markers. `check` scans all that was said and left."""

    def __init__(self, folder: Path, base_env: Mapping[str, str], mirror: Mirror) -> None:
        super().__init__(folder, base_env)
        self.mirror = mirror

    def env(self, crash_at: str = "", **more: str) -> dict[str, str]:
        return super().env(crash_at, **(self.mirror.env | more))

    def trades(self, *args: str, **more: Any) -> Ended:
        """A short one, logged and told as objects too."""
        speed = ("--speed", "0", "--duration", "12", "--symbols", "AAPL,MSFT")
        return self.run(*speed, "--log-file", str(self.folder / "session.log"), *args, **more)

    def session_id(self) -> str:
        return str(self.rows("SELECT id FROM sessions ORDER BY created_at")[-1]["id"])

    def check(self) -> None:
        wanted = needles()
        for ended in self.outputs:
            assert not finds((ended.out + ended.err).encode(), wanted), ended
        assert left_in(self.folder, wanted) == []
        assert self.mirror.seen, "the broker was never asked"
        if self.url:
            assert not finds(str(self.content()).encode(), wanted)


@pytest.fixture
def backend() -> str:
    return "sqlite"


@pytest.fixture
def marked(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Marked]:
    url = request.getfixturevalue("migrated_url") if backend == "postgres" else ""
    folder = tmp_path / "marked"
    folder.mkdir()
    with mirror() as far:
        yield Marked(folder, base_env(folder, url), mirror=far)


__all__ = ["FORKED", "Ended", "Marked", "Running"]
