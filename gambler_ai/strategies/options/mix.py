"""Several options strategies in one session, so that not all of it rests on one idea."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any, ClassVar

from msgspec import field
from msgspec.structs import force_setattr

from gambler_ai.core.components import Component
from gambler_ai.core.model import Failed, MarketView, MoveStop, Proposal
from gambler_ai.core.proposals import tried
from gambler_ai.core.state import OPTIONS
from gambler_ai.core.structure_proposals import checked_structures
from gambler_ai.core.structures import ChainQuery, StructureProposal
from gambler_ai.strategies import loader
from gambler_ai.strategies.base import Part, Strategy

#: Strategies that it may ask.
LEAST, MOST = 2, 10


class OptionsMix(Strategy, frozen=True, dict=True):
    """Asks several options strategies in turn: for each underlying the first whose proposal makes sense.

    ``of`` are names as ``--strategy`` takes them, files and modules too. ``settings`` has their parameters by
    ``NAME.PARAMETER``: ``--set settings=iron_condor.delta:0.2,straddle.dte_max:50``. The first underlying begins with
    the first strategy, the second with the second, and so on, so that they are spread; what one has nothing for goes
    to the next. A structure is filed under the strategy that proposed it. One that fails is told, and the others are
    heard.
    """

    name: ClassVar[str] = "options_mix"
    universe: ClassVar[str] = OPTIONS
    options_level: ClassVar[int] = 3

    of: tuple[str, ...] = ("iron_condor", "straddle", "vertical")
    settings: dict[str, str | int | float | bool | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Load them, so that a mix that was made can be asked; each goes by what finds it again from anywhere."""
        if not LEAST <= len(self.of) <= MOST:
            raise ValueError(f"of: name {LEAST} to {MOST} strategies, not {len(self.of)}")
        force_setattr(self, "of", tuple(member.spec for member in self.members))

    @cached_property
    def members(self) -> tuple[loader.Loaded, ...]:
        """The strategies, in their order.

        Raises:
            ValueError: two have one name, one trades no options or is a mix itself, or a setting is nobody's.
            ConfigError: one cannot be loaded, or a parameter of it is not allowed.
        """
        found = [loader.find(spec) for spec in self.of]
        for one in found:
            if issubclass(one.cls, OptionsMix) or one.cls.universe != OPTIONS:
                raise ValueError(f"of: {one.spec} is no strategy of options structures")
        names = [one.cls.name for one in found]
        twice = next((name for name in names if names.count(name) > 1 or name == self.name), None)
        if twice is not None:
            raise ValueError(f"of: two of them are called {twice}, and each needs a name of its own")
        values = loader.settings_of(self.settings, names)
        return tuple(loader.prepare(one, values[one.cls.name]) for one in found)

    @property
    def history(self) -> int:
        return max(member.strategy.history for member in self.members)

    @property
    def daily_history(self) -> int:
        return max(member.strategy.daily_history for member in self.members)

    def chains(self, underlyings: Collection[str], day: date) -> Sequence[ChainQuery]:
        """What they want to see; of what overlaps, one query for all of it."""
        asked = [query for member in self.members for query in member.strategy.chains(underlyings, day)]
        return joined(asked)

    def components(self) -> Sequence[Component]:
        return [one for member in self.members for one in member.strategy.components()]

    def made_of(self) -> Sequence[Part]:
        return tuple(Part(member.strategy.name, member.sha256) for member in self.members)

    def propose(self, view: MarketView) -> Sequence[Proposal | MoveStop | StructureProposal | Failed]:
        """One structure at most for each underlying, and who failed."""
        symbols = view.frame.symbols
        wishes: list[Mapping[str, StructureProposal]] = []
        told: list[Failed] = []
        for member in self.members:
            found, failed = tried(member.strategy, view, lambda all_: checked_structures(all_, symbols, view.at))
            wishes.append({one.underlying: one for one in reversed(found)})
            told += failed
        chosen = (_first(wishes, underlying, turn) for turn, underlying in enumerate(symbols))
        return [*told, *(one for one in chosen if one is not None)]


def joined(queries: Sequence[ChainQuery]) -> list[ChainQuery]:
    """Queries whose expiries overlap made one, wide enough for each: fewer requests, nothing left out."""
    found: list[ChainQuery] = []
    for query in sorted(queries, key=lambda one: (one.underlying, one.first_expiry, one.last_expiry)):
        last = found[-1] if found else None
        if last is None or last.underlying != query.underlying or last.last_expiry < query.first_expiry:
            found.append(query)
            continue
        within = max(last.within_pct, query.within_pct)
        found[-1] = ChainQuery(
            last.underlying, last.first_expiry, max(last.last_expiry, query.last_expiry), within
        )  # fmt: skip
    return found


def _first(wishes: Sequence[Mapping[str, Any]], underlying: str, turn: int) -> StructureProposal | None:
    """Of the strategies in turn, from that of the underlying on."""
    start = turn % len(wishes)
    order = (*wishes[start:], *wishes[:start])
    return next((found[underlying] for found in order if underlying in found), None)
