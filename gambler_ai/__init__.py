"""A paper-trading runner for Alpaca that can be killed at any instant."""

__version__ = "0.1.0"
