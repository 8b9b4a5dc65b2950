"""Floor of a resume: a process that only imports alpaca-py's trading client and SQLAlchemy."""

import sys

import alpaca.trading.client
import sqlalchemy

sys.stdout.write(f"{alpaca.trading.client.__name__} {sqlalchemy.__version__}")
