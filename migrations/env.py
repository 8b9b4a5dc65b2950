"""Where alembic finds the database: the program's own connection, or, from the command line, its setting."""

from __future__ import annotations

from alembic import context
from sqlalchemy.engine import Connection

from gambler_ai.storage.tables import metadata


def run(connection: Connection) -> None:
    """Migrate on ``connection``, inside its transaction."""
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Use the connection that was handed over, else open the one the settings name."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        run(connection)
        return
    from gambler_ai.config import database_url
    from gambler_ai.storage.database import Database

    url = context.config.get_main_option("sqlalchemy.url") or database_url()
    database = Database(url)
    with database.write() as opened:
        run(opened)
    database.close()


main()
