"""A strategy that chooses among others: for each symbol, by the regime it is in and what each has brought there.

Until its memory has shown that it predicts better than its rivals (`choices`), or `--use-learner chooser` insists, it
chooses by lot, with the same chance for each. So what it learns from is not what it had preferred.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace as replaced
from functools import cached_property
from typing import Annotated, Any

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr, replace

from gambler_ai.core.components import Component
from gambler_ai.core.learning import CHOOSER
from gambler_ai.core.model import BarFrame, Failed, MarketView, MoveStop, Proposal
from gambler_ai.core.proposals import CONTEXT_MAX, asked
from gambler_ai.core.structures import StructureProposal
from gambler_ai.learners import regimes
from gambler_ai.learners.choices import PREDICTED, REGIME, STRATEGY, Choices, ChooserMemory
from gambler_ai.strategies import loader
from gambler_ai.strategies.base import Part, Strategy

#: Strategies that it may choose among.
LEAST, MOST = 2, 10
#: The words that it gives an order, beside those of the strategy that proposed it.
_OURS = frozenset({STRATEGY, REGIME, PREDICTED})
_OURS_LISTED = ", ".join(sorted(_OURS))
#: How a choice was made, as the order says it.
_BY_LOT, _TRIED, _BEST = "by lot", "tried", "best so far"

Wish = Proposal | MoveStop


class Member(Struct, frozen=True):
    """A strategy that is chosen among. ``remembers`` names its components."""

    name: str
    loaded: loader.Loaded
    remembers: tuple[str, ...]


class Choice(Struct, frozen=True):
    """Who is heard of a symbol, in which regime, and how that came."""

    name: str
    regime: str
    how: str


class Chooser(Strategy, frozen=True, dict=True):
    """Asks one of several strategies about each symbol: the one that has brought most in its regime.

    ``strategies`` are names as ``--strategy`` takes them, files and modules too. ``settings`` has their parameters by
    ``NAME.PARAMETER``: ``--set settings=momentum.lookback:8,breakout.channel:10``. What is chosen is a function of
    ``seed``, symbol, bar and memory: the best in the regime, or with the chance ``epsilon`` any of them, each alike.
    ``learning_rate`` is the least weight of a new reward; 0 weighs all alike.

    Each strategy sees the market as if it were alone: so many bars as it asks for, what it opened itself, its own
    memory and its own words. Of a held symbol only the one that opened it is heard; a position that no strategy of
    these opened keeps its stop and target, and nobody is heard. One that fails is told, and the others are heard.
    """

    strategies: tuple[str, ...] = ("momentum", "mean_reversion", "breakout")
    settings: dict[str, str | int | float | bool] = field(default_factory=dict)
    epsilon: Annotated[float, Meta(ge=0, le=1)] = 0.1
    learning_rate: Annotated[float, Meta(ge=0, le=1)] = 0.05
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0

    def __post_init__(self) -> None:
        """Load them, so that a chooser that was made can be asked; each goes by what finds it again from anywhere."""
        if not LEAST <= len(self.strategies) <= MOST:
            raise ValueError(f"strategies: name {LEAST} to {MOST} to choose among, not {len(self.strategies)}")
        force_setattr(self, "strategies", tuple(member.loaded.spec for member in self.members))

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The strategies, in their order.

        Raises:
            ValueError: two have one name, one is a chooser, or a setting is nobody's.
            ConfigError: one cannot be loaded, or a parameter of it is not allowed.
        """
        found = [loader.find(spec) for spec in self.strategies]
        for one in found:
            if issubclass(one.cls, Chooser):
                raise ValueError(f"strategies: {one.spec} is a chooser, and cannot be chosen")
            if one.cls.universe != self.universe:
                raise ValueError(f"strategies: {one.spec} trades options; several of these are an options_mix")
        names = [one.cls.name for one in found]
        twice = next((name for name in names if names.count(name) > 1 or name == CHOOSER), None)
        if twice is not None:
            raise ValueError(f"strategies: two of them are called {twice}, and each needs a name of its own")
        values = loader.settings_of(self.settings, names)
        return tuple(_member(one, values[one.cls.name]) for one in found)

    @property
    def history(self) -> int:
        return max(regimes.BARS, *(member.loaded.strategy.history for member in self.members))

    def components(self) -> Sequence[Component]:
        """Its own memory, then theirs."""
        names = tuple(member.name for member in self.members)
        own = Choices(names, self.epsilon, self.learning_rate, self.seed)
        return (own, *(one for member in self.members for one in member.loaded.strategy.components()))

    def made_of(self) -> Sequence[Part]:
        """They, with what their sources are."""
        return tuple(Part(member.name, member.loaded.sha256) for member in self.members)

    def propose(self, view: MarketView) -> Sequence[Wish | Failed]:
        """What those that are chosen would enter, and those that opened it would do with what is held."""
        owners = {symbol: view.contexts.get(symbol, {}).get(STRATEGY, "") for symbol in view.held}
        memory = _memory(view)
        if memory is None and CHOOSER in view.insisted:
            choices: dict[str, Choice] = {}
            told = [Failed(CHOOSER, "its memory has failed, and nothing is entered without its word")]
        else:
            choices, told = self._choices(view, memory or ChooserMemory()), []
        wanted = {choice.name for choice in choices.values()} | set(owners.values())
        found: list[Wish] = []
        for member in self.members:
            if member.name in wanted:
                wishes, failed = _asked(member, _view(view, member, owners))
                told += failed
                found += [one for wish in wishes if (one := _heard(wish, member, owners, choices, memory)) is not None]
        columns = {symbol: column for column, symbol in enumerate(view.frame.symbols)}
        return [*told, *sorted(found, key=lambda wish: columns[wish.symbol])]

    def _choices(self, view: MarketView, memory: ChooserMemory) -> dict[str, Choice]:
        """By symbol that has a bar and is not held."""
        frame, heard = view.frame, CHOOSER in view.insisted or memory.contest.beats
        there = frame.times[-1].tolist() if len(frame) else [0] * len(frame.symbols)
        return {
            symbol: self._choice(symbol, at, regime, memory, heard=heard)
            for symbol, at, regime in zip(frame.symbols, there, regimes.regimes(frame), strict=True)
            if at and symbol not in view.held
        }

    def _choice(self, symbol: str, at: int, regime: str, memory: ChooserMemory, *, heard: bool) -> Choice:
        """``at`` is the left edge of its newest bar, in epoch seconds."""
        names = [member.name for member in self.members]
        chance, lot = _drawn(self.seed, symbol, at)
        if not heard or chance < self.epsilon:
            return Choice(names[int(lot * len(names))], regime, _TRIED if heard else _BY_LOT)
        values = [memory.cell(regime, name).value for name in names]
        best = [name for name, value in zip(names, values, strict=True) if value == max(values)]
        return Choice(best[int(lot * len(best))], regime, _BEST)


def _member(found: loader.Found, values: Mapping[str, Any]) -> Member:
    loaded = loader.prepare(found, values)
    strategy = loaded.strategy
    return Member(strategy.name, loaded, tuple(component.name for component in strategy.components()))


def _drawn(seed: int, symbol: str, at: int) -> tuple[float, float]:
    """Two numbers from 0 up to 1: the same for the same bar, whoever asks and however often."""
    digest = hashlib.blake2b(f"{seed}:{symbol}:{at}".encode(), digest_size=16).digest()
    chance, lot = (int.from_bytes(part, "big") >> 11 for part in (digest[:8], digest[8:]))
    return chance / (1 << 53), lot / (1 << 53)


def _memory(view: MarketView) -> ChooserMemory | None:
    """None if it has failed, and so is not there."""
    state = getattr(view.memory.get(CHOOSER), "state", None)
    return state if isinstance(state, ChooserMemory) else None


def _view(view: MarketView, member: Member, owners: Mapping[str, str]) -> MarketView:
    """The market as ``member`` would see it alone."""
    own = {symbol for symbol, name in owners.items() if name == member.name}
    words = {symbol: view.contexts[symbol] for symbol in own}
    return replaced(
        view, frame=_newest(view.frame, member.loaded.strategy.history),
        held={symbol: qty for symbol, qty in view.held.items() if symbol in own},
        entered={symbol: at for symbol, at in view.entered.items() if symbol in own},
        contexts={s: {name: word for name, word in said.items() if name not in _OURS} for s, said in words.items()},
        memory={name: view.memory[name] for name in member.remembers if name in view.memory}, insisted=frozenset(),
    )  # fmt: skip


def _newest(frame: BarFrame, bars: int) -> BarFrame:
    if len(frame) <= bars:
        return frame
    columns = ("times", "open", "high", "low", "close", "volume")
    return replaced(frame, **{name: getattr(frame, name)[-bars:] for name in columns})


def _asked(member: Member, view: MarketView) -> tuple[list[Wish], list[Failed]]:
    """What it proposes, and how it failed; its words must leave room for ours."""
    found, failed = asked(member.loaded.strategy, view, view.frame.symbols)
    if any(isinstance(wish, StructureProposal) for wish in found):
        return [], [*failed, Failed(member.name, "a chooser takes no structures of options")]
    wishes = [wish for wish in found if not isinstance(wish, StructureProposal)]
    for wish in wishes:
        words = wish.context if isinstance(wish, Proposal) else {}
        if words.keys() & _OURS or len(words) > CONTEXT_MAX - len(_OURS):
            text = f"context {words!r:.80}: a chooser takes {CONTEXT_MAX - len(_OURS)} words, and gives {_OURS_LISTED}"
            return [], [*failed, Failed(member.name, text)]
    return wishes, failed


def _heard(
    wish: Wish, member: Member, owners: Mapping[str, str], choices: Mapping[str, Choice], memory: ChooserMemory | None
) -> Wish | None:  # fmt: skip
    """A wish as it goes on, with what it came from; None if its strategy has no say there."""
    symbol, name = wish.symbol, member.name
    if isinstance(wish, MoveStop) or wish.exit:
        return replace(wish, reason=f"{name}: {wish.reason}") if owners.get(symbol) == name else None
    choice = choices.get(symbol)
    if choice is None or choice.name != name:
        return None
    words = {STRATEGY: name, REGIME: choice.regime}
    if memory is not None:
        words[PREDICTED] = memory.predicted(choice.regime, name)
    return replace(wish, reason=f"{name} ({choice.how}): {wish.reason}", context={**wish.context, **words})
