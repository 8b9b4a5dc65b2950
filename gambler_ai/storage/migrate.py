"""Running the migrations, from a checkout and from an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection


def script_location() -> Path:
    """Beside the package in a wheel, at the top of the repository in a checkout."""
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent / "migrations"
    # An editable install can leave a stale copy in the package: the checkout's own comes first.
    return checkout if (checkout / "env.py").exists() else package / "migrations"


def config() -> Config:
    """An alembic configuration that needs no file."""
    settings = Config()
    settings.set_main_option("script_location", str(script_location()))
    return settings


def revisions() -> list[str]:
    """All revisions, oldest first."""
    scripts = ScriptDirectory.from_config(config())
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def run(db: Connection, revision: str, *, down: bool = False) -> None:
    """Migrate inside the transaction of ``db``: up to ``revision``, or ``down`` to it."""
    settings = config()
    settings.attributes["connection"] = db
    (command.downgrade if down else command.upgrade)(settings, revision)
