"""A plan's lines: when they act, what is refused, and that the same seed does the same."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.faults.files import read_rows
from gambler_ai.exchange.faults.kinds import DEED_KINDS, KINDS, STREAM_KINDS
from gambler_ai.exchange.rest.server import create_app
from tests.unit.exchange.conftest import IN_SESSION


def acts(world, count, **row):
    """Which of so many requests a line hits, by their number."""
    world.faults.replace([{"kind": "500"} | row])
    return [n for n in range(1, count + 1) if world.call("GET", "/v2/clock")[0] == 500]


@pytest.mark.parametrize(
    ("row", "hit"),
    [
        ({}, [1]),
        ({"times": 3}, [1, 2, 3]),
        ({"times": "always"}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"times": 0}, []),
        ({"after": 2}, [3]),
        ({"after": 2, "times": 2}, [3, 4]),
        ({"every": 3, "times": "always"}, [3, 6]),
        ({"after": 1, "every": 2, "times": 2}, [3, 5]),
        ({"method": "POST", "times": "always"}, []),
        ({"method": "get", "path": "/v2/cl"}, [1]),
    ],
)
def test_a_line_acts_when_it_says(world, row, hit):
    assert acts(world, 8, **row) == hit


def test_chance_follows_from_the_seed_and_the_place_in_the_plan(make_world):
    def drawn(seed, *before):
        world = make_world(seed=seed)
        world.faults.replace([*before, {"kind": "500", "probability": 0.5, "times": "always"}])
        return [world.call("GET", "/v2/clock")[0] for _ in range(30)]

    first = drawn(7)
    assert first == drawn(7)
    assert 5 < first.count(500) < 25
    assert first != drawn(8)
    assert first != drawn(7, {"kind": "500", "times": 0})


@pytest.mark.parametrize(("begin", "end"), [("+1m", "+2m"), ("2007-11-13T15:01:00Z", "2007-11-13T15:02:00Z")])
def test_a_line_acts_between_two_instants_of_market_time(world, begin, end):
    world.faults.replace([{"kind": "500", "from": begin, "until": end, "times": "always"}])
    found = []
    for _ in range(5):
        found.append(world.call("GET", "/v2/clock")[0])
        world.pass_time(seconds=30)
    assert found == [200, 200, 500, 500, 200]


def test_what_comes_behind_the_line_that_acts_does_not_see_the_request(world):
    world.faults.replace([{"kind": "500"}, {"kind": "502_html", "after": 1}])
    assert [world.call("GET", "/v2/assets/AAPL")[0] for _ in range(1)] == [500]
    replies = [world.session.get(world.session.url + "/v2/clock").status_code for _ in range(3)]
    assert replies == [200, 502, 200]


NONSENSE = [
    7,
    {},
    {"kind": "explode"},
    {"kind": ["500"]},
    {"kind": "500", "tims": 2},
    {"kind": "500", "times": "often"},
    {"kind": "500", "times": True},
    {"kind": "500", "times": 1.5},
    {"kind": "500", "after": -1},
    {"kind": "500", "every": 0},
    {"kind": "500", "probability": 2},
    {"kind": "500", "probability": "half"},
    {"kind": "500", "from": "soon"},
    {"kind": "500", "from": "+"},
    {"kind": "500", "from": 5},
    {"kind": "500", "from": "+2m", "until": "+1m"},
    {"kind": "500", "seconds": 2},
    {"kind": "500", "path": 2},
    {"kind": "fill_first", "method": "GET"},
    {"kind": "stale", "path": "/v2/positions"},
    {"kind": "hang", "seconds": -1},
    {"kind": "hang", "seconds": float("inf")},
    {"kind": "hang", "seconds": float("nan")},
    {"kind": "hang", "seconds": True},
    {"kind": "bad_price"},
    {"kind": "bad_price", "price": "odd"},
    {"kind": "bad_price", "price": "nan", "stream": "news"},
    {"kind": "both_exits", "path": "/v2/"},
    {"kind": "hand"},
    {"kind": "hand", "close": "AAPL", "cancel": "AAPL"},
    {"kind": "hand", "close": ""},
    {"kind": "hand", "cancel": 7},
    {"kind": "hand", "order": {"symbol": "AAPL"}},
    {"kind": "hand", "order": "buy"},
    {"kind": "hand", "replace": "AAPL"},
    {"kind": "hand", "close": "AAPL", "changes": {}},
    {"kind": "account_reset", "cash": "lots"},
    {"kind": "account_reset", "cash": 0},
    {"kind": "split", "symbol": "AAPL", "ratio": "2"},
    {"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "someday"},
    {"kind": "split", "symbol": "ZZZZ", "ratio": "2", "on": "2007-11-14"},
    {"kind": "split", "symbol": "AAPL", "ratio": "1", "on": "2007-11-14"},
    {"kind": "split", "symbol": "AAPL", "ratio": "0", "on": "2007-11-14"},
    {"kind": "split", "symbol": "AAPL", "ratio": "1:0", "on": "2007-11-14"},
    {"kind": "split", "symbol": "AAPL", "ratio": "9999", "on": "2007-11-14"},
    {"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "2007-11-17"},
    {"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "2007-11-13"},
    {"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "2007-11-14", "orders": "burn"},
    {"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "2007-11-14", "times": 2},
]


@pytest.mark.parametrize("row", NONSENSE, ids=str)
def test_nonsense_is_one_line_and_the_old_plan_stays(world, row):
    world.faults.replace([{"kind": "500"}])
    with pytest.raises(ConfigError) as caught:
        world.faults.replace([row])
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 900
    assert world.call("GET", "/v2/clock")[0] == 500


def test_the_line_that_is_wrong_is_named():
    with pytest.raises(ConfigError, match=r"^fault 2: "):
        FaultPlan([{"kind": "500"}, {"kind": "nope"}])
    with pytest.raises(ConfigError, match="at most"):
        FaultPlan([{"kind": "500"}] * 1001)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_each_kind_takes_a_plain_line_or_its_example(world, name):
    kind = KINDS[name]
    row = json.loads(kind.example or json.dumps({"kind": name}))
    if name == "split":
        row["on"] = "2007-11-14"
    world.faults.replace([row])
    assert kind.text
    if kind.more and name not in STREAM_KINDS:
        assert set(row) & set(kind.more), "its example shows a field of its own"
    assert name not in DEED_KINDS or kind.example


def test_a_plan_in_a_file_is_json_or_toml(tmp_path):
    rows: list[dict[str, Any]] = [
        {"kind": "500", "times": 2},
        {"kind": "hand", "close": "AAPL", "from": "2008-10-07T14:00:00+00:00"},
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.json").write_text(json.dumps({"faults": rows}))
    (tmp_path / "c.toml").write_text(
        '[[faults]]\nkind = "500"\ntimes = 2\n[[faults]]\nkind = "hand"\nclose = "AAPL"\nfrom = 2008-10-07T14:00:00Z\n'
    )
    assert [read_rows(tmp_path / name) for name in ("a.json", "b.json", "c.toml")] == [rows] * 3
    FaultPlan(rows)


@pytest.mark.parametrize(
    "text",
    ["", "{", "7", '"500"', "[1, NaN]", '{"faults": 3}', '{"plan": []}', "[" * 100_000, "\x00", "[" + " " * 2**20],
)
def test_a_file_that_is_no_plan_is_one_line(tmp_path, text):
    for name in ("a.json", "a.toml"):
        (tmp_path / name).write_text(text)
        if name == "a.toml" and not text:
            continue  # no tables, no faults
        with pytest.raises(ConfigError) as caught:
            read_rows(tmp_path / name)
        assert "\n" not in caught.value.message
        assert len(caught.value.message) < 500
    with pytest.raises(ConfigError, match="cannot be read"):
        read_rows(tmp_path / "nowhere")


def test_a_standing_plan_counts_from_its_first_start(make_world, tmp_path):
    rows = [{"kind": "500", "from": "+10m", "times": "always"}]
    world = make_world(file=True)
    create_app(world.exchange, "", FaultPlan(rows, standing=True))
    world.pass_time(minutes=9)
    world.close()
    again = make_world(None, file=True)
    plan = FaultPlan(rows, standing=True)
    create_app(again.exchange, "", plan)
    assert plan.take("GET", "/v2/clock", "") is None
    again.pass_time(minutes=1)
    assert again.exchange.now() == IN_SESSION + timedelta(minutes=10)
    assert plan.take("GET", "/v2/clock", "") is not None
