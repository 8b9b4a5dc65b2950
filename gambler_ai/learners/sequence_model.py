"""Whether an entry wins, by the shape of the newest bars: an LSTM with dense layers, in torch.

One step of Adam for each closed trade, on its window of bars and on a few that were kept of earlier ones, drawn by a
generator of its own. All of it is stored: weights, Adam's moments, what the generator draws next, the kept windows; as
safetensors, which torch need not be there to look at. Here is what is known; `network` is what needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.errors import ConfigError
from gambler_ai.learners import window
from gambler_ai.learners.base import Learner
from gambler_ai.learners.tensors import Wanted, read, shape_of

if TYPE_CHECKING:
    from gambler_ai.learners.network import Network

#: Outcomes before it says anything.
LEAST = 20
#: Numbers that the LSTM carries from bar to bar, and those of the dense layer above it.
HIDDEN = 16
DENSE = 16
#: The newest outcomes that are kept, to be learned from again.
KEPT = 128
#: The weights: name -> shape. The gates' rows are stacked, as torch has them.
WEIGHTS = {
    "lstm.weight_ih": (4 * HIDDEN, len(window.CHANNELS)),
    "lstm.weight_hh": (4 * HIDDEN, HIDDEN),
    "lstm.bias_ih": (4 * HIDDEN,),
    "lstm.bias_hh": (4 * HIDDEN,),
    "dense.weight": (DENSE, HIDDEN),
    "dense.bias": (DENSE,),
    "out.weight": (1, DENSE),
    "out.bias": (1,),
}
#: Before the name of a weight: Adam's running mean of its gradient, and of the square of that.
MEAN, SQUARE = "adam.mean.", "adam.square."
#: How often it has learned; what seeds the next draw; the kept windows, oldest first, and which of them won.
STEPS, RNG, WINDOWS, WON = "steps", "rng", "windows", "won"
#: No weight that was learned comes near it.
_WEIGHT_MAX = 1e6
_STEPS_MAX = 1 << 53


class SequenceMemory(Struct, frozen=True):
    """All of it as safetensors; "" before the first outcome."""

    tensors: bytes = b""


class SequenceModel(Learner[SequenceMemory]):
    """An LSTM over the newest bars, trained by each closed trade."""

    name = "sequence"
    what = "an LSTM with dense layers over the newest bars"
    memory = SequenceMemory
    sees_window = True
    needs = ("torch", "torch", "deep")

    def _begin(self) -> None:
        self._memory = SequenceMemory()
        self._steps = 0
        self._network: Network | None = None  # what is in it is what is in the memory, and more if that is stale
        self._is_stale = False

    @property
    def libraries(self) -> Mapping[str, str]:
        """Torch's version, where it is installed."""
        return {"msgspec": msgspec.__version__} | _torch()

    def prepare(self) -> None:
        """Import torch, build the network, and let it run once: the first time takes longer."""
        self._built().score(np.zeros(window.SHAPE, np.float32))

    def score(self, signal: Signal) -> float | None:
        """What the network gives for the window."""
        seen = window.values(signal.window)
        return None if seen is None or self._steps < LEAST else self._built().score(seen)

    def learn(self, outcome: Outcome) -> bool:
        """One step, if there was a window."""
        seen = window.values(outcome.signal.window)
        if seen is None:
            return False
        self._built().learn(seen, outcome.won)
        self._steps += 1
        self._is_stale = True
        return True

    def pack(self) -> SequenceMemory:
        """What was unpacked, until something was learned."""
        if self._is_stale:
            assert self._network is not None
            self._memory, self._is_stale = SequenceMemory(self._network.saved()), False
        return self._memory

    def unpack(self, memory: SequenceMemory) -> None:
        """Checked to the last number; the network is built when it is first used."""
        steps = int(_checked(memory.tensors)[STEPS][0]) if memory.tensors else 0
        self._memory, self._steps, self._network, self._is_stale = memory, steps, None, False

    def facts(self) -> dict[str, str]:
        """How large it is and what it looks at."""
        count = sum(int(np.prod(shape)) for shape in WEIGHTS.values())
        return {
            "network": f"LSTM of {HIDDEN}, dense layer of {DENSE}: {count:,} weights",
            "looks at": f"the newest {window.LENGTH} bars: {', '.join(window.CHANNELS)}",
            "outcomes kept to be learned from again": f"{min(self._steps, KEPT)}, {KEPT} at most",
        }

    def _built(self) -> Network:
        if self._network is None:
            try:
                from gambler_ai.learners.network import Network
            except (ImportError, OSError) as error:  # OSError: one of the libraries it brings does not load
                raise ConfigError(
                    f"learner {self.name}: what it needs cannot be imported: {error}",
                    hint=f"install it anew: pip install 'gambler-ai[deep]'; or leave {self.name} out of --learners",
                ) from None
            self._network = Network(_checked(self._memory.tensors) if self._memory.tensors else None)
        return self._network


@cache
def _torch() -> dict[str, str]:
    try:
        return {"torch": metadata.version("torch")}
    except metadata.PackageNotFoundError:
        return {}


def _checked(stored: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a network.

    Raises:
        ValueError: they are not.
    """
    kept = max(0, min((KEPT, *shape_of(stored, WON))))
    wanted = {STEPS: Wanted("I64", (1,)), RNG: Wanted("I64", (1,))}
    wanted |= {WINDOWS: Wanted("F32", (kept, *window.SHAPE)), WON: Wanted("U8", (kept,))}
    for name, shape in WEIGHTS.items():
        wanted |= {before + name: Wanted("F32", shape) for before in ("", MEAN, SQUARE)}
    found = read(stored, wanted)
    steps, draw = int(found[STEPS][0]), int(found[RNG][0])
    if not 1 <= steps < _STEPS_MAX or kept != min(KEPT, steps) or draw < 0:
        raise ValueError(f"{kept} outcomes are kept of {steps}, and the next is drawn by {draw}")
    if (found[WON] > 1).any() or (np.abs(found[WINDOWS]) > window.FAR).any():
        raise ValueError("a kept outcome is none")
    for name in WEIGHTS:
        if any((np.abs(found[before + name]) > _WEIGHT_MAX).any() for before in ("", MEAN, SQUARE)):
            raise ValueError(f"{name} is beyond all bounds")
        if (found[SQUARE + name] < 0).any():
            raise ValueError(f"a mean of squares is below zero: {name}")
    return found
