"""What stands in a query string, taken apart the same way everywhere."""

from __future__ import annotations

from collections.abc import Mapping

from gambler_ai.exchange.instants import parse_rfc3339
from gambler_ai.exchange.refusal import bad_parameter

Params = Mapping[str, str]


def words(text: str | None) -> list[str]:
    """The parts between commas, without blanks; nothing for an absent parameter."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def truth(text: str | None) -> bool:
    """Booleans in queries arrive as ``true`` or ``True`` (BEHAVIOUR 1)."""
    return (text or "").lower() in ("true", "1")


def instant(params: Params, name: str) -> int | None:
    """An RFC3339 instant, or midnight in New York of a date; None when absent. Raises Refusal."""
    text = params.get(name)
    if not text:
        return None
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise bad_parameter(f"invalid {name}") from None


def count(params: Params, name: str, default: int, largest: int) -> int:
    """A whole number from 1 to ``largest``. Raises Refusal."""
    try:
        number = int(params.get(name) or default)
    except ValueError:
        raise bad_parameter(f"invalid {name}") from None
    if not 1 <= number <= largest:
        raise bad_parameter(f"{name} must be between 1 and {largest}")
    return number


def newest_first(params: Params) -> bool:
    """The ``direction`` of a list. Raises Refusal."""
    direction = params.get("direction") or "desc"
    if direction not in ("asc", "desc"):
        raise bad_parameter("invalid direction")
    return direction == "desc"
