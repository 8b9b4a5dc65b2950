"""Which seeds, and the command that runs one again."""

from __future__ import annotations

import pytest

from gambler_ai.errors import ConfigError
from gambler_ai.simulation.campaign import replay_command, seeds_of


def test_seeds_are_a_range_or_one() -> None:
    assert (seeds_of("0:1000"), seeds_of("4711")) == (range(1000), range(4711, 4712))


@pytest.mark.parametrize("text", ["", "x", "1:", ":1", "5:5", "7:3", "-1", "1:2:3", "1e3", "99999999999"])
def test_what_names_no_seed_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--seeds is FIRST:LAST"):
        seeds_of(text)


def test_the_command_says_how_long_a_session_was() -> None:
    assert replay_command(4711, None) == "gambler-ai simulate --seeds 4711 --verbose"
    assert replay_command(4711, 60.0) == "gambler-ai simulate --seeds 4711 --minutes 60 --verbose"
