# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""What others say cannot steer a terminal, forge a line or fill a log (protocol 4.7)."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from gambler_ai.broker import convert
from gambler_ai.broker.fence import printable as of_broker
from gambler_ai.cli.render import TEXT_MAX, printable
from gambler_ai.core.proposals import failure
from gambler_ai.core.text import one_line
from tests.security.conftest import Marked
from tests.security.mirror import Answer
from tests.unit.broker.test_convert import ORDER

EVIL = {
    "colour": "\x1b[31mred\x1b[0m", "clear": "\x1b[2J\x1b[H", "title": "\x1b]0;owned\x07", "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "c1 csi": "\x9b31m", "line": "one\nerror: two", "return": "one\rerror: two", "separator": "a\u2028b\u2029c\x85d",
    "backspace": "abc\x08\x08\x08xyz", "nul": "a\x00b", "bell": "\x07", "delete": "\x7f", "bidi": "\u202eevil\u202c",
    "isolate": "\u2066evil\u2069", "mark": "\u200e\u200f\u061c", "zero width": "a\u200bb\ufeffc", "tag": "\U000e0041\U000e007f",
    "surrogate": "\ud800", "private": "\ue000", "noncharacter": "\ufffe", "shift": "\x0e\x0f", "form": "\x0c\x0b",
}  # fmt: skip
#: Nothing that moves a cursor, breaks a line or turns the writing around.
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\ud800-\udfff\ue000-\uf8ff]"
                 "|[\U000e0000-\U000e007f]")  # fmt: skip
DOORS: dict[str, Callable[[str], str]] = {
    "a terminal": printable, "a text of others": lambda text: one_line(text, 300), "a broker's": of_broker,
    "a symbol": lambda text: convert.order(ORDER | {"symbol": text}).symbol,
    "a status": lambda text: convert.order(ORDER | {"status": text}).status,
    "a type": lambda text: convert.order(ORDER | {"type": text}).type,
    "a strategy's error": lambda text: failure(ValueError(text)),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", EVIL)
def test_nothing_raw_passes(door: str, name: str):
    found = DOORS[door](f"x{EVIL[name]}y")
    assert not RAW.search(found)
    assert "\n" not in found


@pytest.mark.parametrize("name", EVIL)
def test_an_id_is_refused_and_not_mended(name: str):
    """It is compared with ours: one that was changed on the way would be another."""
    with pytest.raises(ValueError, match="not an id"):
        convert.order(ORDER | {"id": f"x{EVIL[name]}"})


def test_a_long_text_is_cut():
    assert len(printable("x" * 10**6)) == TEXT_MAX
    assert len(of_broker("x" * 10**6)) == 300
    assert len(convert.order(ORDER | {"symbol": "x" * 10**6}).symbol) == 32


def test_an_ordinary_text_stays_as_it_is():
    assert printable("Größe 5 % → ¥ 日本") == "Größe 5 % → ¥ 日本"


def test_what_a_broker_says_in_every_field_reaches_neither_terminal_nor_log(marked: Marked):
    """Refusals, symbols of positions and orders by hand, statuses, account names: through the real program."""
    evil = "".join(text for name, text in EVIL.items() if name != "surrogate")

    def mood(method: str, path: str, _headers: dict[str, str]) -> Answer | None:
        if method == "POST" and path == "/v2/orders":
            return _json(422, {"code": 42210000, "message": f"refused {evil}"})
        if path == "/v2/positions":
            return _json(200, [{"symbol": f"S{evil}", "qty": "1", "avg_entry_price": "1", "side": "long"}])
        if path == "/v2/orders":
            return _json(
                200,
                [
                    ORDER
                    | {
                        "id": "by-hand",
                        "client_order_id": "by-hand",
                        "symbol": f"S{evil}",
                        "status": evil,
                        "type": evil,
                    }
                ],
            )
        return None

    marked.mirror.mood = mood
    marked.trades(LANG="C.UTF-8", PYTHONUTF8="1")
    marked.trades("--resume", "--json", LANG="C.UTF-8", PYTHONUTF8="1")
    session = marked.session_id()
    for command in (["sessions", "show", session], ["sessions", "show", session, "--json"], ["orders", "list", "--all"],
                    ["reconcile"], ["doctor"]):  # fmt: skip
        marked.run(*command, LANG="C.UTF-8", PYTHONUTF8="1")
    said = "".join(ended.out + ended.err for ended in marked.outputs) + (marked.folder / "session.log").read_text()
    assert "evil" in said
    assert not RAW.search(said), RAW.search(said)
    for fact in marked.facts():
        assert not RAW.search(json.dumps(fact, ensure_ascii=False))


def test_an_error_echoes_an_argument_without_its_escapes(marked: Marked):
    for option in ("--symbols", "--strategy", "--timeframe", "--database-url", "--config"):
        ended = marked.run(option, f"x{EVIL['colour']}{EVIL['bidi']}{EVIL['line']}=1")
        assert ended.code == 2, ended
        assert not RAW.search(ended.out + ended.err), (option, ended)


def _json(status: int, body: Any) -> Answer:
    return status, "application/json", json.dumps(body).encode()
