"""Structures of options, pure: chains of quotes in, proposals out. What an options strategy of your own imports."""

from gambler_ai.core.contracts import Contract, Right
from gambler_ai.core.structures import ChainQuery, ExitRules, Greeks, Leg, OptionQuote, StructureProposal
from gambler_ai.strategies.options.base import OptionsStrategy
from gambler_ai.strategies.options.chain import Expiry, chains
from gambler_ai.strategies.options.exits import Levels, levels
from gambler_ai.strategies.options.payoff import Payoff, payoff

__all__ = [
    "ChainQuery", "Contract", "ExitRules", "Expiry", "Greeks", "Leg", "Levels", "OptionQuote", "OptionsStrategy",
    "Payoff", "Right", "StructureProposal", "chains", "levels", "payoff",
]  # fmt: skip
