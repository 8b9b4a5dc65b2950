"""`exchange serve --faults FILE`: a plan that comes back with each start, and what is said of one that is none."""

import json
from pathlib import Path

import pytest

from tests.recovery.harness import FORKED, Exchange, Running, World, audit, base_env

PLAN = """
[[faults]]
kind = "lost_reply"
method = "POST"
path = "/v2/orders"

[[faults]]
kind = "account_reset"
from = "+1h"

[[faults]]
kind = "hand"
from = 2008-10-07T13:31:00Z
order = {symbol = "IBM", qty = 1, side = "buy", type = "market", time_in_force = "day"}
"""


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", '[{"kind": "explode"}]', "fault 1: 'explode' is no kind of fault"),
        ("a.json", '[{"kind": "500", "metod": "GET"}]', "fault 1: 500 has no field 'metod'"),
        ("a.json", '[{"kind": "500"}, {"kind": "500", "times": "often"}]', "fault 2: "),
        ("a.toml", "[[faults", "is no plan of faults"),
        (
            "a.json", '[{"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "2008-10-11"}]',
            "2008-10-11 is no trading day",
        ),
    ],
)  # fmt: skip
def test_a_plan_that_makes_no_sense_is_one_line(tmp_path: Path, name: str, text: str, says: str):
    if text:
        (tmp_path / name).write_text(text)
    command = [*FORKED, "exchange", "serve", "--paused", "--faults", str(tmp_path / name)]
    ended = Running(command, base_env(tmp_path), tmp_path).end()
    assert (ended.code, ended.out) == (2, "")
    line, *more = ended.err.splitlines()
    assert more == []
    assert line.startswith(f"error: --faults {tmp_path / name}: ")
    assert says in line


def test_a_plan_comes_back_with_each_start_and_does_nothing_twice(tmp_path: Path):
    (tmp_path / "plan.toml").write_text(PLAN)
    env = base_env(tmp_path)

    def serve() -> Exchange:
        return Exchange(env, tmp_path, "--file", str(tmp_path / "x.db"), "--faults", str(tmp_path / "plan.toml"))

    first = serve()
    before = first.get("/v2/account")["id"]
    first.pass_time(minutes=59)
    assert first.positions() == {"IBM": 1}
    first.stop()
    second = serve()
    assert second.get("/v2/account")["id"] == before
    second.pass_time(minutes=1)
    after = second.get("/v2/account")["id"]
    assert before != after
    assert second.positions() == {}
    second.stop()
    third = serve()
    third.pass_time(hours=3)
    assert (third.get("/v2/account")["id"], third.positions()) == (after, {})
    assert [done["kind"] for done in third.get("/_exchange/deeds")] == ["hand", "account_reset"]
    third.stop()


def test_a_session_with_a_plan_in_a_file(make_world, tmp_path: Path):
    plan = [
        {"kind": "lost_reply", "method": "POST", "path": "/v2/orders", "times": 2},
        {"kind": "activity_twice", "times": "always", "from": "+3m"},
        {"kind": "orders_late", "seconds": 20, "times": "always", "from": "+4m", "until": "+9m"},
    ]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    world: World = make_world("--faults", str(tmp_path / "plan.json"))
    world.trade(duration=14).ok()
    acted = [line["acted"] for line in world.there.get("/_exchange/faults")]
    assert acted[0] == 2
    assert min(acted) > 0
    world.there.plan()  # the audit reads through the same broker
    audit(world)
