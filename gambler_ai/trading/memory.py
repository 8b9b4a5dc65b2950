"""The components of a session while it runs: evolved by each fact, stored in the transaction of what they follow from.

A save costs what changed. A component whose revision stands still is not dumped; bytes that are stored already are not
written again, and no row says so until the journal has gone on so far that a restart would have much to replay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from gambler_ai.core.components import Component, dumped, evolve
from gambler_ai.core.events import ComponentSetAside, Fact, LearnerReset, LibraryChanged
from gambler_ai.core.state import SessionState
from gambler_ai.errors import ConfigError
from gambler_ai.storage import components as store
from gambler_ai.storage.components import Blob, ComponentInfo

#: Journal rows after which a component that did not change is written down once more: what a restart replays for it.
ROW_EVERY = 500


class Stored(Struct, frozen=True):
    """What is stored of a component: its newest row, and the ``revision`` that is in it; None: none that it could be.

    ``seq``, ``sha256`` and ``length`` are of no meaning then.
    """

    revision: int | None = None
    number: int = 0
    seq: int = 0
    sha256: str = ""
    length: int = 0


class Due(Struct, frozen=True):
    """A row to be written; ``blob`` is None where it is there already."""

    component: Component
    stored: Stored
    blob: Blob | None


class Memory:
    """The components by name, and how far each is stored."""

    def __init__(self) -> None:
        self._components: dict[str, Component] = {}
        self._failed: dict[str, Component] = {}
        self._stored: dict[str, Stored] = {}
        self._told: list[ComponentSetAside] = []
        self._moved: list[LibraryChanged] = []
        #: Those of them that score entries.
        self.learners: tuple[str, ...] = ()

    @property
    def view(self) -> Mapping[str, Component]:
        """They, by name, as a strategy sees them: one that failed is not there."""
        return MappingProxyType(self._components)

    def number(self, name: str) -> int:
        """The number of the newest row of a component, 0 if it has none."""
        return self._stored[name].number

    def put(self, component: Component, stored: Stored, aside: Iterable[ComponentSetAside] = ()) -> None:
        """Take a component in; ``aside`` is what was found bad of it and is still to be told."""
        self._components[component.name], self._stored[component.name] = component, stored
        self._told += aside

    def take(self, facts: Collection[Fact]) -> None:
        """Evolve by ``facts``, oldest first."""
        for fact in facts:
            self.revive(fact)
            for component in list(self._components.values()):
                self.evolve(component, fact)

    def evolve(self, component: Component, fact: Fact) -> None:
        """Evolve one of them. One that raises is left out until the next start, which evolves it anew."""
        if component.name in self._components and (why := evolve(component, fact)):
            self._fail(component, fact.at, why)

    def revive(self, fact: Fact) -> None:
        """Let one that failed in again when a person has it begin anew: the way out for one that always fails."""
        if isinstance(fact, LearnerReset) and fact.name in self._failed:
            self._components[fact.name] = self._failed.pop(fact.name)

    def due(self, seq: int, at: datetime) -> list[Due]:
        """What is to be written so that all of it is stored as of the journal row ``seq``."""
        found = [self._due(component, seq, at) for component in list(self._components.values())]
        return [due for due in found if due is not None]

    def write(self, db: Any, due: Iterable[Due], state: SessionState, wall: datetime, token: int) -> None:
        """Write what is due, as of the last row of ``state``."""
        for one in due:
            component, stored = one.component, one.stored
            info = ComponentInfo(
                session_id=state.session_id, name=component.name, number=stored.number, account_id=state.account_id,
                at=state.last_at, created_at=wall, seq=stored.seq, schema=component.schema, format=component.format,
                libraries=dict(component.libraries), sha256=stored.sha256, set_aside="", length=stored.length,
            )  # fmt: skip
            store.write(db, info, one.blob, token)

    def written(self, due: Iterable[Due]) -> None:
        """It is committed."""
        for one in due:
            self._stored[one.component.name] = one.stored

    def tell(self, aside: ComponentSetAside) -> None:
        """Have something told with the next facts."""
        self._told.append(aside)

    def tell_moved(self, moved: LibraryChanged) -> None:
        """Have it told that a component was stored by another version of a library."""
        self._moved.append(moved)

    def take_moved(self) -> list[LibraryChanged]:
        """Which components were stored by other versions, since the last call."""
        moved, self._moved = self._moved, []
        return moved

    def take_told(self) -> list[ComponentSetAside]:
        """What was set aside, or failed, since the last call."""
        told, self._told = self._told, []
        return told

    def _due(self, component: Component, seq: int, at: datetime) -> Due | None:
        before = self._stored[component.name]
        revision = component.revision
        if revision == before.revision:
            if seq - before.seq < ROW_EVERY:
                return None
            return Due(component, Stored(revision, before.number + 1, seq, before.sha256, before.length), None)
        try:
            blob = store.packed(dumped(component))
        except ValueError as error:
            self._fail(component, at, str(error))
            return None
        is_new = blob.sha256 != before.sha256
        if not is_new and before.revision is not None and seq - before.seq < ROW_EVERY:
            self._stored[component.name] = Stored(revision, before.number, before.seq, before.sha256, before.length)
            return None
        stored = Stored(revision, before.number + 1, seq, blob.sha256, blob.length)
        return Due(component, stored, blob if is_new or before.revision is None else None)

    def _fail(self, component: Component, at: datetime, reason: str) -> None:
        self._failed[component.name] = self._components.pop(component.name)
        used = "what is stored of it stays; it is left out until the next start, which replays what happened since"
        self._told.append(ComponentSetAside(at, component.name, reason, used))


def distinct(components: Collection[Component]) -> Collection[Component]:
    """``components``, if no two have one name.

    Raises:
        ConfigError: two do.
    """
    names = [component.name for component in components]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"two components are called {twice}", hint="each needs a name of its own")
    return components
