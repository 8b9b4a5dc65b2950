"""docs/EXCHANGE.md: its tables of endpoints, fields and refusals, drawn from the exchange itself.

Endpoints come from the table of routes and its catalogue, fields from replies of an exchange in memory, refusals from
the places in the source that say no.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gambler_ai.exchange
from gambler_ai.cli.marks import filled
from gambler_ai.exchange.rest.catalogue import DIFFERS, ENTRIES, IMPLEMENTED, KNOWN, NOT_BUILT, NOT_SAID, NOT_SERVED
from gambler_ai.exchange.rest.routes import CONTROL_PREFIX, ROUTES

EXCHANGE = Path("docs/EXCHANGE.md")
BEGIN, END = "<!-- tables: written by scripts/docs -->", "<!-- end of tables -->"

#: How a refusal is made in the source: status and code.
_MAKERS = {
    "bad_parameter": (422, "40010001"), "unprocessable": (422, "42210000"), "forbidden": (403, "40310000"),
    "not_found": (404, "40410000"), "_invalid": (400, "40010001"), "invalid": (400, "-"), "bad_data": (400, "40010001"),
}  # fmt: skip
#: What the gate and the router answer: there is no refusal in the source for it.
_GATE = (
    (400, "40010000", "request body format is invalid", "any body that is no JSON object", "1"),
    (401, "40110000", "request is not authorized", "missing or bad keys, in any of the three forms", "1"),
    (404, "40410000", "endpoint not found", "no such path; a slash at its end makes it another one", "1"),
    (405, "40510000", "method not allowed", "no such method of a path", "1"),
    (413, "41310000", "body too large", "more than 1 MiB", "-"),
    (429, "42910000", "rate limit exceeded", "with X-RateLimit-Limit, -Remaining and -Reset", "1"),
)
_SECTIONS = {"desk": "3", "options": "3", "deeds": "10"}
_BLANK = "…"
#: Files that say no to somebody else than a client of the API.
_NOT_ALPACAS = ("control", "owner")


class Reply(NamedTuple):
    """An answer whose fields are told: the request, and where in the answer they are."""

    name: str
    path: str
    place: tuple[str | int, ...] = ()
    section: str = "2"


_DAY = "start=2008-10-06&end=2008-10-06"
_REPLIES = (
    Reply("account", "/v2/account"),
    Reply("configurations", "/v2/account/configurations"),
    Reply("portfolio history", "/v2/account/portfolio/history?period=1D&timeframe=1H", (), "5"),
    Reply("activity: a fill", "/v2/account/activities/FILL", (0,), "5"),
    Reply("activity: a split", "/v2/account/activities/SPLIT", (0,), "5"),
    Reply("order", "/v2/orders?status=all", (0,), "3"),
    Reply("position", "/v2/positions", (0,), "4"),
    Reply("watchlist", "/v2/watchlists:by_name?name=mine", (), "5"),
    Reply("asset", "/v2/assets/AAPL"),
    Reply("clock", "/v2/clock"),
    Reply("calendar day", f"/v2/calendar?{_DAY}", (0,)),
    Reply("clock, v3", "/v3/clock", ("clocks", 0)),
    Reply("calendar day, v3", f"/v3/calendar/NYSE?{_DAY}", ("calendar", 0)),
    Reply("announcement", "/v2/corporate_actions/announcements?ca_types=split&since=2005-02-28&until=2005-02-28", (0,)),
    Reply("bar", "/v2/stocks/AAPL/bars?timeframe=1Day&start=2008-10-01", ("bars", 0), "6"),
    Reply("quote", "/v2/stocks/AAPL/quotes/latest", ("quote",), "6"),
    Reply("trade", "/v2/stocks/AAPL/trades/latest", ("trade",), "6"),
)


def documents(root: Path) -> dict[Path, str]:
    """The file, and what it should hold."""
    path = root / EXCHANGE
    return {path: filled(path, BEGIN, END, tables())}


def tables() -> str:
    parts = [
        _table("Endpoints", ("endpoint", "takes (body after a semicolon)", "BEHAVIOUR", "state"), _endpoints()),
        _table("Not built", ("operations of Alpaca's documents", "state", "why"), _not_built()),
        _table("Fields", ("reply", "its fields", "BEHAVIOUR"), _fields()),
        _table("Refusals", ("status", "code", "message", "said by, or when", "BEHAVIOUR", "state"), _refusals()),
    ]
    return "\n".join(["", *parts])


def _table(heading: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([f"## {heading}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines]) + "\n"


# -- endpoints ------------------------------------------------------------------------------------


def served() -> list[tuple[str, str]]:
    """Method and path of each route that is Alpaca's."""
    return [
        (method, route.path)
        for route in ROUTES if not route.path.startswith(CONTROL_PREFIX)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]  # fmt: skip


def _endpoints() -> Iterator[tuple[str, ...]]:
    """Raises KeyError for a route that the catalogue does not have."""
    for method, path in served():
        entry = ENTRIES[method, path]
        state = f"{entry.state}: {entry.differs}" if entry.differs else entry.state
        yield f"`{method} {path}`", entry.takes or "-", entry.section, state


def _not_built() -> Iterator[tuple[str, ...]]:
    """What a route serves by now is left out."""
    paths = [re.sub(r"\{\w+\}", "{}", path) for _, path in served()]
    for prefix, why in NOT_SERVED.items():
        if not any(path.startswith(re.sub(r"\{\w+\}", "{}", prefix)) for path in paths):
            yield f"`{prefix}`", NOT_BUILT, why


# -- fields ---------------------------------------------------------------------------------------


def _fields() -> Iterator[tuple[str, ...]]:
    """Asked of an exchange in memory that holds a position."""
    from gambler_ai.exchange.exchange import Exchange
    from gambler_ai.exchange.faults import FaultPlan
    from gambler_ai.exchange.rest.server import create_app
    from gambler_ai.exchange.rest.transport import ExchangeSession

    exchange = Exchange.open(None)
    session = ExchangeSession(create_app(exchange, "", FaultPlan()))
    session.headers.update({"APCA-API-KEY-ID": exchange.key_id, "APCA-API-SECRET-KEY": exchange.secret_key})
    order = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    session.post(session.url + "/v2/orders", json=order)
    session.post(session.url + "/v2/watchlists", json={"name": "mine"})
    exchange.deeds.do("split", {"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "2008-10-07"})
    for reply in _REPLIES:
        found: Any = session.get(session.url + reply.path).json()
        for step in reply.place:
            found = found[step]
        yield reply.name, " ".join(f"`{name}`" for name in found), reply.section
    session.close()
    exchange.close()


# -- refusals -------------------------------------------------------------------------------------


_OURS = f"{DIFFERS}: our words; Alpaca's are not known"


def _refusals() -> list[tuple[str, ...]]:
    """Sorted, each once: what is said here, and what Alpaca is known to say and is not."""
    root = Path(gambler_ai.exchange.__file__).parent
    said: dict[tuple[int, str, str], tuple[list[str], str]] = {
        (status, code, message): ([when], section) for status, code, message, when, section in _GATE
    }
    for path in sorted(root.rglob("*.py")):
        for row in _said(path) if path.stem not in _NOT_ALPACAS else ():
            places, _ = said.setdefault(row, ([], _section(path, root)))
            places.append(f"`{path.relative_to(root).with_suffix('')}`")
    rows = []
    for (status, code, message), (places, section) in said.items():
        known = next((row for row in KNOWN if _is(row, status, message)), None)
        said_by, section = ", ".join(dict.fromkeys(places)), known[2] if known else section
        rows.append((str(status), code, f"`{message}`", said_by, section, IMPLEMENTED if known else _OURS))
    for (status, code), message, section in KNOWN:
        if not any(_is(((status, code), message, section), said_status, text) for said_status, _, text in said):
            why = NOT_SAID.get(message, "")
            rows.append((str(status), code, f"`{message}`", "-", section, f"{NOT_BUILT}: {why}" if why else NOT_BUILT))
    return sorted(rows)


def _is(known: tuple[tuple[int, str], str, str], status: int, message: str) -> bool:
    """Whether one of the two texts is the other with its blanks filled."""
    return known[0][0] == status and any(
        re.fullmatch(".+".join(re.escape(part) for part in text.split(_BLANK)), other)
        for text, other in ((known[1], message), (message, known[1])) if len(text.replace(_BLANK, "")) > 12
    )  # fmt: skip


def _section(path: Path, root: Path) -> str:
    found = re.search(r"BEHAVIOUR (\d+)", ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
    room = path.relative_to(root).parts[0].removesuffix(".py")
    return found[1] if found else _SECTIONS.get(room, "1")


def _said(path: Path) -> Iterator[tuple[int, str, str]]:
    """Status, code and message of each refusal that a file makes; values are blanks."""
    tree = ast.parse(path.read_text("utf-8"))
    constants: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr):
            text = _text(node.value, constants)
            constants |= {target.id: text for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        message = _text(node.args[-1], constants)
        if node.func.id in _MAKERS:
            status, code = _MAKERS[node.func.id]
        elif node.func.id == "Refusal" and all(isinstance(arg, ast.Constant) for arg in node.args[:2]):
            status, code = (arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant))  # type: ignore[assignment]
        elif node.func.id == "DataRefusal" and isinstance(node.args[0], ast.Constant):
            status, code = int(str(node.args[0].value)), "-"
        else:
            continue
        if message.replace(_BLANK, "").strip():
            yield int(status), str(code), message


def _text(node: ast.expr, constants: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value, constants) for value in node.values)
    if isinstance(node, ast.IfExp):
        return f"{_text(node.body, constants)}` or `{_text(node.orelse, constants)}"
    if isinstance(node, ast.Name):
        return constants.get(node.id, _BLANK)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return re.sub(r"\{\w*\}", _BLANK, _text(node.func.value, constants))
    return _BLANK
