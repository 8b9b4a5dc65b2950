"""A strategy that remembers, for worlds in which it must not forget: it has seen each fact once, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from gambler_ai.core.components import Component, StructComponent
from gambler_ai.core.events import Fact
from gambler_ai.strategies.momentum import Momentum


class Chain(Struct, frozen=True):
    """How many facts were seen, and a hash of all of them in their order."""

    facts: int = 0
    digest: str = ""


def linked(chain: Chain, kind: str, at: datetime) -> Chain:
    """The chain with one fact more."""
    text = f"{chain.digest} {kind} {at.astimezone(UTC):%F %T.%f}"
    return Chain(chain.facts + 1, hashlib.sha256(text.encode()).hexdigest())


def follow(chain: Chain, fact: Fact) -> Chain:
    """The same, of a fact."""
    return linked(chain, type(fact).__name__, fact.at)


class Remembering(Momentum, frozen=True):
    """Momentum with a memory of everything that happened."""

    def components(self) -> Sequence[Component]:
        """The chain of all facts."""
        return [StructComponent(self.name, Chain(), follow)]
