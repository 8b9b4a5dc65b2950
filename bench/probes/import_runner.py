"""Floor of an idle runner's memory: a process that only imports what a runner imports, and waits."""

import sys

import alpaca.data.historical.stock
import alpaca.trading.client
import msgspec
import numpy
import pydantic_settings
import rich.console
import rich.table
import sqlalchemy
import sqlalchemy.dialects.sqlite
import typer

IMPORTED = (alpaca, msgspec, numpy, pydantic_settings, rich, sqlalchemy, typer)

sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.read()
