"""The intent of an approved entry: one bracket, its exact bytes, and the id that is a function of the decision."""

from __future__ import annotations

from datetime import datetime

from gambler_ai.core.learning import Signal
from gambler_ai.core.model import Proposal
from gambler_ai.core.orders import OrderIntent, Purpose, bracket_body, client_order_id, entry_decision_id
from gambler_ai.core.risk import Approved, RiskLimits
from gambler_ai.core.state import SessionState


def bracket(
    proposal: Proposal, verdict: Approved, signal: Signal, state: SessionState, strategy: str, at: datetime,
    limits: RiskLimits,
) -> OrderIntent:  # fmt: skip
    """The entry that ``proposal`` of ``strategy`` comes to, at its approved size and prices."""
    symbol, side = proposal.symbol, proposal.side
    decision = entry_decision_id(strategy, symbol, side, proposal.signal_at)
    coid = client_order_id(state.account_id, state.session_id, decision)
    valid = proposal.signal_at + (1 + limits.stale_bars) * limits.bar_interval
    return OrderIntent(
        client_order_id=coid, decision_id=decision, attempt=0, purpose=Purpose.ENTRY,
        strategy=strategy, symbol=symbol, side=side, qty=verdict.qty,
        ref_price=verdict.ref_price, stop_price=verdict.stop_price, target_price=verdict.target_price,
        position_id=coid, reason=proposal.reason, decided_at=at, valid_until=valid,
        body=bracket_body(
            coid, symbol, side, verdict.qty, verdict.target_price, verdict.stop_price, verdict.limit_price
        ), market_day=state.day, signal=signal if signal != Signal() else None,
    )  # fmt: skip
