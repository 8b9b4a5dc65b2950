"""GET /v2/account/activities: fills, and what else happened to the account (BEHAVIOUR 5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.instants import new_york, new_york_us
from gambler_ai.exchange.refusal import bad_parameter
from gambler_ai.exchange.rest.params import Params, count, instant, newest_first, words
from gambler_ai.exchange.wire.entities import activity_entity, other_activity_entity

PAGE_MAX = 100
FILL = "FILL"
#: What Alpaca knows; of these FILL, SPLIT and those of options occur here.
TYPES = frozenset(
    {
        FILL, "ACATC", "ACATS", "CFEE", "CGD", "CSD", "CSW", "DIV", "DIVCGL", "DIVCGS", "DIVFEE", "DIVFT", "DIVNRA",
        "DIVROC", "DIVTW", "DIVTXEX", "FEE", "FOPT", "INT", "INTNRA", "INTTW", "JNL", "JNLC", "JNLS", "MA", "NC",
        "OPASN", "OPCA", "OPCSH", "OPEXC", "OPEXP", "OPTRD", "PTC", "PTR", "REORG", "SPIN", "SPLIT",
    }
)  # fmt: skip
_TRANS = frozenset({"CSD", "CSW"})
#: Names that stand for several.
GROUPS = {"TRANS": _TRANS, "MISC": TYPES - _TRANS - {FILL, "DIV"}}
CATEGORIES = {"trade_activity": frozenset({FILL}), "non_trade_activity": TYPES - {FILL}}
#: Later than anything, in microseconds.
_NEVER = 1 << 62


class _Row(NamedTuple):
    at_us: int
    seq: int
    id: str
    entity: Callable[[], dict[str, Any]]

    @property
    def place(self) -> tuple[int, int, str]:
        """Where it stands among the others."""
        return self.at_us, self.seq, self.id


def wanted_types(named: list[str]) -> frozenset[str]:
    """The types that these names stand for. Raises Refusal for one that Alpaca does not know."""
    found: set[str] = set()
    for name in map(str.upper, named):
        if name not in TYPES and name not in GROUPS:
            raise bad_parameter(f"invalid activity type: {name}")
        found |= GROUPS.get(name, {name})
    return frozenset(found)


def _asked(params: Params, only: str | None) -> frozenset[str]:
    named, category = words(only or params.get("activity_types")), params.get("category")
    if category and named:
        raise bad_parameter("only one of category and activity_types is accepted")
    if category and category not in CATEGORIES:
        raise bad_parameter(f"invalid category: {category}")
    if category:
        return CATEGORIES[category]
    return wanted_types(named) if named else TYPES


def _between(exchange: Exchange, types: frozenset[str], first_us: int, end_us: int) -> list[_Row]:
    """Those from ``first_us`` until before ``end_us``, oldest first; of the others nothing is made."""
    rows = [
        _Row(a.at_us, a.seq, a.id, partial(other_activity_entity, a))
        for a in exchange.annals.activities
        if first_us <= a.at_us < end_us and a.account_id == exchange.account_id and a.type in types
    ]
    if FILL in types:
        rows += [
            _Row(f.at_us, f.seq, f.id, partial(activity_entity, f))
            for f in exchange.book.fills if first_us <= f.at_us < end_us
        ]  # fmt: skip
    return sorted(rows, key=lambda row: row.place)


def _day(params: Params) -> tuple[int, int] | None:
    """The New York day that ``date`` names: its first instant and that of the next."""
    us = instant(params, "date")
    if us is None:
        return None
    day = new_york(us).date()
    return new_york_us(day, 0, 0), new_york_us(day + timedelta(days=1), 0, 0)


def list_activities(exchange: Exchange, params: Params, only: str | None) -> list[dict[str, Any]]:
    """Newest first unless told otherwise; ``after`` and ``until`` exclusive, on the instant of creation. ``page_token``
    is the last id seen; a page has 100 rows at most, and with ``date`` alone all of that day's. Raises Refusal.
    """
    types, (first_us, end_us) = _asked(params, only), _span(params)
    rows = _between(exchange, types, first_us, end_us)
    whole = params.get("date") and not params.get("page_size")
    size = len(rows) if whole else count(params, "page_size", PAGE_MAX, PAGE_MAX)
    newest = newest_first(params)
    if newest:
        rows.reverse()
    if token := params.get("page_token"):
        rows = _behind(exchange, types, rows, token, newest=newest)
    return [row.entity() for row in rows[:size]]


def _span(params: Params) -> tuple[int, int]:
    """From which instant, until before which: ``after``, ``until`` and ``date`` together. Raises Refusal."""
    after, until, day = instant(params, "after"), instant(params, "until"), _day(params)
    firsts = [0, *([] if after is None else [after + 1]), *([] if day is None else [day[0]])]
    ends = [_NEVER, *([] if until is None else [until]), *([] if day is None else [day[1]])]
    return max(firsts), min(ends)


def _behind(exchange: Exchange, types: frozenset[str], rows: list[_Row], token: str, *, newest: bool) -> list[_Row]:
    """Those of ``rows`` that come after the activity of that id. Raises Refusal where the account has none."""
    known = [row for row in rows if row.id == token]
    known = known or [row for row in _between(exchange, types, 0, _NEVER) if row.id == token]
    if not known:
        raise bad_parameter("invalid page_token")
    edge = known[0].place
    return [row for row in rows if (row.place < edge if newest else row.place > edge)]
