"""Where an exchange of ours is, and to when a person moves its market."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gambler_ai.app.exchanges import find, named_in, step_to
from gambler_ai.broker.control import ExchangeStatus
from gambler_ai.errors import ConfigError

NOW = datetime(2008, 10, 7, 14, 0, tzinfo=UTC)  # ten in New York
OPEN, CLOSE = datetime(2008, 10, 8, 13, 30, tzinfo=UTC), datetime(2008, 10, 7, 20, 0, tzinfo=UTC)
STATUS = ExchangeStatus(
    now=NOW, is_open=True, next_open=OPEN, next_close=CLOSE, speed=0.0, seed=5, file=None, account_id="a",
    account_number="PA1", created_at=NOW, begun_with=Decimal(1), cash=Decimal(1), equity=Decimal(1),
    buying_power=Decimal(4), positions=(), orders_open=0, orders=0, fills=0, posts=0, faults=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("how", "instant"),
    [
        ("30s", NOW + timedelta(seconds=30)), ("1.5m", NOW + timedelta(seconds=90)), ("2h", NOW + timedelta(hours=2)),
        ("1d", NOW + timedelta(days=1)), (" 5m ", NOW + timedelta(minutes=5)), ("open", OPEN), ("close", CLOSE),
        ("15:30", datetime(2008, 10, 7, 19, 30, tzinfo=UTC)),
        ("2008-10-07T15:30", datetime(2008, 10, 7, 19, 30, tzinfo=UTC)),
        ("2008-10-07T15:30:00+00:00", datetime(2008, 10, 7, 15, 30, tzinfo=UTC)),
        ("2008-12-01T09:30", datetime(2008, 12, 1, 14, 30, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_an_instant_is_said_in_several_ways(how: str, instant: datetime):
    assert step_to(how, STATUS) == instant


@pytest.mark.parametrize("how", ["", "5", "m", "-5m", "5w", "noon", "25:00", "2008-13-01", "nan", "9" * 400 + "d"])
def test_what_is_no_instant_is_refused_with_what_would_be(how: str):
    with pytest.raises(ConfigError, match="no instant to step to") as caught:
        step_to(how, STATUS)
    assert "write 30s, 5m" in caught.value.hint


@pytest.mark.parametrize("how", ["0s", "9:30", "10:00", "2008-10-07T09:59:59", "2001-01-02"])
def test_time_does_not_go_back(how: str):
    with pytest.raises(ConfigError, match=r"the market is at 2008-10-07 10:00:00 already"):
        step_to(how, STATUS)


def test_a_market_without_prices_has_no_next_open():
    with pytest.raises(ConfigError, match="no next open"):
        step_to(
            "open",
            ExchangeStatus(**{name: getattr(STATUS, name) for name in STATUS.__struct_fields__} | {"next_open": None}),
        )


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "keys.env"
    path.write_text(text)
    return path


def test_a_file_of_shell_lines_is_read_as_the_shell_would(tmp_path: Path):
    text = "# made by exchange serve\n\nexport A='x y'\nB=2 # two\nexport C=\"3\" D=4\n"
    assert named_in(file(tmp_path, text)) == {"A": "x y", "B": "2", "C": "3", "D": "4"}


@pytest.mark.parametrize(("text", "line"), [("export A=1\nrm -rf /\n", 2), ("export 'A\n", 1), ("A\n", 1)])
def test_a_line_that_is_something_else_is_named(tmp_path: Path, text: str, line: int):
    with pytest.raises(ConfigError, match=rf"keys.env, line {line}: not of the form"):
        named_in(file(tmp_path, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        named_in(tmp_path / "none.env")
    (tmp_path / "keys.env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not text"):
        named_in(tmp_path / "keys.env")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("ALPACA_TRADING_URL=http://127.0.0.1:1\n", "GAMBLER_EXCHANGE_TOKEN is not in"),
        ("GAMBLER_EXCHANGE_TOKEN=t\n", "no exchange of this machine: not set"),
        ("GAMBLER_EXCHANGE_TOKEN=t\nALPACA_TRADING_URL=https://paper-api.alpaca.markets", "of this machine"),
        ("GAMBLER_EXCHANGE_TOKEN=t\nALPACA_TRADING_URL=http://192.0.2.1:80\n", "no exchange of this machine"),
    ],
)  # fmt: skip
def test_the_token_goes_to_an_exchange_of_this_machine_only(tmp_path: Path, text: str, what: str):
    with pytest.raises(ConfigError, match=what):
        find(file(tmp_path, text))


def test_without_a_file_the_environment_is_looked_at():
    with pytest.raises(ConfigError, match="is not in the environment"):
        find(None)
