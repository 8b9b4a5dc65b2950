"""Points where the process can be killed. They do nothing unless `arm` has been called (app.py does).

``GAMBLER_CRASH_AT=name:n`` kills with SIGKILL at the n-th time the point is passed; ``name:n:freeze`` stops the process
there, until somebody sends SIGCONT; ``@FILE`` kills nobody and writes down the name of each point as it is passed.
Several are parted by commas. `gambler-ai verify-crash` and the tests do all three.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable

#: What is passed around the commit of a kind of fact.
STAGES = {
    "before": "and nothing of it is stored",
    "inside": "it is written and not committed",
    "after": "it is stored, and nothing was done about it",
}
#: Kind of fact -> what it is, and the stages of its commit (RECOVERY_PROTOCOL 2.1, C0-C20).
COMMITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "start": ("C13: a run begins", ("before", "after")),
    "end": ("C18: a run ends", ("before", "after")),
    "day": ("C13: a market day was opened", ("before", "after")),
    "intent": ("C0, C1: a decision to enter was made", ("before", "inside", "after")),
    "leg": ("C0, C1: the next leg of a structure was decided", ("before", "inside", "after")),
    "protect": ("C9: a bare position was found", ("before", "inside", "after")),
    "exit": ("C9: a position is to be closed at market", ("before", "inside", "after")),
    "resend": ("C1: the same bytes are to be sent again", ("before", "inside", "after")),
    "cancel": ("C11: an order is to be canceled", ("before", "inside", "after")),
    "replace": ("C12: a stop or target is to be moved", ("before", "after")),
    "reply": ("C5, C6: the broker's word on an order was read", ("before", "inside", "after")),
    "unknown": ("C4: an order got no answer", ("before", "after")),
    "missed": ("C3: a look-up did not find an order", ("before", "after")),
    "void": ("C3: an order is believed never to have arrived", ("before", "after")),
    "dispute": ("C4: the broker holds another order under our id", ("before", "after")),
    "fill": ("C7, C8: a fill was seen", ("before", "inside", "after")),
    "settled": ("C13: a contract was exercised or assigned, or has expired", ("before", "inside", "after")),
    "ended": ("C8: nothing of a structure is left", ("before", "inside", "after")),
    "reconcile": ("C13: a difference was found", ("before", "inside", "after")),
    "adjust": ("C13: our quantity becomes the broker's", ("before", "after")),
    "foreign": ("C13: somebody else holds shares", ("before", "after")),
    "adopt": ("C13: a foreign position becomes ours", ("before", "after")),
    "halt": ("C13: trading is halted", ("before", "after")),
    "leave": ("C13: positions are to be closed", ("before", "after")),
    "request": ("C13: what a person asked for was done", ("before", "after")),
    "outage": ("C13: the broker or the prices cannot be read", ("before", "after")),
}

#: Every point, with what is then true.
POINTS: dict[str, str] = {
    f"{kind}.{stage}_commit": f"{what}, {STAGES[stage]}" for kind, (what, stages) in COMMITS.items() for stage in stages
} | {
    "lease.before": "C14: the account is not taken yet",
    "lease.locked": "C14: its lock is ours, its row names another",
    "lease.after": "C14: it is ours",
    "lease.renewed": "C14: a transaction has begun and holds nothing yet",
    "session.created": "C0: a session exists and has no journal",
    "recovery.leased": "C14: the lease is taken and nothing was restored",
    "recovery.fallback": "C15: a checkpoint did not verify",
    "recovery.checkpoint": "C13: a checkpoint was read, the journal after it was not",
    "recovery.replaying": "C13: a row of the journal was replayed, others were not",
    "recovery.remembering": "C13: a row was given to what remembers, others were not",
    "recovery.replayed": "C13: state is restored, the broker was not asked",
    "recovery.settled": "C13: the broker was asked and our books are healed",
    "read.before": "C13: the broker is about to be read",
    "read.clock": "C13: its clock was read",
    "read.account": "C13: and its account",
    "read.orders": "C13: and its orders",
    "read.lookup": "C13: and an order that it did not list was looked up",
    "read.by_id": "C13: and orders of ours that took the place of others",
    "read.fills": "C13: and its fills",
    "read.positions": "C13: and its positions",
    "read.actions": "C13: and what companies did; nobody has heard of it",
    "submit.before": "C1: on the worker, right before the request",
    "submit.after": "C4: the broker has answered and nobody has heard it",
    "replace.sent_before": "C12: on the worker, right before the request",
    "replace.sent_after": "C12: the broker has answered and nobody has heard it",
    "cancel.before": "C11: on the worker, right before the request",
    "cancel.after": "C11: a cancel was sent and its answer is not heard",
    "stream.woken": "C7: a stream said that something happened, and it was not looked at",
    "checkpoint.before": "C15: a checkpoint is due and not begun",
    "checkpoint.inside": "C15: a checkpoint is written and not committed",
    "checkpoint.brief": "C15: one that leans on an earlier one is written and not committed",
    "checkpoint.after": "C15: it is committed",
    "component.blob": "C15: what a component remembers is written, nothing names it yet",
    "component.inside": "C15: and what names it, not committed",
    "prune.before": "C16: old checkpoints are to go",
    "prune.inside": "C16: old checkpoints are deleted and that is not committed",
    "prune.after": "C16: they are gone",
    "rollup.before": "C16: older history may be due to be compressed",
    "rollup.inside": "C16: a piece of it is compressed, its rows are deleted, and that is not committed",
    "rollup.after": "C16: it is committed",
    "migration.before": "C17: the schema is older and nothing was done about it",
    "migration.copied": "C17: what there was is kept and compared, the schema is as it was",
    "migration.inside": "C17: the schema was changed and that is not committed",
    "migration.after": "C17: it is committed",
    "copy.inside": "C20: a copy is written under another name, neither compared nor synced",
    "copy.before_rename": "C20: it is whole and synced, and has no name yet",
    "copy.after_rename": "C20: it has its name, and the folder is not synced",
    "wind_down.before": "C18: the session's time is over, nothing was closed",
    "wind_down.after": "C18: what was to be closed is",
    "stop.before_checkpoint": "C18: the end has come, the last checkpoint is not written",
    "release.before": "C18: it is written, the account is still ours",
    "release.inside": "C18: the account is given back and that is not committed",
    "release.after": "C18: it is given back",
}

#: Points outside any session, in `db backup` and `db restore`; they pass "copy.inside" as well.
KEEPING: dict[str, str] = {
    "backup.packed": "a backup is whole in a folder of its own, and where it belongs there is nothing",
    "backup.before_rename": "it is where it belongs, under another name",
    "restore.checked": "a backup is unpacked and compared, nothing was changed",
    "restore.copied": "on a file system without links: what is to be replaced is copied, and the copy has no name yet",
    "restore.before_rename": "what is to be replaced has a second name and is still in its place",
    "restore.after_rename": "one part of the backup is in its place: an account, or the database",
}

_armed: dict[str, int] = {}
_told_to: list[int] = []  # the descriptor of a file, when there is one


def kill() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    """Stop here, as a machine that is suspended or swapped out does.

    The signal goes to this very thread: sent to the process, another thread takes it, and this one runs on until then.
    """
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


_die: Callable[[], None] = kill


def arm(spec: str, die: Callable[[], None] = kill) -> None:
    """Arm ``name``, ``name:n`` or ``name:n:freeze``; what happens there is ``die``, which a simulation changes.

    ``@FILE`` arms nothing: each point that is passed is written down there.

    Raises:
        ValueError: no point has that name, or the file cannot be written.
    """
    global _die
    if spec.startswith("@"):
        try:
            _told_to.append(os.open(spec[1:], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise ValueError(f"{spec[1:]} cannot be written: {error.strerror}") from None
        return
    point, colon, end = spec.rpartition(":")
    if colon and end == "freeze":
        arm(point, freeze)
        return
    name, _, count = spec.partition(":")
    if name not in POINTS and name not in KEEPING:
        raise ValueError(f"no crash point {name!r}; there are: {', '.join(POINTS)}")
    if colon and (not (count.isascii() and count.isdigit()) or int(count) < 1):
        raise ValueError(f"{spec!r}: {count!r} is not how often the point is passed; 1 or more")
    _armed[name], _die = int(count or 1), die


def disarm() -> None:
    """Let every point be passed again."""
    _armed.clear()


def hit(name: str) -> None:
    """Pass the point ``name``; die here if it is armed and its count is up."""
    for descriptor in _told_to:
        assert name in POINTS or name in KEEPING
        os.write(descriptor, f"{name}\n".encode())
    if not _armed:
        return
    assert name in POINTS or name in KEEPING
    left = _armed.get(name)
    if left is None:
        return
    _armed[name] = left - 1
    if left == 1:
        _die()


def commit(stage: str, kinds: Iterable[str]) -> None:
    """Pass the points of a commit's ``stage``, of those ``kinds`` of fact that have it."""
    if not (_armed or _told_to):
        return
    for kind in kinds:
        name = f"{kind}.{stage}_commit"
        if name in POINTS:
            hit(name)
