"""What another bot had learned: a Q-table (`q_table.pkl`) and feature weights (`attention_weights.npy`)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from gambler_ai.ancestors.refusal import Refused
from gambler_ai.core.text import one_line

CELLS_MAX = 500_000
WEIGHTS_MAX = 1_000_000
_NAME_MAX = 100


class QTable(Struct, frozen=True):
    """State -> action -> value. States and actions that were numbers or tuples are written as text: "(1, 0)"."""

    values: dict[str, dict[str, float]]
    epsilon: float | None


class Weights(Struct, frozen=True):
    """An array of finite numbers, row by row."""

    shape: tuple[int, ...]
    values: tuple[float, ...]


def is_q_table(tree: Any) -> bool:
    """Whether ``tree`` is shaped like one: alone, or beside its epsilon."""
    if type(tree) is not dict or not tree:
        return False
    return "q_table" in tree or all(_is_row(row) for row in tree.values())


def _is_row(row: Any) -> bool:
    return type(row) in (dict, list, tuple) or hasattr(row, "tolist")


def parse_q_table(tree: dict[Any, Any]) -> tuple[QTable, list[str]]:
    """The table, and what of the file was left out.

    Raises:
        Refused: a value is no finite number, or two states are called alike.
    """
    table = tree.get("q_table", tree)
    table = dict(enumerate(table.tolist())) if hasattr(table, "tolist") else table
    if type(table) is not dict or not table:
        raise Refused("its Q-table is empty, or none")
    values: dict[str, dict[str, float]] = {}
    cells = 0
    for state, row in table.items():
        values[_new(values, state)] = actions = _row(row)
        cells += len(actions)
        if cells > CELLS_MAX:
            raise Refused(f"its Q-table has more than {CELLS_MAX:,} values")
    left_out = sorted(_label(key) for key in tree if key not in ("q_table", "epsilon")) if "q_table" in tree else []
    epsilon = _finite(tree["epsilon"], "epsilon") if "q_table" in tree and tree.get("epsilon") is not None else None
    if epsilon is not None and not 0 <= epsilon <= 1:
        raise Refused(f"its epsilon is {epsilon:g}, which is no probability")
    return QTable(values, epsilon), [f"not known here: {', '.join(left_out[:5])}"] if left_out else []


def _row(row: Any) -> dict[str, float]:
    row = row.tolist() if hasattr(row, "tolist") else row
    items: Iterable[tuple[Any, Any]] = row.items() if type(row) is dict else enumerate(_list(row))
    found: dict[str, float] = {}
    for action, value in items:
        found[_new(found, action)] = _finite(value, "a value of its Q-table")
    return found


def _list(row: Any) -> list[Any]:
    if type(row) not in (list, tuple):
        raise Refused("a row of its Q-table is none")
    return list(row)


def _new(taken: dict[str, Any], key: Any) -> str:
    label = _label(key)
    if label in taken:
        raise Refused(f"its Q-table has {label!r} twice")
    return label


def _label(key: Any) -> str:
    text = key if type(key) is str else repr(key)
    if not text or len(text) > _NAME_MAX or one_line(text, _NAME_MAX) != text:
        raise Refused("its Q-table has a state or an action without a usable name")
    return text


def _finite(value: Any, what: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise Refused(f"{what} is not a finite number")
    return float(value)


def parse_weights(array: Any) -> Weights:
    """The weights.

    Raises:
        Refused: there are none, too many, or one is no finite number.
    """
    if not 0 < array.size <= WEIGHTS_MAX:
        raise Refused(f"it holds {array.size:,} numbers; 1 to {WEIGHTS_MAX:,} weights are taken")
    if array.dtype.kind == "b":
        raise Refused("it holds yes and no, not weights")
    values = tuple(float(value) for value in array.ravel().tolist())
    if not all(map(math.isfinite, values)):
        raise Refused("one of its weights is not a finite number")
    return Weights(tuple(array.shape), values)
