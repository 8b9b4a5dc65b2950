"""What the risk manager remembers: peak and drawdown, the day, streaks, the last trades, totals.

Drawn from journal facts by `evolution.apply` alone, and from no rule: rules may change, and a replay still rebuilds it
to the digit. The peak is raised by the broker's own statements of equity only: a price that turns out to be a fault
moves no limit for good.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.core.model import ZERO, ClosedTrade
from gambler_ai.core.risk_rules import RiskRules

#: Trades that are remembered one by one.
RECENT = 10
_FOUR = Decimal("0.0001")


class Result(Struct, frozen=True):
    """How a round trip ended."""

    symbol: str
    pnl: Decimal
    at: datetime


class RiskRecord(Struct, frozen=True):
    """Money in dollars, drawdowns in percent of the peak, instants in session time. None: not known yet."""

    equity: Decimal | None = None  # the broker's last word, moved on by our own marks since
    stated: Decimal | None = None  # that word
    stated_pnl: Decimal = ZERO  # our profit, realized and open, when it was said
    peak: Decimal | None = None
    peak_at: datetime | None = None
    worst_pct: Decimal = ZERO  # the deepest drawdown since the peak was set anew
    day: str = ""
    day_equity: Decimal | None = None  # as last known before the day, or first known in it
    wins: int = 0
    losses: int = 0
    flats: int = 0
    won: Decimal = ZERO
    lost: Decimal = ZERO  # a positive number
    streak: int = 0  # wins in a row, or losses below zero
    longest_wins: int = 0
    longest_losses: int = 0
    recent: tuple[Result, ...] = ()  # newest last
    lost_at: datetime | None = None  # when the last of the losses in a row ended
    paused_until: datetime | None = None  # as other rules had it than those of now: of before, of another session
    reset_at: datetime | None = None
    carried_from: str = ""  # the session that it was taken over from

    @property
    def trades(self) -> int:
        """Round trips whose profit is known."""
        return self.wins + self.losses + self.flats

    @property
    def drawdown_pct(self) -> Decimal:
        """By how many percent equity is below its peak."""
        return _below(self.equity, self.peak)

    @property
    def stated_drawdown_pct(self) -> Decimal:
        """The same by the broker's own word."""
        return _below(self.stated, self.peak)

    @property
    def day_pnl(self) -> Decimal | None:
        """What the day has brought."""
        return None if self.equity is None or self.day_equity is None else self.equity - self.day_equity


def _below(equity: Decimal | None, peak: Decimal | None) -> Decimal:
    if equity is None or peak is None or peak <= 0:
        return ZERO
    return max(ZERO, (peak - equity) / peak * 100).quantize(_FOUR)


def stated(record: RiskRecord, at: datetime, equity: Decimal, pnl: Decimal) -> RiskRecord:
    """The broker has stated ``equity``; ``pnl`` is our own profit, realized and open, at that moment."""
    day_equity = equity if record.day_equity is None else record.day_equity
    after = replace(record, equity=equity, stated=equity, stated_pnl=pnl, day_equity=day_equity)
    if record.peak is None or equity > record.peak:
        return replace(after, peak=equity, peak_at=at)
    return _deepened(after)


def marked(record: RiskRecord, pnl: Decimal) -> RiskRecord:
    """Prices have moved: equity is what the broker said, and what our profit has changed by since."""
    if record.stated is None:
        return record
    equity = record.stated + pnl - record.stated_pnl
    return record if equity == record.equity else _deepened(replace(record, equity=equity))


def _deepened(record: RiskRecord) -> RiskRecord:
    down = record.drawdown_pct
    return replace(record, worst_pct=down) if down > record.worst_pct else record


def opened(record: RiskRecord, day: str) -> RiskRecord:
    """A market day has begun. The same one again, told to a session that took the record over, is no other."""
    return record if day == record.day else replace(record, day=day, day_equity=record.equity)


def closed(record: RiskRecord, trade: ClosedTrade, at: datetime) -> RiskRecord:
    """A round trip has ended. One whose profit nobody knows says nothing."""
    pnl = trade.pnl
    if pnl is None:
        return record
    after = replace(record, recent=(*record.recent, Result(trade.symbol, pnl, at))[-RECENT:])
    if pnl == 0:
        return replace(after, flats=record.flats + 1)
    if pnl > 0:
        streak = max(record.streak, 0) + 1
        longest = max(record.longest_wins, streak)
        return replace(
            after, wins=record.wins + 1, won=record.won + pnl, streak=streak, longest_wins=longest, lost_at=None,
            paused_until=None,
        )  # fmt: skip
    streak = min(record.streak, 0) - 1
    return replace(
        after, losses=record.losses + 1, lost=record.lost - pnl, streak=streak,
        longest_losses=max(record.longest_losses, -streak),
        lost_at=max(record.lost_at or at, at),  # of a loss that is told late, not the earlier end
    )  # fmt: skip


def pause_end(record: RiskRecord, rules: RiskRules) -> datetime | None:
    """Until when losses in a row keep from entering: by these rules, or by those that a pause began with; the later.

    None: by neither. It may be over.
    """
    end = record.paused_until
    enough = rules.max_loss_streak is not None and -record.streak >= rules.max_loss_streak
    if record.lost_at is None or not enough:
        return end
    own = record.lost_at + timedelta(minutes=float(rules.loss_pause_min))
    return own if end is None else max(own, end)


def kept(record: RiskRecord, until: datetime | None) -> RiskRecord:
    """A pause that runs until then goes on, whatever the rules from here on."""
    if until is None or (record.paused_until is not None and record.paused_until >= until):
        return record
    return replace(record, paused_until=until)


def of_before(record: RiskRecord) -> RiskRecord:
    """A record that was stored before ``lost_at`` was remembered: it is among the last trades."""
    if record.lost_at is not None or record.streak >= 0:
        return record
    lost = [result.at for result in record.recent if result.pnl < 0][record.streak :]
    return replace(record, lost_at=max(lost)) if lost else record


def reset(record: RiskRecord, at: datetime) -> RiskRecord:
    """A person has looked: the peak is where equity is, no streak counts, no pause holds. Totals stay."""
    equity = record.equity
    return replace(
        record, peak=equity, peak_at=at if equity is not None else None, worst_pct=ZERO, streak=0, lost_at=None,
        paused_until=None, reset_at=at,
    )  # fmt: skip


def carried(record: RiskRecord, session_id: str) -> RiskRecord:
    """What the next session of the account begins with: all but what only that session's own books explain."""
    return replace(of_before(record), stated=None, stated_pnl=ZERO, carried_from=session_id)
