"""Running the migrations, from a checkout and from an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Engine


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


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to ``revision`` in one transaction."""
    _run(engine, revision, command.upgrade)


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Take it back to ``revision``."""
    _run(engine, revision, command.downgrade)


def _run(engine: Engine, revision: str, action: object) -> None:
    settings = config()
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        assert callable(action)
        action(settings, revision)
