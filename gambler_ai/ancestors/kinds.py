"""What a file is, by what is in it; its name says nothing."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from msgspec import Struct

from gambler_ai.ancestors import fno, history, learned, lesson, risk, unpickling
from gambler_ai.ancestors.arrays import is_npy, read_npy
from gambler_ai.ancestors.fno import PastBooks
from gambler_ai.ancestors.history import History
from gambler_ai.ancestors.learned import QTable, Weights
from gambler_ai.ancestors.lesson import BotConfig, BotState
from gambler_ai.ancestors.plain import walked
from gambler_ai.ancestors.refusal import Refused
from gambler_ai.ancestors.risk import PastRisk
from gambler_ai.core import strict_json

#: Bytes; all of an ancestor's files together have less.
FILE_MAX = 64 << 20

Memory = History | PastRisk | QTable | Weights | BotState | BotConfig | PastBooks

#: First bytes of what is recognised and not taken -> what it is, and what to do.
_OTHERS = {
    b"\x89HDF": (
        "a Keras model in HDF5",
        "it is not taken over: one is trained anew from closed trades, --learners sequence",
    ),
    b"PK\x03\x04": (
        "a zip archive: a model, arrays (.npz), or a damaged export",
        "of arrays, give each .npy by itself; a model is trained anew from closed trades, --learners signal",
    ),
    b"\x78\x01": ("compressed by joblib", "write it again with compress=0"),
    b"\x78\x5e": ("compressed by joblib", "write it again with compress=0"),
    b"\x78\x9c": ("compressed by joblib", "write it again with compress=0"),
    b"\x78\xda": ("compressed by joblib", "write it again with compress=0"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it first"),
    b"BZh": ("compressed by bzip2", "unpack it first"),
    b"\xfd7zXZ": ("compressed by xz", "unpack it first"),
    b"SQLite format 3": ("a SQLite database", "name it with --database-url"),
}
_HINT = (
    "taken are lesson 23's state.json and config.json, analytics, risk manager and Q-table pickles, .npy, and"
    f" {fno.SYSTEM}, {fno.PORTFOLIO} and {fno.DAY} of an F&O system"
)


class Found(Struct, frozen=True):
    """A file that was understood: what it is, what is in it, and what of it was left out and why."""

    kind: str
    memory: Memory
    left_out: list[str]


def recognise(data: bytes, zone: tzinfo) -> Found:
    """What a file holds. Times in it that name no zone are of ``zone``.

    Raises:
        Refused: it is none of the kinds that are taken, or not to be trusted.
    """
    if not data.strip():
        raise Refused("it is empty")
    if len(data) > FILE_MAX:
        raise Refused(f"it has more than {FILE_MAX >> 20} MB")
    for first, (what, hint) in _OTHERS.items():
        if data.startswith(first):
            raise Refused(f"it is {what}", hint=hint)
    if is_npy(data):
        return Found("feature weights", learned.parse_weights(read_npy(data)), [])
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return _of_json(data, zone)
    return _of_pickle(walked(unpickling.read(data)), zone)


def _of_json(data: bytes, zone: tzinfo) -> Found:
    try:
        tree = strict_json.loads(data.decode("utf-8-sig"), exact=True)
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise Refused(f"it is not JSON: {reason}") from None
    tree = walked(tree)
    if kind := fno.kind_of(tree):
        return Found(kind, *fno.parse(tree, zone))
    if lesson.is_state(tree):
        return Found("state.json", *lesson.parse_state(tree, zone))
    if lesson.is_config(tree):
        return Found("config.json", *lesson.parse_config(tree))
    raise Refused("it is JSON, and neither lesson 23's state nor its configuration nor an F&O system's", hint=_HINT)


def _of_pickle(tree: Any, zone: tzinfo) -> Found:
    if history.is_history(tree):
        return Found("analytics", *history.parse(tree, zone))
    if risk.is_risk(tree):
        return Found("risk manager", *risk.parse(tree))
    if learned.is_q_table(tree):
        return Found("Q-table", *learned.parse_q_table(tree))
    raise Refused("it is a pickle of plain data, and of no kind that is known", hint=_HINT)
