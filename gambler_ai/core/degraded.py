"""What can be wrong without ending a session: each condition with its cause, what it stops, what goes on, its end.

A condition that concerns one symbol, or one stream, carries that behind its name: ``stale prices AAPL``. That is
how it stands in the state and in the journal, so that one more condition changes the shape of neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct


class Condition(StrEnum):
    """What does not work."""

    BROKER = "broker"
    READS = "broker reads"
    RATE = "rate limited"
    LOOKUPS = "look-ups waiting"
    MARKET_DATA = "market data"
    OPTION_PRICES = "option prices"
    UNQUOTED = "unquoted contracts"
    STALE = "stale prices"
    ABSURD = "absurd prices"
    CLOCK = "clock skew"
    STREAM = "stream silent"
    DATABASE = "database"
    BOOKS = "restored books"


class Entries(StrEnum):
    """Which entries a condition denies. Exits and protection it never does."""

    NONE = "no entries"
    SYMBOL = "no entries in it"
    ALLOWED = "entries go on"


class Row(Struct, frozen=True):
    """One condition, in words for people."""

    cause: str
    entries: Entries
    goes_on: str
    ends: str


TABLE: dict[Condition, Row] = {
    Condition.BROKER: Row(
        "no connection to the broker", Entries.NONE,
        "stops and targets rest at the broker; exits wait until it shows what is held",
        "with the next reading that works",
    ),
    Condition.READS: Row(
        "the broker answers, and not with what was asked (5xx, a time-out, nonsense)", Entries.NONE,
        "the books stay as they are; stops and targets rest at the broker", "with the next reading that works",
    ),
    Condition.RATE: Row(
        "the broker wants fewer requests (HTTP 429)", Entries.NONE,
        "orders and cancels that are decided are sent; it is not read before the instant named",
        "with the first reading after that",
    ),
    Condition.LOOKUPS: Row(
        "more orders have to be looked up one by one than a reading has room for", Entries.NONE,
        "those that wait come first in the next reading; nothing is given up for it",
        "with the first reading that has looked them all up",
    ),
    Condition.MARKET_DATA: Row(
        "prices cannot be read", Entries.NONE, "orders and positions are read as ever; stops need no prices of ours",
        "with the next prices",
    ),
    Condition.OPTION_PRICES: Row(
        "chains, or quotes of the contracts that are held, cannot be read", Entries.NONE,
        "stops and targets of structures wait for prices; exits by time go on, and what a person asks for",
        "with the next quotes",
    ),
    Condition.UNQUOTED: Row(
        "a contract of a structure that is held has had no quote of this market day for two bars", Entries.SYMBOL,
        "other structures; exits of this one by time, and what a person asks for; its stop and target wait",
        "with quotes of all its contracts, with its end, or at the close",
    ),
    Condition.STALE: Row(
        "the newest bar is older than two bars while the market is open", Entries.SYMBOL,
        "other symbols; its stop and target", "with its next bar, or at the close",
    ),
    Condition.ABSURD: Row(
        "a bar or a last trade that cannot be, or 50 % away from the last good one", Entries.SYMBOL,
        "other symbols; its stop and target; no strategy sees the price",
        "with the next good price, or when two bars in a row and the last trade agree",
    ),
    Condition.CLOCK: Row(
        "this machine's clock and the broker's differ by more than 30 s", Entries.ALLOWED,
        "everything: decisions go by the broker's clock and the bars' own times", "when the two agree again",
    ),
    Condition.STREAM: Row(
        "two readings in a row brought news of which the stream said nothing", Entries.ALLOWED,
        "everything: the broker is polled, the stream is connected anew", "when the stream tells something again",
    ),
    Condition.DATABASE: Row(
        "what is decided cannot be stored", Entries.NONE,
        "stops and targets rest at the broker; nothing else can be sent", "with the next write that works",
    ),
    Condition.BOOKS: Row(
        "the books are those of a backup, and the broker may hold orders of ours from after it", Entries.NONE,
        "the broker is read back to where the books end; orders with an id of this session are taken back",
        "when books and broker agree, before anything is traded",
    ),
}  # fmt: skip

#: Whether this machine's clock is taken to be wrong.
SKEW_MAX_S = 30.0
#: What a new process cannot know of: its streams are others, and it has just written.
_OF_A_PROCESS = frozenset({Condition.STREAM, Condition.DATABASE})
_LONGEST_FIRST = sorted(Condition, key=len, reverse=True)


def named(condition: Condition, subject: str = "") -> str:
    """The name of ``condition`` as it concerns ``subject``: a symbol, a stream, or everything."""
    return f"{condition} {subject}" if subject else condition.value


def parts(name: str) -> tuple[Condition | None, str]:
    """The condition and what it concerns; None for a name that another program gave."""
    for condition in _LONGEST_FIRST:
        if name == condition:
            return condition, ""
        if name.startswith(f"{condition} "):
            return condition, name[len(condition) + 1 :]
    return None, ""


def entries(name: str) -> Entries:
    """Which entries are denied under ``name``: all of them by what nobody knows."""
    condition, _subject = parts(name)
    return Entries.NONE if condition is None else TABLE[condition].entries


def ends(name: str) -> str:
    """What ends it."""
    condition, _subject = parts(name)
    return "when it works again" if condition is None else TABLE[condition].ends


def consequence(name: str) -> str:
    """What it means for entries, in words."""
    denied = entries(name)
    if denied is Entries.ALLOWED:
        return "entries go on"
    return "no entries until it works" if denied is Entries.NONE else f"no entries in {parts(name)[1]} until then"


def against(degraded: Mapping[str, str], symbol: str) -> dict[str, str]:
    """What of ``degraded`` denies entries in ``symbol`` -> why."""
    return {
        name: why for name, why in sorted(degraded.items())
        if entries(name) is Entries.NONE or (entries(name) is Entries.SYMBOL and parts(name)[1] == symbol)
    }  # fmt: skip


def of_a_process(names: Iterable[str]) -> list[str]:
    """Those that ended with the process that told them."""
    return [name for name in names if parts(name)[0] in _OF_A_PROCESS]
