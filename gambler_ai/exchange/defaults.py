"""What a fresh exchange starts with when nobody says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

DEFAULT_CASH = Decimal(100_000)  # what Alpaca gives a paper account (BEHAVIOUR 9)

# An hour in which a momentum rule has something to do; on an average day it has not: 2 % in five bars is
# rare. 2008-10-07 was real (AAPL -9 %, MSFT -7 %, in the week the banks fell); the path inside the day is
# the bridge's. Day and seed were chosen together, the bridge knows of neither. From 9:30 in New York AAPL
# is bought at 9:35 and stopped out at 9:56, MSFT is sold short at 9:40 and reaches its target at 10:27
# (tests: test_default_day.py).
DEFAULT_SEED = 5
DEFAULT_START = datetime(2008, 10, 7, 13, 30, tzinfo=UTC)

# `exchange serve` without --at: noon of a quiet Wednesday on which every symbol is listed, FB too; five months of
# prices follow.
DEFAULT_SERVED_AT = datetime(2012, 10, 10, 16, 0, tzinfo=UTC)

DEFAULT_RATE_LIMIT = 200  # requests a minute of an account (BEHAVIOUR 1)
