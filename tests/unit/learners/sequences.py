"""Windows with outcomes in which something decides, and what a sequence model stores, written without torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gambler_ai.core.events import OutcomeKnown
from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.learners import sequence_model as sm
from gambler_ai.learners import window
from tests.unit.fakes import AT

Window = NDArray[np.float32]
KINDS = {"float32": "F32", "int64": "I64", "uint8": "U8"}


def drawn(rng: np.random.Generator) -> Window:
    """A window like those of five-minute bars, in which nothing follows from anything."""
    seen = np.empty(window.SHAPE, np.float32)
    seen[:, 0] = rng.normal(0, 0.002, window.LENGTH)
    seen[:, 1] = np.abs(rng.normal(0, 0.003, window.LENGTH))
    seen[:, 2] = rng.uniform(-1, 1, window.LENGTH)
    seen[:, 3] = rng.normal(0, 0.5, window.LENGTH)
    return seen


def signal(seen: Window) -> Signal:
    return Signal(window=seen.tobytes())


def fact(seen: Window, *, won: bool, scores: dict[str, float] | None = None) -> OutcomeKnown:
    """The trade that was entered on a window has ended."""
    pnl = Decimal(1 if won else -1)
    told = Signal({}, scores or {}, seen.tobytes())
    return OutcomeKnown(AT, Outcome("p-1", "AAPL", "buy", AT, AT, pnl, float(pnl), told))


def series(count: int, seed: int, chance: Callable[[Window], float]) -> Iterator[tuple[Window, bool]]:
    """``count`` windows, each with whether it won: as likely as ``chance`` says of it."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        seen = drawn(rng)
        yield seen, bool(rng.random() < chance(seen))


def last_move_decides(seen: Window) -> float:
    return 0.9 if seen[-1, 0] > 0 else 0.1


def ten_moves_decide(seen: Window) -> float:
    return 0.9 if seen[-10:, 0].sum() > 0 else 0.1


def nothing_decides(seen: Window) -> float:
    return 0.45


def stored(count: int = 3, /, **changes: Any) -> bytes:
    """The tensors of a network that has learned ``count`` outcomes; None leaves one out."""
    rng, kept = np.random.default_rng(count), min(count, sm.KEPT)
    found: dict[str, NDArray[Any] | None] = {}
    for name, shape in sm.WEIGHTS.items():
        found[name] = rng.normal(0, 0.1, shape).astype(np.float32)
        found[sm.MEAN + name] = rng.normal(0, 0.1, shape).astype(np.float32)
        found[sm.SQUARE + name] = rng.random(shape, np.float32)
    found[sm.STEPS], found[sm.RNG] = np.array([count]), np.array([12345])
    found[sm.WINDOWS] = np.stack([drawn(rng) for _ in range(kept)])
    found[sm.WON] = (np.arange(kept) % 2).astype(np.uint8)
    found |= changes
    return file_of({name: values for name, values in found.items() if values is not None})


def file_of(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """A safetensors file, by its format's own description."""
    header, body = {}, b""
    for name, values in tensors.items():
        end = len(body) + values.nbytes
        kind = KINDS.get(values.dtype.name, values.dtype.name)
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [len(body), end]}
        body += values.tobytes()
    told = json.dumps(header).encode()
    return len(told).to_bytes(8, "little") + told + body
