"""The network of the sequence model. The only file that imports torch, and only the sequence model imports it.

The same numbers come out wherever the same release of torch runs on the same kind of processor: one thread, algorithms
that are deterministic, numbers drawn by a generator of our own. A strategy may use torch too: what is set for the whole
process is set while we reckon, and is as it was afterwards; the process's own generator is never drawn from.

Neither `torch.optim.Adam` nor `torch.use_deterministic_algorithms`: the first of each imports the compiler, which takes
seconds and 160 MB. The function that is Adam's step, and the debug mode that is the same switch, do not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.adam import adam

from gambler_ai.learners.sequence_model import (
    DENSE,
    HIDDEN,
    KEPT,
    MEAN,
    RNG,
    SQUARE,
    STEPS,
    WEIGHTS,
    WINDOWS,
    WON,
)
from gambler_ai.learners.window import CHANNELS, FAR

#: What the first weights, and the first draw, come from.
SEED = 7
#: Adam's step; and how much each weight is drawn to zero: noise is not to be learned by heart.
RATE, DECAY = 5e-3, 1e-2
#: Kept outcomes that are learned from again with each new one.
AGAIN = 7
#: What a last layer begins with, of what it would by its size: nobody knows anything yet.
_QUIET = 0.1
_TINY = 1e-6
_CPU = {"device": "cpu", "dtype": torch.float32}  # a strategy may have set others for the process


class Network:
    """Window in, chance out; and a step for each outcome."""

    def __init__(self, found: Mapping[str, NDArray[Any]] | None) -> None:
        """``found``: the tensors of `saved`, checked; None for a network that has learned nothing."""
        with _alone(), torch.random.fork_rng(devices=[]):  # to make a layer draws weights, which are not used
            self._lstm = torch.nn.LSTM(len(CHANNELS), HIDDEN, batch_first=True, **_CPU)
            self._dense = torch.nn.Linear(HIDDEN, DENSE, **_CPU)
            self._out = torch.nn.Linear(DENSE, 1, **_CPU)
            parts = (self._lstm, self._dense, self._out)
            self._weights = dict(zip(WEIGHTS, (p for part in parts for p in part.parameters()), strict=True))
            self._means = {name: torch.zeros_like(weight) for name, weight in self._weights.items()}
            self._squares = {name: torch.zeros_like(weight) for name, weight in self._weights.items()}
            self._generator = torch.Generator(device="cpu")
            self._kept: deque[tuple[Any, bool]] = deque(maxlen=KEPT)
            self._steps, self._draw = 0, SEED
            if found is None:
                self._first_weights()
            else:
                self._take(found)

    def score(self, window: NDArray[np.float32]) -> float:
        """How likely it wins, 0 to 1."""
        with _alone(), torch.no_grad():
            return float(torch.sigmoid(self._logits(_tensor(window[np.newaxis])))[0])

    def learn(self, window: NDArray[np.float32], won: bool) -> None:
        """One step down the mean log loss of the new outcome and of `AGAIN` kept ones, as they are drawn."""
        with _alone():
            self._kept.append((_tensor(window), won))
            batch = [self._kept[-1], *(self._kept[place] for place in self._drawn())]
            truth = torch.tensor([float(one) for _window, one in batch], **_CPU)
            with torch.enable_grad():
                loss = binary_cross_entropy_with_logits(self._logits(torch.stack([w for w, _won in batch])), truth)
                gradients = torch.autograd.grad(loss, list(self._weights.values()))
            self._step(list(gradients))

    def saved(self) -> bytes:
        """All of it as safetensors, in an order that depends on nothing but the names."""
        found = {RNG: torch.tensor([self._draw], device="cpu"), STEPS: torch.tensor([self._steps], device="cpu")}
        found[WINDOWS] = torch.stack([window for window, _won in self._kept])
        found[WON] = torch.tensor([won for _window, won in self._kept], dtype=torch.uint8, device="cpu")
        for name, weight in self._weights.items():
            found[name] = weight.detach()
            found[MEAN + name], found[SQUARE + name] = self._means[name], self._squares[name]
        return bytes(save(found))  # without metadata, whose order would be another each time

    def _logits(self, windows: Any) -> Any:
        carried, _last = self._lstm(_scaled(windows))
        return self._out(torch.relu(self._dense(carried[:, -1])))[:, 0]

    def _drawn(self) -> list[int]:
        """Places of kept outcomes. The state of the generator between two steps is one number, whatever its release."""
        self._generator.manual_seed(self._draw)
        places = torch.randint(len(self._kept), (AGAIN,), generator=self._generator, device="cpu")
        self._draw = int(torch.randint(1 << 62, (1,), generator=self._generator, device="cpu"))
        return [int(place) for place in places]

    def _step(self, gradients: list[Any]) -> None:
        with torch.no_grad():
            adam(
                list(self._weights.values()), gradients, list(self._means.values()), list(self._squares.values()), [],
                [torch.tensor(float(self._steps), **_CPU) for _ in gradients], foreach=False, amsgrad=False,
                beta1=0.9, beta2=0.999, lr=RATE, weight_decay=DECAY, eps=1e-8, maximize=False,
            )  # fmt: skip
        self._steps += 1

    def _first_weights(self) -> None:
        """Evenly within what is usual for a layer's size, by a generator that begins with `SEED`."""
        self._generator.manual_seed(SEED)
        with torch.no_grad():
            for name, weight in self._weights.items():
                reach = (DENSE if name.startswith("out.") else HIDDEN) ** -0.5
                weight.uniform_(-reach, reach, generator=self._generator)
            self._weights["out.weight"].mul_(_QUIET)
            self._weights["out.bias"].zero_()

    def _take(self, found: Mapping[str, NDArray[Any]]) -> None:
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(_tensor(found[name]))
                self._means[name].copy_(_tensor(found[MEAN + name]))
                self._squares[name].copy_(_tensor(found[SQUARE + name]))
        self._kept.extend((_tensor(w), bool(won)) for w, won in zip(found[WINDOWS], found[WON], strict=True))
        self._steps, self._draw = int(found[STEPS][0]), int(found[RNG][0])


def _scaled(windows: Any) -> Any:
    """Changes and ranges by their size within the window: a quiet symbol looks like a lively one."""
    along, height, place, volume = windows.unbind(-1)
    along = along / (along.square().mean(1, keepdim=True).sqrt() + _TINY)
    height = height / (height.mean(1, keepdim=True) + _TINY) - 1
    return torch.stack([along, height, place, volume], -1).clamp(-FAR, FAR)


def _tensor(values: NDArray[Any]) -> Any:
    """A copy, in memory of torch's own: bytes that were read lie anywhere, and sums may differ by where they lie."""
    return torch.from_numpy(np.array(values)).clone()


@contextmanager
def _alone() -> Iterator[None]:
    """One thread, deterministic, whatever a strategy has set; and as it was afterwards."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")
    try:
        with torch.inference_mode(False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        torch.set_num_threads(threads)
