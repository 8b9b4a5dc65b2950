"""Points where a test may kill the process. They do nothing unless `arm` has been called (app.py does).

``GAMBLER_CRASH_AT=name:n`` kills with SIGKILL at the n-th time the point is passed; ``name:n:freeze`` stops the process
there, until somebody sends SIGCONT.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

#: Every point, with what is then true (RECOVERY_PROTOCOL 2.1, C0-C18).
POINTS: dict[str, str] = {
    "intent.before_commit": "C0: a decision was made and nothing of it is stored",
    "intent.after_commit": "C1: the intent is stored and no byte of it was sent",
    "submit.before": "C1: on the worker, right before the request",
    "submit.after": "C4: the broker has answered and nobody has heard it",
    "reply.before_commit": "C5: the answer was read and is not stored",
    "reply.after_commit": "C6: the answer is stored",
    "fill.before_commit": "C7: a fill was seen and is not stored",
    "fill.after_commit": "C8: a fill is stored, the next checkpoint is not",
    "protect.before_commit": "C9: a bare position was found, its protection is not stored",
    "protect.after_commit": "C9: its protection is stored and not sent",
    "cancel.after": "C11: a cancel was sent and its answer is not heard",
    "replace.before_commit": "C12: a stop or target is to be moved and nothing of it is stored",
    "replace.after_commit": "C12: the replacement and its id are stored and no byte of it was sent",
    "replace.sent_before": "C12: on the worker, right before the request",
    "replace.sent_after": "C12: the broker has answered and nobody has heard it",
    "adjust.before_commit": "our quantity or prices are to follow the broker's, and that is not stored",
    "adjust.after_commit": "they do, and nothing was done about what rests",
    "checkpoint.inside": "C15: a checkpoint is written and not committed",
    "checkpoint.after": "C15: it is committed",
    "prune.inside": "C16: old checkpoints are deleted and that is not committed",
    "migration.inside": "C17: the schema was changed and that is not committed",
    "recovery.leased": "C14: the lease is taken and nothing was restored",
    "recovery.replayed": "C13: state is restored, the broker was not asked",
    "recovery.settled": "C13: the broker was asked and our books are healed",
    "stop.before_checkpoint": "C18: a signal came, the last checkpoint is not written",
}

_armed: dict[str, int] = {}


def kill() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    """Stop here, as a machine that is suspended or swapped out does."""
    os.kill(os.getpid(), signal.SIGSTOP)


_die: Callable[[], None] = kill


def arm(spec: str, die: Callable[[], None] = kill) -> None:
    """Arm ``name``, ``name:n`` or ``name:n:freeze``; what happens there is ``die``, which a simulation changes.

    Raises:
        ValueError: no point has that name.
    """
    point, colon, end = spec.rpartition(":")
    if colon and end == "freeze":
        arm(point, freeze)
        return
    name, _, count = spec.partition(":")
    if name not in POINTS or not (count or "1").isdigit() or int(count or 1) < 1:
        raise ValueError(f"no crash point {spec!r}; there are: {', '.join(POINTS)}")
    global _die
    _armed[name], _die = int(count or 1), die


def disarm() -> None:
    """Let every point be passed again."""
    _armed.clear()


def hit(name: str) -> None:
    """Pass the point ``name``; die here if it is armed and its count is up."""
    if not _armed:
        return
    assert name in POINTS
    left = _armed.get(name)
    if left is None:
        return
    _armed[name] = left - 1
    if left == 1:
        _die()
