"""What a shell may complete that only the database knows. It reads, and is silent when it cannot."""

from __future__ import annotations

from typing import Any

import typer

#: Sessions offered, newest first.
SESSIONS_MAX = 50


def session_ids(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids that begin with what was typed, each with what it is."""
    from gambler_ai.errors import GamblerError
    from gambler_ai.storage import sessions
    from gambler_ai.storage.inspect import ReadOnly

    try:
        database = ReadOnly(_place(ctx.params))
        try:
            with database.read() as db:
                found = sessions.listed(db, SESSIONS_MAX)
        finally:
            database.close()
    except (GamblerError, OSError):  # no database, an older one, somebody else's: the user will hear of it from `run`
        return []
    return [(i.id, f"{i.status}, {','.join(i.plan.symbols)[:40]}") for i in found if i.id.startswith(incomplete)]


def learner_names(incomplete: str) -> list[str]:
    """Names of learners that begin with what was typed."""
    from gambler_ai.core.learning import CHOOSER
    from gambler_ai.learners import KNOWN

    return [name for name in (*KNOWN, CHOOSER) if name.startswith(incomplete)]


def _place(params: dict[str, Any]) -> str:
    from gambler_ai.cli.common import reading

    return reading(params.get("database_url"), params.get("config")).settings.database
