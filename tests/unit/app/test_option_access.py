"""Whether an account may trade structures, asked before a session is stored."""

from collections.abc import Collection
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.app.option_access import refuse_without_access
from gambler_ai.core.model import Account
from gambler_ai.errors import ConfigError
from gambler_ai.strategies.options.iron_condor import IronCondor
from tests.unit.fakes import AT
from tests.unit.structures import OPTIONS_MONEY, options_state


class Stated:
    """A broker that states this level, and lists contracts on everything."""

    def __init__(self, level: int | None) -> None:
        self._level = level

    def account(self) -> Account:
        return replace(OPTIONS_MONEY, options_level=self._level)

    def with_options(self, symbols: Collection[str], day: date) -> set[str]:
        return set(symbols)


@pytest.mark.parametrize(("level", "says"), [(2, "options level is 2"), (0, "is 0"), (None, "is not stated")])
def test_a_level_that_is_too_low_or_not_stated_is_refused(level, says):
    """Each proposal would be denied for it, so a session that starts would trade nothing."""
    broker: Any = Stated(level)
    with pytest.raises(ConfigError, match=f"{says}; iron_condor needs 3") as refused:
        refuse_without_access(broker, options_state().plan, IronCondor(), AT)
    assert refused.value.hint


def test_one_that_is_high_enough_is_not():
    broker: Any = Stated(3)
    refuse_without_access(broker, options_state().plan, IronCondor(), AT)
