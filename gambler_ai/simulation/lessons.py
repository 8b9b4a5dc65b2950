"""What must hold of learning: each outcome is told once, and who was killed knows what the journal teaches."""

from __future__ import annotations

from collections.abc import Iterator

from gambler_ai.app.assembly import learners_of
from gambler_ai.core import events as ev
from gambler_ai.core.components import Component
from gambler_ai.core.learning import Outcome
from gambler_ai.core.state import Changes, Plan, SessionState
from gambler_ai.proving.audit import Violation
from gambler_ai.storage.database import Database
from gambler_ai.trading.recall import recall


class Lessons:
    """Learners of their own that are taught by the journal, fact by fact, and die never."""

    def __init__(self, plan: Plan) -> None:
        self._learners: list[Component] = learners_of(plan.learning)
        self._due: list[Outcome] = []

    def before(self, fact: ev.Fact) -> Iterator[Violation]:
        """An outcome follows the fact that ends its round trip, and nothing comes in between."""
        told = fact.outcome if isinstance(fact, ev.OutcomeKnown) else None
        due = self._due.pop(0) if self._due else None
        if told != due:
            known, wanted = (None if one is None else one.position_id for one in (told, due))
            yield Violation("outcome", f"at {fact.at} that of {known} is told, that of {wanted} is due")

    def take(self, fact: ev.Fact, changes: Changes) -> None:
        """Learn from it."""
        self._due += changes.outcomes
        for learner in self._learners:
            learner.apply(fact)

    def same(self, database: Database, restored: SessionState) -> Iterator[Violation]:
        """What a resume would know, against what these know: bit for bit."""
        if not self._learners:
            return
        memory = recall(database, restored, learners_of(restored.plan.learning))
        for learner in self._learners:
            found = memory.view.get(learner.name)
            if found is None or found.dump() != learner.dump():
                yield Violation("learned", f"{learner.name} does not know what the journal teaches")
        for aside in memory.take_told():
            yield Violation("learned", f"{aside.name} #{aside.number}: {aside.reason}; {aside.used}")
