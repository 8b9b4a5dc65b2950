"""From rows to what components remember: the newest good blob of each, and the journal's facts after it.

Read by the owner of the account, after its session was restored and before anything is decided. Nothing is written
here: what was found bad is set aside with the facts of the start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from msgspec import Struct

from gambler_ai import crashpoints
from gambler_ai.core.components import Component, load
from gambler_ai.core.events import ComponentSetAside, Fact, LibraryChanged
from gambler_ai.core.state import SessionState
from gambler_ai.errors import CheckpointCorrupt, ConfigError
from gambler_ai.storage import components as store
from gambler_ai.storage import journal
from gambler_ai.storage.components import ComponentInfo
from gambler_ai.storage.database import Database
from gambler_ai.trading.memory import Memory, Stored, distinct

#: A library whose version changes no number: what it wrote is read as it was meant.
_ONLY_ENCODES = frozenset({"msgspec"})


class Found(Struct, frozen=True):
    """The row that a component took its memory from (None: there is none), its highest row number in this session,
    and what was found bad on the way."""

    info: ComponentInfo | None
    number: int
    aside: tuple[ComponentSetAside, ...]


def recall(database: Database, state: SessionState, components: Collection[Component]) -> Memory:
    """The memory of a session as of its last journal row.

    Each component takes the newest good blob of this session, else of an earlier one of the account, else it is as it
    was made; then it is given the facts after that.

    Raises:
        SchemaMismatch: a newer program wrote it, or one too old.
        ConfigError: two have one name, or one cannot be brought up to its schema. Nothing was written.
    """
    if not components:
        return Memory()
    with database.read() as db:
        return recalled(db, state, components)


def recalled(db: Any, state: SessionState, components: Collection[Component]) -> Memory:
    """The same within a transaction that is there already. Of ``state`` only its ids and how far it goes count.

    Raises:
        SchemaMismatch, ConfigError: as `recall`.
    """
    memory, after = Memory(), dict[str, int]()
    for component in distinct(components):
        found = taken(db, component, state)
        memory.put(component, stored_of(component, found, state.session_id), found.aside)
        if moved := _moved(component, found.info, state):
            memory.tell_moved(moved)
        after[component.name] = _evolve_elsewhere(db, memory, component, found, state)
    _replay(db, memory, state, after)
    return memory


def taken(db: Any, component: Component, state: SessionState) -> Found:
    """Have ``component`` take the newest good blob there is for it.

    Raises:
        SchemaMismatch, ConfigError: it must not be passed over, and cannot be read.
    """
    bad: list[tuple[ComponentInfo, str]] = []
    used: ComponentInfo | None = None
    for info in _candidates(db, component.name, state):
        try:
            _load(db, component, info, state)
        except CheckpointCorrupt as error:
            bad.append((info, error.message))
            continue
        used = info
        break
    told = tuple(_aside(info, reason, used, state) for info, reason in bad)
    own = store.listed(db, state.session_id, component.name)
    return Found(used, own[0].number if own else 0, told)


def refuse_other_format(db: Any, component: Component, state: SessionState) -> None:
    """Before a person reads or writes by hand: what is stored under that name is not something else.

    Raises:
        ConfigError: it is.
    """
    for info in _candidates(db, component.name, state):
        if info.format != component.format:
            raise ConfigError(
                f"component {info.name} is stored as {info.format}, which is no plain value",
                hint="choose another name for yours",
            )


def stored_of(component: Component, found: Found, session_id: str) -> Stored:
    """How far a component that was just taken is stored in this session."""
    info = found.info
    if info is None or info.session_id != session_id or info.schema != component.schema:
        return Stored(number=found.number)
    return Stored(component.revision, found.number, info.seq, info.sha256, info.length or 0)


def _candidates(db: Any, name: str, state: SessionState) -> list[ComponentInfo]:
    """Good rows of a name, the best first: of this session, then of earlier ones of the account."""
    own = [info for info in store.listed(db, state.session_id, name) if not info.set_aside]
    return own + store.elsewhere(db, state.account_id, state.session_id, name)


def _load(db: Any, component: Component, info: ComponentInfo, state: SessionState) -> None:
    if info.format != component.format:
        raise CheckpointCorrupt(f"it is written as {info.format}, this component as {component.format}")
    if info.session_id == state.session_id and info.seq > state.seq:
        raise CheckpointCorrupt(f"it is as of journal row {info.seq}, and the session ends at row {state.seq}")
    load(component, store.payload(db, info, state.account_id), info.schema)


def _moved(component: Component, info: ComponentInfo | None, state: SessionState) -> LibraryChanged | None:
    """What is stored is numbers, which every version reads; what it makes of them from here on may differ a little."""
    before = info.libraries if info is not None else {}
    moved = {
        name: (before[name], now) for name, now in component.libraries.items()
        if name in before and name not in _ONLY_ENCODES and _release(before[name]) != _release(now)
    }  # fmt: skip
    says = "it goes on from the stored numbers; what it learns from here on is not bit for bit what it would have been"
    return LibraryChanged(state.last_at, component.name, moved, says) if moved else None


def _release(version: str) -> tuple[str, ...]:
    """The parts of a version that say that numbers may differ: a third part mends."""
    return tuple(version.split(".")[:2])


def _aside(info: ComponentInfo, reason: str, used: ComponentInfo | None, state: SessionState) -> ComponentSetAside:
    instead = "it begins anew"
    if used is not None:
        where = "" if used.session_id == state.session_id else f" of session {used.session_id}"
        instead = f"the one of journal row {used.seq}{where} is used, and what happened after it"
    elif state.seq:
        instead = "it begins anew, with what happened in this session"
    return ComponentSetAside(state.last_at, info.name, reason, instead, info.session_id, info.number)


def _evolve_elsewhere(
    db: Any, memory: Memory, component: Component, found: Found, state: SessionState
) -> int:  # fmt: skip
    """What an earlier session came to after it last stored the component. Returns the row of ours to go on after."""
    info = found.info
    if info is None:
        return 0
    if info.session_id == state.session_id:
        return info.seq
    try:
        for _seq, fact in _facts(db, info.session_id, info.seq):
            memory.revive(fact)
            memory.evolve(component, fact)
    except CheckpointCorrupt as error:
        memory.tell(_short(component.name, error.message, state))
    return 0


def _replay(db: Any, memory: Memory, state: SessionState, after: dict[str, int]) -> None:
    """The facts of this session that components do not know yet, in one reading of the journal."""
    first = min(after.values())
    try:
        for seq, fact in _facts(db, state.session_id, first, state.seq):
            memory.revive(fact)
            for component in list(memory.view.values()):
                if seq > after[component.name]:
                    memory.evolve(component, fact)
            crashpoints.hit("recovery.remembering")
    except CheckpointCorrupt as error:  # the newest checkpoint lies behind it, so the session goes on without it
        for name in memory.view:
            memory.tell(_short(name, error.message, state))


def _short(name: str, reason: str, state: SessionState) -> ComponentSetAside:
    return ComponentSetAside(state.last_at, name, reason, "what happened from there on is not in what it remembers")


def _facts(db: Any, session_id: str, after: int, last: int | None = None) -> Iterator[tuple[int, Fact]]:
    """The facts of a session after the row ``after``, each with its row.

    Raises:
        CheckpointCorrupt: a row does not verify.
    """
    if last is not None and after >= last:
        return
    seq, head = after, journal.hash_at(db, session_id, after)
    if head is None:
        seq, head = 0, journal.GENESIS
    for fact, _hash in journal.read(db, session_id, seq, head, last):
        seq += 1
        if seq > after:
            yield seq, fact
