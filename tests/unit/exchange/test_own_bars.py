"""A directory of the user's own bars: they win, they are checked, and a file of the exchange belongs to them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.bar_files import read_bars
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.instants import new_york_us
from gambler_ai.exchange.prices import own
from gambler_ai.exchange.prices.market import Market
from gambler_ai.exchange.prices.sessions import real_sessions
from tests.unit.exchange.conftest import World, order_body

DAYS = "date,open,high,low,close,volume\n"
MINUTES = "timestamp,open,high,low,close,volume\n"
WEEK = [date(2024, 1, day) for day in (2, 3, 4, 5, 8)]
DAILY = DAYS + "".join(f"{day},10{n},10{n}.5,9{n},10{n}.25,100000\n" for n, day in enumerate(WEEK))


def minute_rows(day: date = WEEK[1]) -> str:
    return (
        f"{day}T08:00:00-05:00,99,99,99,99,50\n"
        f"{day}T09:30:00-05:00,100,101,99.5,100.5,1003\n"
        f"{day}T09:31:00-05:00,100.5,100.5,98,98.25,700\n"
        f"{day} 15:59,97,99,97,98.75,10\n"
        f"{day}T21:10:00Z,98.5,98.5,98.5,98.5,3\n"
    )


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.csv").write_text(text, encoding="utf-8")
    return directory


@pytest.fixture
def open_on(tmp_path):
    """``open_on(start, SYMBOL=text)``: a world on these bars."""
    worlds: list[World] = []

    def make(start: datetime | None = None, **files: str) -> World:
        (tmp_path / "bars").mkdir(exist_ok=True)
        exchange = Exchange.open(tmp_path / "x.db", start=start, seed=7, data=write(tmp_path / "bars", **files))
        worlds.append(World(exchange))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


def test_daily_bars_are_the_market(open_on):
    world = open_on(datetime(2024, 1, 8, 17, tzinfo=UTC), ACME=DAILY)
    found = world.get("/v2/stocks/ACME/bars", timeframe="1Day", start="2024-01-01")["bars"]
    assert [(bar["t"], bar["o"], bar["h"], bar["l"], bar["c"], bar["v"]) for bar in found] == [
        (f"{day}T05:00:00Z", 100 + n, 100.5 + n, 90 + n, 100.25 + n, 100_000) for n, day in enumerate(WEEK[:4])
    ]
    minutes = world.get(
        "/v2/stocks/ACME/bars", timeframe="1Min", start="2024-01-05T14:30:00Z", end="2024-01-05T20:59:00Z"
    )
    assert (minutes["bars"][0]["o"], minutes["bars"][-1]["c"], len(minutes["bars"])) == (103, 103.25, 390)
    assert world.get("/v2/calendar")[-1]["date"] == "2024-01-08"
    assert world.get("/v2/clock")["is_open"] is True
    assert world.filled(symbol="ACME")["status"] == "filled"


def test_minute_bars_are_told_as_they_are_and_nothing_is_made_up_beside_them(open_on):
    world = open_on(datetime(2024, 1, 4, 1, tzinfo=UTC), ACME=MINUTES + minute_rows())
    found = world.get("/v2/stocks/ACME/bars", timeframe="1Min", start="2024-01-03")["bars"]
    assert [(bar["t"][11:16], bar["o"], bar["h"], bar["l"], bar["c"], bar["v"]) for bar in found] == [
        ("13:00", 99, 99, 99, 99, 50),
        ("14:30", 100, 101, 99.5, 100.5, 1003),
        ("14:31", 100.5, 100.5, 98, 98.25, 700),
        ("20:59", 97, 99, 97, 98.75, 10),
        ("21:10", 98.5, 98.5, 98.5, 98.5, 3),
    ]
    (day,) = world.get("/v2/stocks/ACME/bars", timeframe="1Day", start="2024-01-03")["bars"]
    assert (day["o"], day["h"], day["l"], day["c"], day["v"]) == (100, 101, 97, 98.75, 1713)
    trades = world.get("/v2/stocks/ACME/trades", start="2024-01-03T14:30:00Z", end="2024-01-03T14:31:59Z")["trades"]
    assert [(trade["p"], trade["s"]) for trade in trades] == [
        (100, 250), (99.5, 250), (101, 250), (100.5, 253), (100.5, 175), (100.5, 175), (98, 175), (98.25, 175),
    ]  # fmt: skip


def test_orders_meet_the_ticks_of_the_minutes(open_on):
    world = open_on(datetime(2024, 1, 3, 14, 30, 2, tzinfo=UTC), ACME=MINUTES + minute_rows())
    order = world.order(symbol="ACME", type="limit", limit_price="98.50", qty=1)
    world.exchange.advance(datetime(2024, 1, 3, 14, 31, 44, tzinfo=UTC))
    assert world.look(order["id"])["status"] == "new"
    world.exchange.advance(datetime(2024, 1, 3, 14, 31, 59, tzinfo=UTC))
    assert world.look(order["id"])["filled_avg_price"] == "98.01", "the ask of the low"


def test_they_win_over_shipped_and_synthetic_ones_of_the_same_name(tmp_path):
    theirs = read_bars(write(tmp_path, AAPL=DAYS + "2013-02-28,1,1,1,1,5\n", TSLA=DAYS + "2013-02-28,2,2,2,2,5\n"))
    market = Market(7, theirs)
    assert {symbol: market.label(symbol) for symbol in ("AAPL", "TSLA", "MSFT", "SPY")} == {
        "AAPL": "user", "TSLA": "user", "MSFT": "real-daily", "SPY": "synthetic",
    }  # fmt: skip
    session = market.sessions.on(date(2013, 2, 28))
    bars = {symbol: market.daily_bar(symbol, session) for symbol in ("AAPL", "TSLA", "MSFT")}
    shipped = Market(7).daily_bar("MSFT", session)
    assert [bar.close for name in ("AAPL", "TSLA") if (bar := bars[name])] == [10_000, 20_000]
    assert bars["MSFT"] == shipped
    assert market.sessions.days == [date(2013, 2, 28)]


def test_shipped_symbols_without_a_day_of_theirs_are_not_listed(tmp_path):
    market = Market(7, read_bars(write(tmp_path, ACME=DAILY)))
    assert market.find_asset("AAPL") is None
    assert market.find_asset("ACME") is not None
    assert market.label("SPY") == "synthetic"
    assert market.known_splits == {}


def test_a_half_day_closes_at_one(open_on):
    world = open_on(ACME=DAYS + "2024-11-27,1,1,1,1,9\n2024-11-29,10,11,9,10,4000\n2024-12-02,1,1,1,1,9\n")
    assert world.exchange.now_us == new_york_us(date(2024, 11, 29), 12, 0), "a new file opens in the middle"
    assert world.get("/v2/clock")["next_close"] == "2024-11-29T13:00:00-05:00"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (DAYS + "2024-01-02,1,2,1,nan,5\n", "line 2: close nan is no number"),
        (DAYS + "2024-01-02,1,2,1,1.5,5\n2024-01-03,1,2,1,inf,5\n", "line 3: close inf is no number"),
        (DAYS + "2024-01-02,1,2,-1,1.5,5\n", "line 2: low -1 is negative"),
        (DAYS + "2024-01-02,1,2,1,1.5,-5\n", "line 2: volume -5 is negative"),
        (DAYS + "2024-01-02,1,2,1,1.5,5.5\n", "line 2: volume 5.5 is no whole number"),
        (DAYS + "2024-01-02,1,2,0,1.5,5\n", "line 2: low 0 is no price between"),
        (DAYS + "2024-01-02,1,two,1,1.5,5\n", "line 2: high 'two' is no number"),
        (DAYS + "2024-01-02,1,1,2,1,5\n", "line 2: high is below low (open 1, high 1, low 2, close 1)"),
        (DAYS + "2024-01-02,3,2,1,1,5\n", "line 2: high is below open or close"),
        (DAYS + "2024-01-02,3,4,2,1,5\n", "line 2: low is above open or close"),
        (DAYS + "2024-01-02,1,1,1,1,5\n\n2024-01-02,1,1,1,1,5\n", "line 4: 2024-01-02 is there twice"),
        (DAYS + "2024-01-03,1,1,1,1,5\n2024-01-02,1,1,1,1,5\n", "line 3: 2024-01-02 is older than the row before it"),
        (DAYS + "2024-01-01,1,1,1,1,5\n", "line 2: 2024-01-01 (Monday) is no trading day in New York"),
        (DAYS + "2024-01-06,1,1,1,1,5\n", "line 2: 2024-01-06 (Saturday) is no trading day in New York"),
        (DAYS + "02/01/2024,1,1,1,1,5\n", "line 2: date 02/01/2024 is not written as 2024-01-03"),
        (DAYS + "2024-01-02,1,1,1,1\n", "line 2: 5 values, the header has 6"),
        (DAYS, "no bars in it"),
        ("", "no bars in it"),
        (DAYS.replace("volume", "volume,vwap") + "2024-01-02,1,1,1,1,5,1\n", "unknown column `vwap`"),
        (DAYS.replace("close", "adj close") + "2024-01-02,1,1,1,1,5\n", "no column `close`"),
        (DAYS.replace("close", "open") + "2024-01-02,1,1,1,1,5\n", "line 1: column `open` is there twice"),
        (DAYS.replace("date", "day") + "2024-01-02,1,1,1,1,5\n", "one column is `date` (daily bars) or `timestamp`"),
        (DAYS + "1999-12-31,1,1,1,1,5\n", "the calendar is known from 2000-01-03 to 2029-12-31"),
        (MINUTES + "2024-01-03T09:30:30,1,1,1,1,5\n", "line 2: 2024-01-03T09:30:30 is no whole minute"),
        (MINUTES + "2024-01-03T03:59,1,1,1,1,5\n", "line 2: 2024-01-03T03:59 lies outside the trading hours"),
        (MINUTES + "2024-01-03T09:30,1,1,1,1,5\n2024-01-03T20:00,1,1,1,1,5\n", "line 3: 2024-01-03T20:00 lies outside"),
        (MINUTES + "2024-01-03T08:00,1,1,1,1,5\n", "line 2: 2024-01-03 has no bar in regular hours"),
        (MINUTES + "2024-01-06T09:30,1,1,1,1,5\n", "line 2: 2024-01-06 (Saturday) is no trading day"),
        (MINUTES + "soon,1,1,1,1,5\n", "line 2: timestamp soon is not written as"),
        (DAYS + '2024-01-02,"1,1,1,1,5\n', "line 2: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_line(tmp_path, text, told):
    write(tmp_path, GOOD=DAILY, ACME=text)
    with pytest.raises(ConfigError) as caught:
        read_bars(tmp_path)
    assert told in caught.value.message
    assert "calendar is known" in told or str(tmp_path / "ACME.csv") in caught.value.message


def test_directories_and_names(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the directory"):
        read_bars(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"has no bars: it needs files named SYMBOL\.csv"):
        read_bars(tmp_path)
    (tmp_path / "README.txt").write_text("not a bar")
    write(tmp_path, acme=DAILY)
    assert list(read_bars(tmp_path).symbols) == ["ACME"]
    (tmp_path / "ACME.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="ACME has another file"):
        read_bars(tmp_path)
    (tmp_path / "ACME.parquet").unlink()
    (tmp_path / "not a symbol.csv").write_text(DAILY)
    with pytest.raises(ConfigError, match="is no symbol"):
        read_bars(tmp_path)
    (tmp_path / "not a symbol.csv").unlink()
    (tmp_path / "B.csv").write_bytes(DAILY.encode() + b"\xff")
    with pytest.raises(ConfigError, match="line 7: it is no UTF-8 text"):
        read_bars(tmp_path)


def test_a_file_belongs_to_its_bars(tmp_path):
    bars = tmp_path / "bars"
    bars.mkdir()
    write(bars, ACME=DAILY)
    file = tmp_path / "x.db"
    Exchange.open(file, data=bars).close()
    Exchange.open(file, data=bars).close()
    with pytest.raises(ConfigError, match=r"x\.db was made with bars of yours"):
        Exchange.open(file)
    write(bars, ACME=DAILY.replace("100.25", "100.26"))
    with pytest.raises(ConfigError, match=r"x\.db was made with other bars than these"):
        Exchange.open(file, data=bars)
    Exchange.open(tmp_path / "y.db").close()
    with pytest.raises(ConfigError, match=r"y\.db has shipped prices, not bars of yours"):
        Exchange.open(tmp_path / "y.db", data=bars)
    write(bars, ACME=DAILY)
    Exchange.open(file, data=bars).close()


def test_a_restart_on_own_bars_changes_nothing(open_on):
    world = open_on(datetime(2024, 1, 4, 15, tzinfo=UTC), ACME=DAILY)
    world.filled(symbol="ACME")
    world.order(symbol="SPY", type="limit", limit_price="1", qty=1, time_in_force="gtc")
    picture = world.get("/v2/positions"), world.get("/v2/orders", status="all"), world.get("/v2/account")
    world.close()
    again = open_on(ACME=DAILY)
    assert picture == (again.get("/v2/positions"), again.get("/v2/orders", status="all"), again.get("/v2/account"))


@pytest.mark.parametrize(
    "text", [DAILY, MINUTES + minute_rows(WEEK[1]) + minute_rows(WEEK[2])], ids=["days", "minutes"]
)
def test_a_split_of_a_plan_halves_them_from_its_day_on(open_on, text):
    world = open_on(datetime(2024, 1, 3, 14, 35, tzinfo=UTC), ACME=text)
    ask = {"timeframe": "1Day", "start": "2024-01-03", "end": "2024-01-04"}
    market = Market(7, world.exchange.market.own)
    whole = market.daily_bar("ACME", market.sessions.on(WEEK[2]))
    world.filled(symbol="ACME", qty=1)
    world.faults.replace([{"kind": "split", "symbol": "ACME", "ratio": "2", "on": "2024-01-04"}])
    world.exchange.advance(datetime(2024, 1, 5, 2, tzinfo=UTC))
    raw, adjusted = (world.get("/v2/stocks/ACME/bars", adjustment=a, **ask)["bars"] for a in ("raw", "split"))
    assert world.get("/v2/positions/ACME")["qty"] == "2"
    assert whole is not None
    assert abs(raw[1]["c"] - whole.close / 20_000) < 0.01
    assert adjusted[0]["c"] == pytest.approx(raw[0]["c"] / 2, abs=0.0001)
    assert adjusted[0]["v"] == 2 * raw[0]["v"]
    assert adjusted[1] == raw[1]


def test_an_order_before_the_first_price_is_refused(open_on):
    world = open_on(datetime(2024, 1, 2, 12, tzinfo=UTC), ACME=MINUTES + minute_rows())
    status, body = world.call("POST", "/v2/orders", order_body(symbol="ACME"))
    assert (status, body["message"]) == (422, 'asset "ACME" is not tradable')


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is there")
def test_parquet_without_pyarrow_is_one_clear_line(tmp_path):
    (tmp_path / "ACME.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="reading Parquet needs pyarrow, which is not installed") as caught:
        read_bars(tmp_path)
    assert "gambler-ai[parquet]" in caught.value.hint


def test_values_of_a_parquet_file_are_checked_as_text_is():
    """What pyarrow gives: instants, days and numbers instead of text, None for what is missing."""
    prices = {name: [1.0, 2.0] for name in own.PRICES}
    days = [datetime(2024, 1, 2), date(2024, 1, 3)]  # noqa: DTZ001 - a day of Parquet may be an instant without a zone
    table = own.Table("A.parquet", "row", 1, {"date": days, **prices, "volume": [5, None]})
    assert own.check_names(table) is False
    assert own.read_days(table) == WEEK[:2]
    with pytest.raises(ConfigError, match=r"A\.parquet, row 2: volume None is no number"):
        own.daily_bars(table, WEEK[:2], {session.day: session for session in real_sessions(WEEK[0], WEEK[-1])})
    starts = [datetime(2024, 1, 3, 9, 30), datetime(2024, 1, 3, 14, 31, tzinfo=UTC)]  # noqa: DTZ001 - New York's
    table = own.Table("A.parquet", "row", 1, {"timestamp": starts, **prices, "volume": [5, 6]})
    assert own.read_instants(table) == [new_york_us(WEEK[1], 9, 30), new_york_us(WEEK[1], 9, 31)]


def test_parquet_is_read_as_csv_is(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    starts = [datetime(2024, 1, 3, 14, 30, tzinfo=UTC) + timedelta(minutes=n) for n in range(3)]
    columns = {"timestamp": starts, "open": [1.0, 2, 3], "high": [1.0, 2, 3], "low": [1.0, 2, 3], "close": [1.0, 2, 3]}
    parquet.write_table(pyarrow.table(columns | {"volume": [5, 6, 7]}), tmp_path / "ACME.parquet")
    (found,) = read_bars(tmp_path).symbols.values()
    assert found.daily.ohlcv.tolist() == [[10_000, 30_000, 10_000, 30_000, 18]]
    parquet.write_table(pyarrow.table(columns | {"volume": [5, -6, 7]}), tmp_path / "ACME.parquet")
    with pytest.raises(ConfigError, match=r"ACME\.parquet, row 2: volume -6 is negative"):
        read_bars(tmp_path)
    (tmp_path / "ACME.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ConfigError, match=r"ACME\.parquet: it is no readable Parquet file"):
        read_bars(tmp_path)


def test_prices_are_ten_thousandths(tmp_path):
    theirs = read_bars(write(tmp_path, ACME=DAYS + "2024-01-02,0.00014,0.00016,0.0001,0.00016,5\n"))
    assert theirs.symbols["ACME"].daily.ohlcv[0].tolist() == [1, 2, 1, 2, 5]
    assert Decimal(theirs.symbols["ACME"].daily.ohlcv[0, 0].item()) / 10_000 == Decimal("0.0001")
