"""Opinions about the market, pure: a view of it in, proposals out. What a strategy of your own imports."""

from gambler_ai.core.components import Component, StructComponent
from gambler_ai.core.model import BarFrame, MarketView, MoveStop, Proposal, Side, Trade, round_price
from gambler_ai.strategies.base import Strategy

__all__ = [
    "BarFrame", "Component", "MarketView", "MoveStop", "Proposal", "Side", "Strategy", "StructComponent", "Trade",
    "round_price",
]  # fmt: skip
