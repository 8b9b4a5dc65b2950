"""Alpaca's JSON for what the exchange knows."""
