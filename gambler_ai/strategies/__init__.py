"""Opinions about the market, pure: a view of it in, proposals out. What a strategy of your own imports."""

from gambler_ai.core.model import BarFrame, MarketView, Proposal, Side, Trade
from gambler_ai.strategies.base import Strategy

__all__ = ["BarFrame", "MarketView", "Proposal", "Side", "Strategy", "Trade"]
