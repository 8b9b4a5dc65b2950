"""Whether an account may trade what an options session would open, asked before anything of it is stored."""

from __future__ import annotations

from datetime import datetime

from gambler_ai.core.model import NEW_YORK
from gambler_ai.core.ports import Broker
from gambler_ai.core.state import Plan
from gambler_ai.errors import ConfigError
from gambler_ai.strategies import Strategy

#: What a level is for (BEHAVIOUR 3, mleg).
_FOR = {1: "calls on shares that are held", 2: "contracts that are bought", 3: "several contracts in one order"}


def refuse_without_access(broker: Broker, plan: Plan, strategy: Strategy, at: datetime) -> None:
    """Refuse an account whose options level is too low, and underlyings on which no contracts are listed.

    One that states no level is refused as well: each structure would be denied for it.

    Raises:
        ConfigError: the first of the two. BrokerError: it could not be asked.
    """
    level, needs = broker.account().options_level, strategy.options_level
    if level is None or level < needs:
        stated = "not stated" if level is None else level
        raise ConfigError(
            f"the account's options level is {stated}; {strategy.name} needs {needs}: {_FOR.get(needs, 'more')}",
            hint="raise it in the account's settings at the broker, or trade a strategy that needs less:"
            " --strategy covered_call needs 1",
        )
    bare = set(plan.symbols) - broker.with_options(plan.symbols, at.astimezone(NEW_YORK).date())
    if bare:
        raise ConfigError(
            f"the broker lists no options on {', '.join(sorted(bare))}", hint="leave them out of what is traded"
        )
