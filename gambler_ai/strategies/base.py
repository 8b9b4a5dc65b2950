"""The class that every strategy is made from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, ClassVar, NamedTuple

from msgspec import Struct

from gambler_ai.core.components import Component
from gambler_ai.core.model import Failed, MarketView, MoveStop, Proposal
from gambler_ai.core.structures import ChainQuery, StructureProposal


class Part(NamedTuple):
    """A strategy that another one asks; ``sha256`` is of its file's bytes, else ""."""

    name: str
    sha256: str


class Strategy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strategy is its parameters (typed fields with defaults) and what it makes of a view of the market.

    It remembers nothing else but what its `components` do, so that a session can be rebuilt from what is stored. This
    one proposes nothing.
    """

    #: What its orders and positions are filed under; the class's name in lower case unless a class says otherwise.
    name: ClassVar[str] = "none"
    #: What it trades: "shares", or "options" if it proposes structures.
    universe: ClassVar[str] = "shares"
    #: What the account must be allowed to do with options: 0 nothing, 1 covered calls, 2 long, 3 spreads.
    options_level: ClassVar[int] = 0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()

    @property
    def history(self) -> int:
        """Closed bars it wants to see of each symbol; a property or a field."""
        return 1

    @property
    def daily_history(self) -> int:
        """Daily bars it wants to see of each symbol, up to the last close."""
        return 0

    def chains(self, underlyings: Collection[str], day: date) -> Sequence[ChainQuery]:
        """Contracts it wants to see on a market day; nothing unless it trades options."""
        return ()

    def components(self) -> Sequence[Component]:
        """What it remembers, made anew; a view has them by name. A name is the strategy's own, or begins with it and
        a dot."""
        return ()

    def made_of(self) -> Sequence[Part]:
        """The strategies that it asks, if it does: their components are its own, and it changes when they do."""
        return ()

    def propose(self, view: MarketView) -> Sequence[Proposal | MoveStop | StructureProposal | Failed]:
        """What it would do now. Pure: the same view gives the same proposals."""
        return ()
