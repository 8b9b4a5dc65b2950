"""GET /v2/account/portfolio/history: equity over time (BEHAVIOUR 5).

What the documents leave open is done as recorded replies show it [alpacahq/Alpaca-API#223, #272, #273]: a session has
a point at its close too (391 minutes), a day is told under 20:00 New York, profit and loss is measured against the
close before unless ``pnl_reset=no_reset``. Nothing is known of what is to come: a window that is not over ends now, and
so does the day that is under way.

The cost is bounded: 30 days at most inside the day (21 sessions of 391 points, or 43,200 minutes when continuous), one
price a point and held symbol; by days, one close a session and held symbol.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.instants import DAY, FIRST_DAY, LAST_DAY, MINUTE, SECOND, new_york, new_york_us
from gambler_ai.exchange.numbers import ZERO, rounded
from gambler_ai.exchange.prices.sessions import Session
from gambler_ai.exchange.refusal import bad_parameter
from gambler_ai.exchange.rest.activities import FILL, wanted_types
from gambler_ai.exchange.rest.params import Params, instant, truth, words
from gambler_ai.exchange.valuation import Valuation, day_end_us

MARKET_HOURS, EXTENDED_HOURS, CONTINUOUS = "market_hours", "extended_hours", "continuous"
STEPS = {"1Min": MINUTE, "5Min": 5 * MINUTE, "15Min": 15 * MINUTE, "1H": 60 * MINUTE, "1D": DAY}
INTRADAY_DAYS_MAX = 30
_PERIOD = re.compile(r"([1-9]\d{0,3})([DWMA])")
_PART, _PCT_PART = Decimal("0.0001"), Decimal("0.0001")


class Window(NamedTuple):
    """One point: its label, when it ends, and the instant of its prices; ``closed`` is a whole day that is over."""

    label_us: int
    end_us: int
    priced_us: int
    day: date
    closed: Session | None = None


class Query(NamedTuple):
    """A checked request. ``first`` and ``last`` are days in New York, both included."""

    first: date
    last: date
    start_us: int
    end_us: int
    timeframe: str
    reporting: str
    per_day: bool
    flows: frozenset[str]


# -- what is asked for ----------------------------------------------------------------------------


def _one_of(params: Params, name: str, allowed: tuple[str, ...]) -> str:
    value = params.get(name) or allowed[0]
    if value not in allowed:
        raise bad_parameter(f"invalid {name}: {value}")
    return value


def parse_query(exchange: Exchange, params: Params) -> Query:
    """Two of start, end and period at most. Raises Refusal."""
    reporting = _one_of(params, "intraday_reporting", (MARKET_HOURS, EXTENDED_HOURS, CONTINUOUS))
    if not params.get("intraday_reporting") and truth(params.get("extended_hours")):
        reporting = EXTENDED_HOURS
    period, start = params.get("period"), instant(params, "start")
    end = _end(params)
    if period and start is not None and end is not None:
        raise bad_parameter("only two of start, end and period can be specified")
    if start is not None and end is None and period:
        end = new_york_us(_shift(exchange, new_york(start).date(), period, 1), 0, 0)
    end_us = exchange.now_us if end is None else min(end, exchange.now_us)
    last = new_york(end_us).date()
    if start is None:
        first = _first_day(exchange, period or "1M", end_us, reporting)
        start = new_york_us(first, 0, 0)
    first = new_york(start).date()
    if first > last and start > end_us:
        raise bad_parameter("start must be before end")
    first = max(first, new_york(exchange.created_us).date())
    days = (last - new_york(start).date()).days + 1
    timeframe = _timeframe(params.get("timeframe"), period, days, given=bool(params.get("start")))
    per_day = _one_of(params, "pnl_reset", ("per_day", "no_reset")) == "per_day"
    return Query(first, last, start, end_us, timeframe, reporting, per_day, _flows(params.get("cashflow_types")))


def _end(params: Params) -> int | None:
    """``date_end`` is its old name. A date alone means all of that day."""
    name = "end" if params.get("end") else "date_end"
    us = instant(params, name)
    return us + DAY - 1 if us is not None and len(params.get(name) or "") == 10 else us


def _parts(period: str) -> tuple[int, str]:
    match = _PERIOD.fullmatch(period.upper())
    if match is None:
        raise bad_parameter(f"invalid period: {period}")
    return int(match[1]), match[2]


def _shift(exchange: Exchange, day: date, period: str, sign: int) -> date:
    """The day a period later or earlier; a D is a day of trading. Beyond the calendar it is its edge."""
    count, unit = _parts(period)
    try:
        if unit == "D":
            days = exchange.market.sessions.days
            place = sum(other < day for other in days) + sign * count
            return days[min(max(place, 0), len(days) - 1)]
        if unit == "W":
            return day + sign * timedelta(weeks=count)
        months = day.year * 12 + day.month - 1 + sign * count * (12 if unit == "A" else 1)
        first = date(months // 12, months % 12 + 1, 1)
        length = (date(first.year + first.month // 12, first.month % 12 + 1, 1) - first).days
        return first.replace(day=min(day.day, length))
    except (ValueError, OverflowError):
        return FIRST_DAY if sign < 0 else LAST_DAY


def _first_day(exchange: Exchange, period: str, end_us: int, reporting: str) -> date:
    """Sessions are counted from the newest that has opened by the end: yesterday's, before today's open."""
    today, (count, unit) = new_york(end_us).date(), _parts(period)
    if unit != "D" or reporting == CONTINUOUS:
        return _shift(exchange, today, period if unit != "D" else f"{count}D", -1) + timedelta(days=unit != "D")
    sessions = exchange.market.sessions
    index = sessions.last_index_opened_by(end_us, extended=reporting == EXTENDED_HOURS) or 0
    return sessions.days[max(index - count + 1, 0)]


def _timeframe(named: str | None, period: str | None, days: int, *, given: bool) -> str:
    """1Min under 7 days, 15Min up to 30, else 1D; a month is more than that."""
    if not given:
        count, unit = _parts(period or "1M")
        days = count * {"D": 1, "W": 7, "M": 31, "A": 366}[unit]
    if not named:
        return "1Min" if days < 7 else "15Min" if days <= INTRADAY_DAYS_MAX else "1D"
    if named not in STEPS:
        raise bad_parameter(f"invalid timeframe: {named}")
    if named != "1D" and days > INTRADAY_DAYS_MAX:
        raise bad_parameter(f"timeframe {named} is for {INTRADAY_DAYS_MAX} days or less")
    return named


def _flows(text: str | None) -> frozenset[str]:
    names = words((text or "NONE").upper())
    if names == ["NONE"]:
        return frozenset()
    return (wanted_types(["MISC", "TRANS", "DIV"]) if names == ["ALL"] else wanted_types(names)) - {FILL}


# -- the windows ----------------------------------------------------------------------------------


def _sessions(exchange: Exchange, query: Query) -> list[Session]:
    days = exchange.market.sessions.days
    return exchange.market.sessions.between(max(query.first, days[0]), min(query.last, days[-1]))


def windows(exchange: Exchange, query: Query) -> Iterator[Window]:
    """Oldest first; none before there was an account, none that has not begun."""
    if query.timeframe == "1D":
        found = _whole_days(exchange, query)
    elif query.reporting == CONTINUOUS:
        found = _around_the_clock(exchange, query)
    else:
        found = _inside_sessions(exchange, query)
    yield from (window for window in found if window.end_us >= exchange.created_us)


def _whole_days(exchange: Exchange, query: Query) -> Iterator[Window]:
    for session in _sessions(exchange, query):
        now_us, label_us = exchange.now_us, new_york_us(session.day, 20, 0)
        if label_us <= now_us:
            yield Window(label_us, day_end_us(session), session.close_us, session.day, session)
        elif session.open_us <= now_us:
            yield Window(now_us, now_us, now_us, session.day)


def _inside_sessions(exchange: Exchange, query: Query) -> Iterator[Window]:
    step, now_us = STEPS[query.timeframe], exchange.now_us
    for session in _sessions(exchange, query):
        begin_us, close_us = session.open_us, session.close_us
        if query.reporting == EXTENDED_HOURS:
            begin_us, close_us = session.session_open_us, session.session_close_us
        if query.start_us > close_us:  # the next session is meant
            continue
        for label_us in range(begin_us, min(close_us, query.end_us) + 1, step):
            end_us = min(label_us + step, now_us)
            yield Window(label_us, end_us, min(end_us, close_us), session.day)


def _around_the_clock(exchange: Exchange, query: Query) -> Iterator[Window]:
    """From 22:00 to the next day's 4:00, and on days without trading, at the last official close."""
    step, sessions = STEPS[query.timeframe], exchange.market.sessions
    begin_us = max(query.start_us, exchange.created_us) // step * step
    for label_us in range(begin_us, query.end_us + 1, step):
        end_us = min(label_us + step, exchange.now_us)
        at, index = new_york(end_us), sessions.last_index_opened_by(end_us)
        rests = index is None or sessions.days[index] != at.date() or at.hour >= 22
        priced_us = sessions.session(index).close_us if rests and index is not None else end_us
        yield Window(label_us, end_us, min(priced_us, end_us), new_york(label_us).date())


# -- the answer -----------------------------------------------------------------------------------


class _Baseline:
    """What a day's profit is measured against: the equity at the close before it."""

    def __init__(self, exchange: Exchange, valuation: Valuation) -> None:
        self._sessions = exchange.market.sessions
        self._created_us = exchange.created_us
        self._valuation = valuation
        self._day: date | None = None
        self.session: Session | None = None
        self.value: Decimal | None = None

    def before(self, day: date) -> Decimal | None:
        """None when the account is younger than that close. Days must not go back."""
        if day != self._day:
            self._day = day
            index = self._sessions.last_index_opened_by(new_york_us(day, 0, 0))
            session = None if index is None else self._sessions.session(index)
            if session is not None and session.close_us >= self._created_us and session != self.session:
                self.session, self.value = session, self._valuation.at_close(session)
        return self.value


def portfolio_history(exchange: Exchange, params: Params) -> dict[str, Any]:
    """Arrays of numbers, one entry a window. Raises Refusal."""
    query = parse_query(exchange, params)
    valuation = Valuation(exchange)
    baseline = _Baseline(exchange, valuation)
    found: list[Window] = []
    equity: list[Decimal] = []
    profit: list[Decimal] = []
    base: Decimal | None = None
    as_of: Session | None = None
    bases: list[Decimal] = []
    for window in windows(exchange, query):
        before = baseline.before(window.day)
        value = valuation.at_close(window.closed) if window.closed else valuation.at(window.end_us, window.priced_us)
        if base is None:
            base, as_of = (before, baseline.session) if before is not None else (value, None)
        against = before if query.per_day and before is not None else base
        found.append(window)
        equity.append(value)
        profit.append(value - against)
        bases.append(against)
    body: dict[str, Any] = {
        "timestamp": [window.label_us // SECOND for window in found],
        "equity": [_number(value) for value in equity],
        "profit_loss": [_number(value) for value in profit],
        "profit_loss_pct": [
            _number(value / against if against else ZERO, _PCT_PART)
            for value, against in zip(profit, bases, strict=True)
        ],
        "base_value": _number(base or ZERO),
        "timeframe": query.timeframe,
        "cashflow": _cashflow(exchange, query, found),
    }  # fmt: skip
    if as_of is not None:
        body["base_value_asof"] = as_of.day.isoformat()
    return body


def _cashflow(exchange: Exchange, query: Query, found: list[Window]) -> dict[str, list[float]]:
    """What each window moved, by type; a type that moved nothing is left out."""
    sums: dict[str, list[Decimal]] = {}
    for activity in exchange.annals.activities:
        if activity.account_id != exchange.account_id or activity.type not in query.flows or not activity.net_amount:
            continue
        place = next((n for n, window in enumerate(found) if activity.at_us <= window.end_us), None)
        if place is not None and (place or activity.at_us >= query.start_us):
            sums.setdefault(activity.type, [ZERO] * len(found))[place] += activity.net_amount
    return {name: [_number(value) for value in row] for name, row in sums.items()}


def _number(value: Decimal, part: Decimal = _PART) -> float:
    return float(rounded(value, part))
