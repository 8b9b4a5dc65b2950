"""The risk record as a component: a second place for what a session whose journal breaks would take with it.

The session's own record is evolved by `evolution.apply` and restored from checkpoint and journal; nothing here changes
it. What is stored here goes to the next session of the account when that cannot be read (`trading/carrying.py`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from gambler_ai.core.components import StructComponent
from gambler_ai.core.events import Fact
from gambler_ai.core.risk_record import RiskRecord, of_before
from gambler_ai.core.state import SessionState

NAME = "risk"


class RiskMemory(StructComponent[RiskRecord]):
    """``state`` is the record that was loaded, until a fact comes; from then on that of ``session``."""

    def __init__(self, session: SessionState) -> None:
        """``session`` evolves by the same facts, before this does."""
        super().__init__(
            NAME, RiskRecord(), lambda _before, _fact: session.risk, schema=2, upgrades={1: _with_last_loss}
        )
        self._session = session

    def apply(self, fact: Fact) -> None:
        """Take the session's record as it is after ``fact``; one that knows nothing yet teaches nothing."""
        if self._session.risk not in (self.state, RiskRecord()):
            super().apply(fact)


def _with_last_loss(values: Any) -> Any:
    """Schema 1 had no instant of the last loss."""
    return msgspec.to_builtins(of_before(msgspec.convert(values, RiskRecord)))
