"""Assets and what was announced of them (BEHAVIOUR 2)."""

from __future__ import annotations

from datetime import date

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.prices.assets import Asset
from gambler_ai.exchange.refusal import bad_parameter, not_found
from gambler_ai.exchange.rest.handling import exchange_of, reply
from gambler_ai.exchange.rest.params import words
from gambler_ai.exchange.wire.announcements import Announcement, announcement_entity, announcements
from gambler_ai.exchange.wire.entities import asset_entity

ANNOUNCED = ("dividend", "merger", "spinoff", "split")
DATE_TYPES = ("declaration_date", "ex_date", "record_date", "payable_date")
ANNOUNCED_DAYS_MAX = 90


def _entity(exchange: Exchange, asset: Asset) -> dict[str, object]:
    return asset_entity(asset, tradable=exchange.market.listed(asset.symbol, exchange.now_us))


async def get_assets(request: Request) -> Response:
    """By class, exchange and symbol. Every asset is an active us_equity; another class or status has none."""
    exchange, params = exchange_of(request), request.query_params
    venue, attributes = params.get("exchange"), set(words(params.get("attributes")))
    if (params.get("status") or "active") != "active" or (params.get("asset_class") or "us_equity") != "us_equity":
        return reply([])
    with exchange.step():
        rows = [
            _entity(exchange, asset)
            for asset in sorted(exchange.market.assets.values(), key=lambda asset: (asset.exchange, asset.symbol))
            if not venue or asset.exchange == venue
        ]
    return reply([row for row in rows if not attributes or attributes & set(row["attributes"])])  # type: ignore[call-overload]


async def get_asset(request: Request) -> Response:
    """By symbol or id."""
    exchange, name = exchange_of(request), request.path_params["symbol"]
    asset = exchange.market.find_asset(name)
    if asset is None:
        raise not_found(f"asset not found for {name}")
    with exchange.step():
        body = _entity(exchange, asset)
    return reply(body)


def _date(params: dict[str, str], name: str) -> date:
    try:
        return date.fromisoformat((params.get(name) or "")[:10])
    except ValueError:
        raise bad_parameter(f"invalid {name}") from None


async def get_announcements(request: Request) -> Response:
    """Splits, once they are effective: nothing is announced ahead, and nothing else happens to these assets."""
    exchange, params = exchange_of(request), dict(request.query_params)
    kinds = [word.lower() for text in request.query_params.getlist("ca_types") for word in words(text)]
    unknown = [kind for kind in kinds if kind not in ANNOUNCED]
    if unknown or not kinds:
        raise bad_parameter(f"invalid ca_types: {unknown[0]}" if unknown else "ca_types is required")
    first, last = _date(params, "since"), _date(params, "until")
    if not 0 <= (last - first).days <= ANNOUNCED_DAYS_MAX:
        raise bad_parameter(f"since and until must be in order and at most {ANNOUNCED_DAYS_MAX} days apart")
    if (params.get("date_type") or DATE_TYPES[0]) not in DATE_TYPES:
        raise bad_parameter("invalid date_type")
    symbol = (params.get("symbol") or "").upper()
    with exchange.step():
        rows = _announced(exchange)
    return reply(
        [
            announcement_entity(row) for row in rows
            if "split" in kinds and first <= row.day <= last and symbol in ("", row.symbol) and not params.get("cusip")
        ]
    )  # fmt: skip


async def get_announcement(request: Request) -> Response:
    exchange, wanted = exchange_of(request), request.path_params["id"].lower()
    with exchange.step():
        rows = _announced(exchange)
    for row in rows:
        if row.id == wanted:
            return reply(announcement_entity(row))
    raise not_found("announcement not found")


def _announced(exchange: Exchange) -> list[Announcement]:
    return announcements(exchange.deeds.splits(), exchange.market.assets.values())
