"""Opinions about the market, pure: a view of it in, proposals out."""
