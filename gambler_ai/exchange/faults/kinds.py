"""Every kind of fault, as one table: where it acts, what its line may say, and what the client sees of it."""

from __future__ import annotations

import math
from typing import NamedTuple

# Where a kind acts.
UNHANDLED = "unhandled"  # answered instead of being handled
AFTER = "after"  # handled and committed; something else is answered
AROUND = "around"  # handled, but not when or as fast as it should be
INSIDE = "inside"  # the handler does something else
SPOILED = "spoiled"  # the answer is changed on its way out
MATCHING = "matching"  # where orders meet the market
STREAM = "stream"
DEED = "deed"  # something happens to the account; no request is needed for it

STREAM_CUT, STREAM_MUTE, STREAM_REFUSE = "stream_cut", "stream_mute", "stream_refuse"
STREAM_REPEAT, STREAM_DROP, STREAM_SWAP = "stream_repeat", "stream_drop", "stream_swap"
BAD_PRICE, BOTH_EXITS = "bad_price", "both_exits"
HAND, ACCOUNT_RESET, SPLIT = "hand", "account_reset", "split"

WHEN = ("times", "after", "every", "probability", "from", "until")
PIECES = ("contains", "symbol", "client_order_id")
REQUEST = ("method", "path", *PIECES)
FOREVER = math.inf
NO_SECONDS = -1.0  # the kind takes none


class Kind(NamedTuple):
    """``method`` and ``path`` are where it acts unless its line says otherwise; ``seconds`` is its default, of market
    time but for what the text calls wall seconds. ``example`` is a line that works as it stands, as JSON.
    """

    group: str
    text: str
    method: str = ""
    path: str = "/v2/"
    seconds: float = NO_SECONDS
    more: tuple[str, ...] = ()
    example: str = ""

    @property
    def fields(self) -> frozenset[str]:
        """What a line of this kind may say."""
        if self.group == STREAM:
            names: tuple[str, ...] = (*WHEN, "stream")
        elif self.group == MATCHING:
            names = (*WHEN, "symbol")
        elif self.group == DEED and "on" in self.more:  # a split has a day, and nothing else to wait for
            names = ()
        elif self.group == DEED:
            names = (*WHEN, "method", "path", "contains")
        else:
            names = (*WHEN, *REQUEST)
        return frozenset(("kind", *names, *self.more, *(("seconds",) if self.seconds != NO_SECONDS else ())))


_POST, _ORDERS, _ONE = ("POST", "/v2/orders"), ("GET", "/v2/orders"), "/v2/orders/"
_FILLS, _DATA = ("GET", "/v2/account/activities"), ("GET", "/v2/stocks")

KINDS: dict[str, Kind] = {
    # no answer, or another one; nothing is done
    "500": Kind(UNHANDLED, "HTTP 500 with Alpaca's JSON; nothing is done"),
    "500_html": Kind(UNHANDLED, "HTTP 500 with an HTML page; nothing is done"),
    "502_html": Kind(UNHANDLED, "HTTP 502 with an HTML page; nothing is done"),
    "503_html": Kind(UNHANDLED, "HTTP 503 with an HTML page; nothing is done"),
    "429": Kind(UNHANDLED, "HTTP 429 without headers; nothing is done"),
    "429_headers": Kind(
        UNHANDLED, "HTTP 429 with X-RateLimit-* and Retry-After of `seconds`; nothing is done", seconds=60.0
    ),
    "401_bare": Kind(UNHANDLED, "HTTP 401 with a message and no code; nothing is done"),
    "401_html": Kind(UNHANDLED, "HTTP 401 with an HTML page; nothing is done"),
    "403_bare": Kind(UNHANDLED, "HTTP 403 with a message and no code; nothing is done"),
    "reset": Kind(UNHANDLED, "the connection drops before anything is done"),
    "garbage": Kind(UNHANDLED, "HTTP 200 with a piece of JSON; nothing is done"),
    "hang_unhandled": Kind(UNHANDLED, "no answer for `seconds` (wall), then a reset; nothing is done", seconds=60.0),
    "late_arrival": Kind(
        UNHANDLED, "HTTP 504, and the order arrives `seconds` later all the same", *_POST, seconds=60.0
    ),
    # done, and the answer is lost
    "lost_reply": Kind(AFTER, "it is done, then the connection drops without an answer"),
    "504_after": Kind(AFTER, "it is done, and HTTP 504 is answered"),
    "502_after": Kind(AFTER, "it is done, and HTTP 502 with an HTML page is answered"),
    "truncated": Kind(AFTER, "it is done; half of the body comes, less than Content-Length says"),
    "truncated_chunk": Kind(AFTER, "it is done; the body comes in chunks and ends in the middle of one"),
    "cut_json": Kind(AFTER, "it is done, and HTTP 200 with half of the JSON is answered"),
    "not_json": Kind(AFTER, "it is done, and HTTP 200 with an HTML page is answered"),
    "hang": Kind(AROUND, "nothing for `seconds` (wall), then it is done and answered", seconds=1.0),
    "slow": Kind(AROUND, "it is done; the body dribbles in over `seconds` (wall)", seconds=1.0),
    # orders
    "accepted_only": Kind(INSIDE, "a new order stays `accepted` for `seconds`", *_POST, seconds=1.0),
    "fill_first": Kind(INSIDE, "the answer to a new order shows what has filled meanwhile", *_POST),
    "rejected_after": Kind(INSIDE, "a new order is accepted, then `rejected`", *_POST),
    "not_found_for": Kind(
        INSIDE, "look-ups miss orders younger than `seconds`; without them, every order", *_ORDERS, seconds=FOREVER
    ),
    "orders_late": Kind(INSIDE, "orders are shown as they were `seconds` ago", *_ORDERS, seconds=30.0),
    "position_late": Kind(
        INSIDE, "positions are shown as they were `seconds` ago", "GET", "/v2/positions", seconds=1.0
    ),
    "cancel_stuck": Kind(
        INSIDE, "204, and the order stays `pending_cancel` for `seconds`, or for good", "DELETE", _ONE, seconds=FOREVER
    ),
    "cancel_filled": Kind(
        INSIDE, "204, then the order fills: at once, or `pending_cancel` for `seconds` first", "DELETE", _ONE,
        seconds=0.0,
    ),
    "replace_rejected": Kind(
        INSIDE, "200, then (`seconds` later) the new order is `rejected` and the old one works on", "PATCH", _ONE,
        seconds=0.0,
    ),
    "replace_filled": Kind(
        INSIDE, "200, then (`seconds` later) the old order fills and the new one is `rejected`", "PATCH", _ONE,
        seconds=0.0,
    ),
    BOTH_EXITS: Kind(MATCHING, "when one exit of a bracket or OCO fills, the other fills with it"),
    # activities
    "activity_late": Kind(
        SPOILED, "fills younger than `seconds` are left out; without them, every fill", *_FILLS, seconds=FOREVER
    ),
    "activity_twice": Kind(SPOILED, "each activity twice, under the same id", *_FILLS),
    "activity_disorder": Kind(SPOILED, "the activities of a page in another order", *_FILLS),
    # market data
    "stale": Kind(INSIDE, "bars, trades and quotes are those of `seconds` ago", *_DATA, seconds=600.0),
    "no_sip": Kind(INSIDE, "a plan without sip: 403 for the last 15 minutes of `feed=sip`, as for no `feed`", *_DATA),
    "bars_gap": Kind(SPOILED, "about half of the bars are missing", *_DATA),
    "bars_twice": Kind(SPOILED, "each bar twice", *_DATA),
    "bars_future": Kind(SPOILED, "a bar more, `seconds` after the newest", *_DATA, seconds=3600.0),
    BAD_PRICE: Kind(
        SPOILED, "the newest price of each symbol is `price`", *_DATA, more=("price", "stream"),
        example='{"kind": "bad_price", "price": "nan", "symbol": "AAPL", "times": "always"}',
    ),
    # streams
    STREAM_CUT: Kind(STREAM, "the connection is aborted, and a message with it", more=PIECES),
    STREAM_MUTE: Kind(
        STREAM, "it stands, answers pings and says nothing for `seconds`, or for good", seconds=FOREVER, more=PIECES
    ),
    STREAM_REFUSE: Kind(
        STREAM, "refused where `at` says: `connect` (HTTP 503), `auth`; of market data also `plan` (error 409), `v2`"
        " (408) and `internal` (500)", more=("at",),
    ),
    STREAM_REPEAT: Kind(STREAM, "a message twice", more=PIECES),
    STREAM_DROP: Kind(STREAM, "a message is lost", more=PIECES),
    STREAM_SWAP: Kind(STREAM, "a message comes after the next one", more=PIECES),
    # what happens to the account
    HAND: Kind(
        DEED, "the account's owner acts: one of `order`, `cancel`, `replace` and `close`",
        more=("order", "cancel", "replace", "close", "changes"),
        example='{"kind": "hand", "from": "+5m", "close": "AAPL"}',
    ),
    ACCOUNT_RESET: Kind(
        DEED, "another account under the same keys: new id and number, `cash`, no orders, no positions",
        more=("cash",), example='{"kind": "account_reset", "from": "+1h", "cash": "50000"}',
    ),
    SPLIT: Kind(
        DEED, "`ratio` new shares for one of `symbol` from the open of `on`; `orders` says what becomes of open ones",
        more=("symbol", "ratio", "on", "orders"),
        example='{"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "2008-10-08"}',
    ),
}  # fmt: skip

UNHANDLED_KINDS = frozenset(name for name, kind in KINDS.items() if kind.group == UNHANDLED)
AFTER_KINDS = frozenset(name for name, kind in KINDS.items() if kind.group == AFTER)
SPOILED_KINDS = frozenset(name for name, kind in KINDS.items() if kind.group == SPOILED)
STREAM_KINDS = frozenset(name for name, kind in KINDS.items() if kind.group == STREAM)
DEED_KINDS = frozenset(name for name, kind in KINDS.items() if kind.group == DEED)
#: What a request may meet.
REQUEST_KINDS = frozenset(KINDS) - STREAM_KINDS - {BOTH_EXITS, SPLIT}
