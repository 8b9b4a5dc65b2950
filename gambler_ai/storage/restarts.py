"""What was found and done each time a session was taken up again, read back from its journal."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import groupby, islice, takewhile
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from gambler_ai.core import events as ev
from gambler_ai.storage import archive
from gambler_ai.storage import tables as t

_decoder = msgspec.json.Decoder(ev.Fact)
#: Facts of one restart that are read; a journal that grew for long before it was killed has more.
FACTS_MAX = 1_000


class Restart(Struct, frozen=True):
    """One resume: from the journal row ``seq`` on, under the fencing ``token``.

    ``base`` is missing from journals that an earlier program wrote; those do not tell more than that it began.
    ``ended`` is missing when it did not come to agree with the broker: it was killed on the way, or failed.
    ``facts`` is what it came to in between, ``more`` when those are not all.
    """

    seq: int
    token: int
    base: ev.StateRestored | None
    started: ev.RunStarted
    ended: ev.Recovered | None
    facts: tuple[ev.Fact, ...] = ()
    more: bool = False


def of_session(db: Connection, session_id: str) -> list[Restart]:
    """Each restart of a session, oldest first; its first start and a morning after a night are none."""
    found: list[Restart] = []
    for marks in _by_token(_marks(db, session_id)):
        started = next(((seq, fact) for seq, fact in marks if isinstance(fact, ev.RunStarted)), None)
        if started is None or not started[1].resumed:
            continue
        base = next((fact for _, fact in marks if isinstance(fact, ev.StateRestored)), None)
        ended = next(((seq, fact) for seq, fact in marks if isinstance(fact, ev.Recovered)), None)
        restart = Restart(started[0], started[1].token, base, started[1], ended and ended[1])
        found.append(_filled(db, session_id, restart, ended and ended[0]) if base is not None else restart)
    return found


def _marks(db: Connection, session_id: str) -> list[tuple[int, int, ev.Fact]]:
    """The journal rows at which a restart begins or ends, with the token they were written under."""
    kinds = [kind.__name__ for kind in (ev.RunStarted, ev.StateRestored, ev.Recovered)]
    query = sa.select(t.journal.c.token, t.journal.c.seq, t.journal.c.payload).where(
        t.journal.c.session_id == session_id, t.journal.c.kind.in_(kinds)
    )  # fmt: skip
    rows = db.execute(query.order_by(t.journal.c.seq))
    return [(row.token, row.seq, _decoder.decode(row.payload)) for row in rows]


def _by_token(marks: list[tuple[int, int, ev.Fact]]) -> Iterator[list[tuple[int, ev.Fact]]]:
    for _, rows in groupby(marks, key=lambda mark: mark[0]):
        yield [(seq, fact) for _, seq, fact in rows]


def _filled(db: Connection, session_id: str, restart: Restart, last: int | None) -> Restart:
    """With the facts up to the row ``last``, or of its whole life if it never got so far."""
    query = sa.select(t.journal.c.seq, t.journal.c.payload).where(
        t.journal.c.session_id == session_id, t.journal.c.seq > restart.seq, t.journal.c.token == restart.token
    )  # fmt: skip
    if last is not None:
        query = query.where(t.journal.c.seq < last)
    hot: Iterator[Any] = iter(db.execute(query.order_by(t.journal.c.seq).limit(FACTS_MAX + 1)))
    kept = archive.facts(db, session_id, after_seq=restart.seq, last_seq=last)
    rolled_up = takewhile(lambda row: row.token <= restart.token, kept)
    rows = islice(heapq.merge(hot, rolled_up, key=lambda row: row.seq), FACTS_MAX + 1)
    facts = tuple(_decoder.decode(row.payload) for row in rows)
    return replace(restart, facts=facts[:FACTS_MAX], more=len(facts) > FACTS_MAX)
