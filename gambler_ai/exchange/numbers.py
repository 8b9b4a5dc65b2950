"""Decimal in and out: requests carry strings or numbers, replies decimal strings (BEHAVIOUR 1)."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

SCALE = 10_000  # prices of the market are whole ten-thousandths of a dollar: the data have up to four decimals
ZERO = Decimal(0)
CENT = Decimal("0.01")
SHARE_STEP = Decimal("0.000000001")  # nine decimals of a share (BEHAVIOUR 3)
PRICE_STEP = Decimal("0.000001")
MARKET_STEP = Decimal("0.0001")  # one of SCALE
_SCALE = Decimal(SCALE)


def parse_decimal(value: object) -> Decimal | None:
    """None for absent (null or ""). Raises ValueError for what is no finite number."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{value!r} is not a number")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if not number.is_finite() or number.adjusted() > 15:
        raise ValueError(f"{value!r} is not a number")
    return number


def plain(number: Decimal) -> str:
    """Without an exponent and without trailing zeros."""
    if not number:
        return "0"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded(number: Decimal, step: Decimal = PRICE_STEP) -> Decimal:
    return number.quantize(step, ROUND_HALF_EVEN)


def money(number: Decimal) -> str:
    return plain(rounded(number))


def to_decimal(price: int) -> Decimal:
    """From whole ten-thousandths of a dollar."""
    return Decimal(price) / _SCALE


def to_price(number: Decimal) -> int:
    """To whole ten-thousandths of a dollar."""
    return int(number * SCALE)
