"""A process that brings the one session of the database in argv[1] into memory, and says so."""

import sys

from gambler_ai.storage import sessions
from gambler_ai.storage.database import Database
from gambler_ai.trading.recovery import restore

database = Database(sys.argv[1])
database.check()
with database.read() as db:
    info = sessions.newest_open(db)
assert info is not None
sys.stdout.write(f"{len(restore(database, info).state.positions)} positions")
