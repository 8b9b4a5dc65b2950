"""Floor of a restore: a process that only imports SQLAlchemy."""

import sys

import sqlalchemy

sys.stdout.write(sqlalchemy.__version__)
