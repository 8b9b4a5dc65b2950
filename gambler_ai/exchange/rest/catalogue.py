"""What docs/EXCHANGE.md says of each route: the section of BEHAVIOUR it follows, what it takes, where it differs.

`scripts/docs` draws the tables from here and from the table of routes; a test wants an entry for each route.
"""

from __future__ import annotations

from typing import NamedTuple

IMPLEMENTED, DIFFERS, NOT_BUILT = "implemented", "differs", "not built"


class Entry(NamedTuple):
    """``takes``: parameters, and after a semicolon fields of the body. ``differs``: where it is not quite Alpaca's."""

    section: str
    takes: str = ""
    differs: str = ""

    @property
    def state(self) -> str:
        return DIFFERS if self.differs else IMPLEMENTED


_PAGES = "limit, page_token, sort"
_SPAN = "start, end"
_WATCHLIST = "; name, symbols"
_LATEST = "feed, currency; `kind` is bars, quotes or trades"
_DOLLARS = "one venue, so iex and sip tell the same"
_PRINTS = f"{_SPAN}, {_PAGES}, asof, feed, currency"
_ONE_ZONE = "markets that keep New York's hours only: NYSE, NASDAQ, IEX, by acronym or MIC"
_ANNOUNCED = "splits only, once they are effective; all dates are the day of the new price"
_BARS_TAKE = f"timeframe, {_SPAN}, {_PAGES}"
_MODEL = "prices of a model (Black, Scholes and Merton with a smile); both feeds say the same"
_CLOSE = "a market order; open orders are not canceled for it"

ENTRIES: dict[tuple[str, str], Entry] = {
    ("GET", "/v2/account"): Entry("2"),
    ("GET", "/v2/account/configurations"): Entry("2"),
    ("PATCH", "/v2/account/configurations"): Entry("2", "; each setting, alone or with others"),
    ("GET", "/v2/account/portfolio/history"): Entry(
        "5",
        "period, timeframe, intraday_reporting, start, end, date_end, extended_hours, pnl_reset, cashflow_types",
        "the day under way has a point too, told at the instant of asking",
    ),
    ("GET", "/v2/account/activities"): Entry(
        "5", "activity_types, category, date, after, until, direction, page_size, page_token"
    ),
    ("GET", "/v2/account/activities/{type}"): Entry("5", "date, after, until, direction, page_size, page_token"),
    ("POST", "/v2/orders"): Entry(
        "3",
        "; symbol, qty, notional, side, type, time_in_force, limit_price, stop_price, trail_price, trail_percent,"
        " extended_hours, client_order_id, order_class, take_profit, stop_loss, position_intent, legs",
    ),
    ("GET", "/v2/orders"): Entry(
        "3",
        "status, limit, after, until, direction, nested, symbols, side, asset_class, before_order_id, after_order_id",
    ),
    ("DELETE", "/v2/orders"): Entry("3"),
    ("GET", "/v2/orders:by_client_order_id"): Entry("3", "client_order_id"),
    ("GET", "/v2/orders/{order_id}"): Entry("3", "nested", "the legs are always told"),
    ("PATCH", "/v2/orders/{order_id}"): Entry(
        "3", "; qty, time_in_force, limit_price, stop_price, trail, client_order_id"
    ),
    ("DELETE", "/v2/orders/{order_id}"): Entry("3"),
    ("GET", "/v2/positions"): Entry("4"),
    ("DELETE", "/v2/positions"): Entry("4", "cancel_orders"),
    ("GET", "/v2/positions/{symbol}"): Entry("4"),
    ("DELETE", "/v2/positions/{symbol}"): Entry("4", f"qty, percentage: {_CLOSE}"),
    ("POST", "/v2/positions/{symbol}/exercise"): Entry("4"),
    ("POST", "/v2/positions/{symbol}/do-not-exercise"): Entry("4"),
    ("GET", "/v2/options/contracts"): Entry(
        "5",
        "underlying_symbols, status, expiration_date, expiration_date_gte, expiration_date_lte, root_symbol, type,"
        " style, strike_price_gte, strike_price_lte, ppind, show_deliverables, limit, page_token",
        "a listing of its own: each Friday for eight weeks, each third Friday for a year, strikes around the price",
    ),
    ("GET", "/v2/options/contracts/{symbol_or_id}"): Entry("5"),
    ("GET", "/v1beta1/options/bars"): Entry("6", f"symbols, {_BARS_TAKE}", _MODEL),
    ("GET", "/v1beta1/options/trades"): Entry("6", f"symbols, {_SPAN}, {_PAGES}", _MODEL),
    ("GET", "/v1beta1/options/trades/latest"): Entry("6", "symbols, feed", _MODEL),
    ("GET", "/v1beta1/options/quotes/latest"): Entry("6", "symbols, feed", _MODEL),
    ("GET", "/v1beta1/options/snapshots"): Entry("6", "symbols, feed, updated_since, limit, page_token", _MODEL),
    ("GET", "/v1beta1/options/snapshots/{underlying_symbol}"): Entry(
        "6",
        "feed, type, strike_price_gte, strike_price_lte, expiration_date, expiration_date_gte, expiration_date_lte,"
        " root_symbol, updated_since, limit, page_token",
        _MODEL,
    ),
    ("GET", "/v1beta1/options/meta/conditions/{ticktype}"): Entry("6"),
    ("GET", "/v1beta1/options/meta/exchanges"): Entry("6"),
    ("GET", "/v2/watchlists"): Entry("5"),
    ("POST", "/v2/watchlists"): Entry("5", _WATCHLIST),
    ("GET", "/v2/watchlists:by_name"): Entry("5", "name"),
    ("PUT", "/v2/watchlists:by_name"): Entry("5", "name" + _WATCHLIST),
    ("POST", "/v2/watchlists:by_name"): Entry("5", "name; symbol"),
    ("DELETE", "/v2/watchlists:by_name"): Entry("5", "name"),
    ("GET", "/v2/watchlists/{watchlist_id}"): Entry("5"),
    ("PUT", "/v2/watchlists/{watchlist_id}"): Entry("5", _WATCHLIST),
    ("POST", "/v2/watchlists/{watchlist_id}"): Entry("5", "; symbol"),
    ("DELETE", "/v2/watchlists/{watchlist_id}"): Entry("5"),
    ("DELETE", "/v2/watchlists/{watchlist_id}/{symbol}"): Entry("5"),
    ("GET", "/v2/clock"): Entry("2"),
    ("GET", "/v2/calendar"): Entry(
        "2", "start, end, date_type", "without bounds it is the days that have prices; every year settles T+1"
    ),
    ("GET", "/v3/clock"): Entry("2", "markets, time", _ONE_ZONE),
    ("GET", "/v3/calendar/{market}"): Entry("2", "start, end, timezone", _ONE_ZONE),
    ("GET", "/v2/assets"): Entry("2", "status, asset_class, exchange, attributes", "as many assets as have prices"),
    ("GET", "/v2/assets/{symbol}"): Entry("2", "", "no CUSIP"),
    ("GET", "/v2/corporate_actions/announcements"): Entry(
        "2", "ca_types, since, until, symbol, cusip, date_type", _ANNOUNCED
    ),
    ("GET", "/v2/corporate_actions/announcements/{id}"): Entry("2", "", _ANNOUNCED),
    ("GET", "/v2/stocks/bars"): Entry("6", f"symbols, {_BARS_TAKE}, adjustment, asof, feed, currency", _DOLLARS),
    ("GET", "/v2/stocks/{symbol}/bars"): Entry("6", f"{_BARS_TAKE}, adjustment, asof, feed, currency", _DOLLARS),
    **{
        ("GET", f"/v2/stocks/{one}{kind}"): Entry("6", f"{'' if one else 'symbols, '}{_PRINTS}", _DOLLARS)
        for kind in ("trades", "quotes", "auctions")
        for one in ("", "{symbol}/")
    },
    ("GET", "/v2/stocks/{kind}/latest"): Entry("6", f"symbols, {_LATEST}", _DOLLARS),
    ("GET", "/v2/stocks/{symbol}/{kind}/latest"): Entry("6", _LATEST, _DOLLARS),
    ("GET", "/v2/stocks/snapshots"): Entry("6", "symbols, feed, currency", _DOLLARS),
    ("GET", "/v2/stocks/{symbol}/snapshot"): Entry("6", "feed, currency", _DOLLARS),
    ("GET", "/v2/stocks/meta/conditions/{ticktype}"): Entry("6", "tape"),
    ("GET", "/v2/stocks/meta/exchanges"): Entry("6"),
}

#: Operations of Alpaca's documents that are not served, by the beginning of their paths, and why.
NOT_SERVED: dict[str, str] = {
    "/v1/locates": "shares to borrow: everything here is easy to borrow",
    "/v2beta1/events/": "server-sent events: the WebSocket tells the same",
    "/v2/assets/fixed_income/": "no bonds here",
    "/v2/perpetuals/": "no perpetual contracts here",
    "/v2/wallets": "no crypto here",
    "/v2/tokenization/": "no tokens here",
    "/v1/corporate-actions": "splits are under /v2/corporate_actions/announcements",
    "/v1beta1/crypto-perps/": "no perpetual contracts here",
    "/v1beta1/fixed_income/": "no bonds here",
    "/v1beta1/forex/": "no currencies here",
    "/v1beta1/indices/": "no indices here",
    "/v1beta1/logos/": "pictures",
    "/v1beta1/news": "no news here: it would say what the prices do not know",
    "/v1beta1/screener/": "a dozen assets need no screener",
    "/v1beta3/crypto/": "no crypto here",
}

_BAD, _NO, _FORBIDDEN, _NOT_FOUND = (422, "40010001"), (422, "42210000"), (403, "40310000"), (404, "40410000")

#: What Alpaca is known to refuse, in its words (a blank is "…"): status and code, message, section of BEHAVIOUR.
KNOWN: tuple[tuple[tuple[int, str], str, str], ...] = (
    ((401, "40110000"), "request is not authorized", "1"),
    (_NOT_FOUND, "endpoint not found", "1"),
    ((429, "42910000"), "rate limit exceeded", "1"),
    (_NOT_FOUND, "asset not found for …", "2"),
    (_BAD, "client_order_id must be unique", "3"),
    (_BAD, "client_order_id must be no more than 128 characters", "3"),
    (_BAD, "qty must be > 0", "3"),
    (_BAD, "limit price must be > 0", "3"),
    (_BAD, "qty or notional is required", "3"),
    (_BAD, "only one of qty or notional is accepted", "3"),
    (_BAD, "invalid time_in_force", "3"),
    (_BAD, "invalid order type", "3"),
    (_BAD, "limit orders require a limit price", "3"),
    (_BAD, "stop orders require a stop price", "3"),
    (_BAD, "stop limit orders require both stop and limit price", "3"),
    (_BAD, "market orders require no stop or limit price", "3"),
    (_BAD, "trailing stop orders must specify one of trail_price or trail_percent", "3"),
    (_BAD, "bracket orders require take_profit.limit_price", "3"),
    (_NO, "invalid … …. sub-penny increment does not fulfill minimum pricing criteria", "3"),
    (_NO, 'asset "…" not found', "3"),
    (_NO, 'asset "…" is not tradable', "3"),
    (_NO, "fractional orders must be DAY orders", "3"),
    (_NO, "fractional orders must be simple orders", "3"),
    (_NO, "fractional orders must be market, limit, stop, or stop_limit orders", "3"),
    (_NO, "extended hours order must be DAY or GTC limit orders", "3"),
    (_NO, "take_profit.limit_price must be >= base_price + 0.01", "3"),
    (_NO, "stop_loss.stop_price must be <= base_price - 0.01", "3"),
    (_NO, "take_profit.limit_price must be < stop_loss.stop_price", "3"),
    (_FORBIDDEN, "insufficient buying power", "3"),
    (_FORBIDDEN, "insufficient qty available for order (requested: …, available: …)", "3"),
    (_FORBIDDEN, "potential wash trade detected. use complex orders", "3"),
    (_FORBIDDEN, 'asset "…" is not fractionable', "3"),
    (_FORBIDDEN, "account is not allowed to short", "3"),
    (_FORBIDDEN, 'asset "…" cannot be sold short', "3"),
    (_FORBIDDEN, "fractional orders cannot be sold short", "3"),
    (_FORBIDDEN, "cannot open a long buy while a short sell order is open", "3"),
    (_FORBIDDEN, "opg orders must be submitted after 7:00pm and before 9:28am", "3"),
    (_FORBIDDEN, "cls orders must be submitted after 7:00pm and before 3:50pm", "3"),
    (_FORBIDDEN, "account is not authorized to trade", "3"),
    ((403, "40310100"), "trade denied due to pattern day trading protection", "2"),
    (_NOT_FOUND, "order not found for …", "3"),
    (_NO, 'order is already in "…" state', "3"),
    (_NO, "order pending cancel", "3"),
    (_NO, "cannot replace order in … status", "3"),
    (_NO, "order already replaced", "3"),
    (_NO, "order parameters are not changed", "3"),
    (_NO, "qty must be > filled_qty", "3"),
    (_NO, "unable to replace order, order isn't sent to exchange yet", "3"),
    (_NO, "leg.… position intent is required", "3"),
    (_NO, 'contract "…" not found', "3"),
    (_NO, "complex orders not supported for options trading", "3"),
    (_NO, "options market orders are only allowed during market hours", "3"),
    (_NO, "position intent mismatch, inferred: …, specified: …", "3"),
    (_FORBIDDEN, "insufficient options buying power (required: …, available: …)", "3"),
    (_NOT_FOUND, "position does not exist", "4"),
    (_BAD, "watchlist name must be unique", "5"),
    ((400, "40010001"), "invalid limit: larger than the allowed maximum of 10000", "6"),
    ((403, "42210000"), "subscription does not permit querying recent SIP data", "6"),
)

#: Why some of them are not said here.
NOT_SAID = {
    'asset "…" is not fractionable': "every asset is",
    'asset "…" cannot be sold short': "every asset can be",
    "subscription does not permit querying recent SIP data": "one feed, of the past",
}
