"""Objects for programs: documented kinds, strings for decimals, no secret and no control character in a line."""

import io
import json
import re
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from gambler_ai.cli import records
from gambler_ai.cli.json_lines import TEXT_MAX, Encoder, RecordWatcher, to_stream
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.evolution import evolve
from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.core.model import Activity, ClosedTrade
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.core.state import SessionState
from gambler_ai.errors import ConfigError
from gambler_ai.secrecy import MASKED
from tests.unit.fakes import AT, CLOSE, MONEY, SHUT, D, after, bracket_of, entry, fill_of, make_state, report_of

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/json-lines.md"
ENTRY = entry()
PARENT = bracket_of(ENTRY)
TRADE = ClosedTrade("p", "AAPL", "long", D(10), D(100), AT, D(98), after(minutes=5), D(-20), "stop", "momentum")


def bought() -> SessionState:
    state = make_state()
    fill = ev.FillReported(AT, fill_of(PARENT, "10"))
    evolve(state, [ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, PARENT), fill])
    return state


def told(*facts: ev.Fact, closed: tuple[ClosedTrade, ...] = (), secrets: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The lines of a run in which these facts happened."""
    out = io.StringIO()
    watcher = RecordWatcher(to_stream(out, Encoder(secrets)))
    state = bought()
    watcher.created(state)
    decisions = Decisions([ev.RunStarted(AT, 60.0, resumed=False, token=4), *facts])
    decisions.changes.closed += closed
    watcher.took(decisions, state)
    return [json.loads(line) for line in out.getvalue().splitlines()][1:]


def test_each_line_is_one_object_with_its_kind_its_instant_its_session_and_its_runner():
    (line,) = told(ev.Denied(AT, "AAPL", ENTRY.side, "position_open", "10 held"))
    assert line == {
        "kind": "denied", "at": "2008-10-07T14:00:00Z", "symbol": "AAPL", "side": "buy", "code": "position_open",
        "context": "10 held", "session": "s-1", "token": 4,
    }  # fmt: skip


def test_a_trade_as_a_program_reads_it():
    fill, closed = told(ev.FillReported(AT, fill_of(PARENT, "10", "100.50")), closed=(TRADE,))
    assert (fill["kind"], fill["symbol"], fill["qty"], fill["price"]) == ("fill", "AAPL", "10", "100.50")
    assert fill["client_order_id"] == ENTRY.client_order_id
    assert (closed["kind"], closed["pnl"], closed["held_s"]) == ("closed", "-20", 300.0)
    assert closed["at"] == closed["exit_at"] == "2008-10-07T14:05:00Z"


def test_what_only_has_an_orders_id_gets_its_symbol():
    unknown, cancel = told(
        ev.IntentUnknown(AT, ENTRY.client_order_id, "no answer"), ev.CancelPlanned(AT, PARENT.order_id, "late")
    )
    assert unknown["symbol"] == cancel["symbol"] == "AAPL"
    assert [record["symbol"] for record in told(ev.ResendPlanned(AT, "who"))] == [None]


def example(kind: type) -> ev.Fact:
    """A fact of this kind, its fields filled by their type."""
    values: dict[str, Any] = {
        "at": AT, "intent": ENTRY, "report": report_of(ENTRY), "fill": fill_of(PARENT, "1"), "account": MONEY,
        "side": ENTRY.side, "price": D(1), "watch_until": CLOSE, "discrepancies": (), "changes": {}, "parameters": {},
        "marks": {}, "bars": {}, "budget_s": 1.0, "resumed": False, "token": 1, "new": 2, "old": 1,
        "activity_ids": (), "action": Activity("a-1", "DIV", "CDIV", "AAPL", D(10), D("2.40"), AT),
        "record": RiskRecord(), "versions": {},
        "outcome": Outcome("p-1", "AAPL", "long", AT, AT, D(1), 0.1, Signal({"volume": 0.5}, {"attention": 0.4})),
    }  # fmt: skip
    if kind in (ev.Adjusted, ev.Adopted, ev.SplitApplied):
        values["qty"] = D(1)
    elif kind is ev.ForeignSeen:
        values["qty"] = {"IBM": D(5)}
    names = [field.name for field in msgspec.structs.fields(kind) if field.name != "refused"]
    fact: ev.Fact = kind(**{name: values.get(name, "text") for name in names})
    return fact


def test_every_fact_of_a_kind_can_be_told_and_no_field_of_it_hides_the_kind():
    kinds = set()
    for fact_type in get_args(ev.Fact):
        record = records.of_fact(example(fact_type), bought())
        if record is not None:
            assert record["kind"] in records.KINDS
            assert "body" not in record
            kinds.add(record["kind"])
            Encoder().line(record)
    assert {"intent", "fill", "asked", "halted", "degraded", "void"} <= kinds


def test_every_kind_is_documented_and_every_documented_kind_exists():
    rows = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(records.KINDS | {"log"})


def test_the_rest_of_a_life():
    out = io.StringIO()
    watcher = RecordWatcher(to_stream(out, Encoder()))
    state = bought()
    watcher.created(state)
    watcher.started(state)
    watcher.stream(ev.StreamChanged(AT, ev.PRICES, up=False, reason="refused"))
    watcher.waiting(SHUT, state)
    watcher.stopping("duration")
    watcher.ended(state, created=3, pruned=1)
    watcher.close(ConfigError("no", hint="yes"))
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["kind"] for line in lines] == [
        "created", "started", "stream", "waiting", "stopping", "ended", "error",
    ]  # fmt: skip
    assert {line["session"] for line in lines} == {"s-1"}
    assert lines[1]["positions"][0]["protection"] == "PROTECTED"
    assert lines[4]["at"] == lines[3]["at"], "the last instant that was known"
    assert (lines[5]["checkpoints_created"], lines[5]["checkpoints_pruned"], lines[5]["fills"]) == (3, 1, 1)
    assert (lines[6]["error"], lines[6]["exit_code"], lines[6]["hint"]) == ("ConfigError", 2, "yes")


def test_no_secret_however_it_is_spelled():
    secret = 'pa"ss/w ord+'
    quoted = json.dumps(secret)[1:-1]
    spelled = f"{secret} {quoted} pa%22ss%2Fw%20ord%2B"
    (line,) = told(ev.Degraded(AT, "broker", spelled), secrets=(secret, "", "y"))
    assert line["reason"] == f"{MASKED} {MASKED} {MASKED}"
    long = "x" * (TEXT_MAX - 5) + "MARKER-OF-A-SECRET"
    (cut,) = told(ev.Degraded(AT, "broker", long), secrets=("MARKER-OF-A-SECRET",))
    assert "MARK" not in cut["reason"]
    assert told(ev.Degraded(AT, "broker", "xPKEYx"), secrets=("PKEY",))[0]["reason"] == f"x{MASKED}x"


def test_a_text_without_end_ends_and_no_control_character_gets_through():
    nasty = "\x1b[2J\n\x7f\x9b\u2028\u202eé…"
    text = Encoder().line({"kind": "x", "a": nasty, "b": ["y" * 9_999], "c": {"d": "z" * 9_999}})
    assert text.isprintable()
    assert text.isascii(), "no encoding of stdout can lose a line"
    back = json.loads(text)
    assert back["a"] == nasty
    assert len(back["b"][0]) == len(back["c"]["d"]) == TEXT_MAX


def test_numbers_that_are_money_are_strings():
    state = bought()
    record = records.started(state)
    assert record["positions"][0]["qty"] == "10"
    assert not [v for v in record["positions"][0].values() if isinstance(v, Decimal | datetime | timedelta)]


@pytest.mark.parametrize(
    ("name", "condition", "subject", "entries"),
    [
        ("broker", "broker", "", "no entries"),
        ("stale prices AAPL", "stale prices", "AAPL", "no entries in it"),
        ("stream silent trade updates", "stream silent", "trade updates", "entries go on"),
        ("a word of tomorrow", None, "", "no entries"),
    ],
)
def test_what_does_not_work_is_taken_apart_for_programs(name, condition, subject, entries):
    (line,) = told(ev.Degraded(AT, name, "503"))
    found = [line[field] for field in ("name", "reason", "condition", "subject", "entries")]
    assert found == [name, "503", condition, subject, entries]
    assert line["ends"]
    (line,) = told(ev.Restored(AT, name))
    assert [line[field] for field in ("name", "condition", "subject")] == [name, condition, subject]
