"""What learners take up of an import at their first run, as facts: so it is in the journal, and is taken up once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gambler_ai.ancestors.learned import QTable, Weights
from gambler_ai.app.inheriting import inherited
from gambler_ai.app.taking_up import ATTENTION, not_taken, rows
from gambler_ai.core import events as ev
from gambler_ai.core.learning import CHOOSER
from gambler_ai.storage.database import Database

Values = dict[str, dict[str, float]]


def taught(database: Database, account_id: str, memory: Mapping[str, Any], at: datetime) -> list[ev.Fact]:
    """The facts by which learners that know nothing yet take up what the account was left; each import once.

    ``memory`` is a session's, as it stands before its run begins.
    """
    facts: list[ev.Fact] = []
    for name, values_of in ((CHOOSER, _table), (ATTENTION, _weights)):
        learner = memory.get(name)
        if getattr(learner, "learned", 1):  # it knows something; or it is not there, or none of ours
            continue
        values, source = values_of(database, account_id, learner)
        if values and source != getattr(learner, "taught", source):
            facts.append(ev.LearnerTaught(at, name, values, source))
    return facts


def _table(database: Database, account_id: str, chooser: Any) -> tuple[Values, str]:
    found = inherited(database, account_id, QTable)
    if found is None:
        return {}, ""
    ours = {
        regime: {name: value for name, value in row.items() if name in chooser.strategies}
        for regime, row in rows(found[1]).items()
    }  # fmt: skip
    return {regime: row for regime, row in ours.items() if row}, found[0].sha256


def _weights(database: Database, account_id: str, _attention: Any) -> tuple[Values, str]:
    from gambler_ai.learners.attention import WEIGHTS
    from gambler_ai.learners.features import NAMES

    found = inherited(database, account_id, Weights)
    if found is None or not_taken(found[1]):
        return {}, ""
    return {WEIGHTS: dict(zip(NAMES, found[1].values, strict=True))}, found[0].sha256
