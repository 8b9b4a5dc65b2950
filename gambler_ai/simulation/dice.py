"""A strategy that trades often: what it wants of a symbol is drawn from the bar that it sees."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal

from gambler_ai.core.components import Component, StructComponent
from gambler_ai.core.model import MarketView, Proposal, Side
from gambler_ai.proving.remembering import Chain, follow
from gambler_ai.strategies.base import Strategy


class Dice(Strategy, frozen=True):
    """In or out with these chances in a thousand for each bar; the same bar gives the same throw."""

    seed: int = 0
    enter: int = 200
    leave: int = 50

    def components(self) -> Sequence[Component]:
        """A memory of everything that happened; its throws do not depend on it."""
        return [StructComponent(self.name, Chain(), follow)]

    def propose(self, view: MarketView) -> Sequence[Proposal]:
        """An entry on either side where nothing is held, an exit where something is."""
        found = []
        for column, symbol in enumerate(view.frame.symbols):
            if not len(view.frame) or not int(view.frame.times[-1, column]):
                continue
            bar = view.frame.newest_at(column)
            throw = int.from_bytes(hashlib.sha256(f"{self.seed} {symbol} {bar:%F %T}".encode()).digest()[:4])
            held = symbol in view.held
            if throw % 1000 < (self.leave if held else self.enter):
                side = Side.BUY if throw & 1024 else Side.SELL
                stop, target = Decimal(1 + (throw >> 12) % 8) / 4, Decimal(1 + (throw >> 16) % 8) / 4
                found.append(Proposal(symbol, side, bar, f"threw {throw % 1000}", stop, target, exit=held))
        return found
