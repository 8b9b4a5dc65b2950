"""Alpaca's OpenAPI documents, where ALPACA_OPENAPI_DIR names their folder, and what this exchange does otherwise."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import requests

VARIABLE = "ALPACA_OPENAPI_DIR"
DOCUMENTS = ("trading-api.json", "market-data-api.json")

#: A reply of these is compared whatever its path: what Alpaca sends with an error (BEHAVIOUR 1).
ERROR_KEYS = {"message"}


class Difference(NamedTuple):
    """Where a document is not followed: ``place`` is the path of a schema in it, ``schema`` what holds instead."""

    document: str
    place: tuple[str, ...]
    schema: dict[str, Any]
    reason: str


_SCHEMAS = "#/components/schemas/"


def _schema(*names: str) -> tuple[str, ...]:
    return ("components", "schemas", *names)


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        DOCUMENTS[0], _schema("PositionClosedReponse", "properties", "body"),
        {"anyOf": [{"$ref": _SCHEMAS + "Order"}, {"$ref": _SCHEMAS + "Error"}]},
        "BEHAVIOUR 4: the body of an item that was refused is an error; the document has an order only",
    ),
    Difference(
        DOCUMENTS[0],
        ("paths", "/v2/account/activities/{activity_type}", "get", "responses", "200", "content", "application/json",
         "schema", "items"),
        {"anyOf": [{"$ref": _SCHEMAS + "TradingActivities"}, {"$ref": _SCHEMAS + "NonTradeActivities"}]},
        "the document says oneOf, and each fill fits both: neither of the two requires anything",
    ),
    *(
        Difference(
            DOCUMENTS[0], _schema(entity, "properties", name), {"anyOf": [schema, {"enum": [""]}]},
            "BEHAVIOUR 3: empty in an mleg order's parent (a type, in its legs), as in the document's own example",
        )
        for entity, name, schema in (
            ("Order", "symbol", {"type": "string"}),
            ("Order", "asset_id", {"type": "string", "format": "uuid"}),
            ("Order", "asset_class", {"$ref": _SCHEMAS + "AssetClass"}),
            ("Order", "side", {"$ref": _SCHEMAS + "OrderSide"}),
            ("Order", "position_intent", {"$ref": _SCHEMAS + "PositionIntent"}),
            ("OrderLeg", "type", {"$ref": _SCHEMAS + "OrderType"}),
            ("Order", "type", {"$ref": _SCHEMAS + "OrderType"}),  # a leg in a flat list is an Order
        )
    ),
)  # fmt: skip


#: Read once: what a test sees of the environment has been emptied.
_NAMED = os.environ.get(VARIABLE, "")

needs_documents = pytest.mark.skipif(not _NAMED, reason=f"{VARIABLE} does not name Alpaca's OpenAPI documents")


@cache
def documents() -> dict[str, dict[str, Any]]:
    """By name, with the differences put in. Raises KeyError for a difference whose place is not there."""
    found = {name: json.loads((Path(_NAMED) / name).read_text("utf-8")) for name in DOCUMENTS}
    for difference in DIFFERENCES:
        node = found[difference.document]
        for name in difference.place[:-1]:
            node = node[name]
        node[difference.place[-1]] = difference.schema
    return found


@cache
def schemas() -> list[Any]:
    """The documents as schemathesis reads them: imported here, since it takes a third of a second."""
    import schemathesis

    return [schemathesis.openapi.from_dict(document) for document in documents().values()]


@cache
def operations() -> list[tuple[str, re.Pattern[str], Any]]:
    """Method, pattern of the path, operation; the paths with the fewest parameters first."""
    found = []
    for schema in schemas():
        for result in schema.get_all_operations():
            operation = result.ok()
            pattern = "".join(
                "[^/]+" if part.startswith("{") else re.escape(part)
                for part in re.split(r"(\{[^}]*\})", operation.path)
            )
            found.append((operation.method.upper(), re.compile(pattern), operation))
    return sorted(found, key=lambda row: row[2].path.count("{"))


def operation_of(method: str, path: str) -> Any:
    """What the documents say of a request; None when they do not have it."""
    return next((op for verb, pattern, op in operations() if verb == method and pattern.fullmatch(path)), None)


class Validator:
    """A hook of a requests session: each reply to a documented request is compared with the documents."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str, int]] = Counter()

    def __call__(self, reply: requests.Response, *args: Any, **kwargs: Any) -> None:
        method, path = str(reply.request.method), urlsplit(reply.url).path
        operation = operation_of(method, path)
        if operation is None:
            return
        self.seen[method, operation.path, reply.status_code] += 1
        if reply.status_code >= 400:
            body = reply.json()
            assert set(body) >= ERROR_KEYS, f"{method} {path}: {body}"
        elif reply.content:
            operation.validate_response(reply)
