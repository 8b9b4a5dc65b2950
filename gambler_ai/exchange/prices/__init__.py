"""What the market does: symbols, sessions, and a price for each instant of them."""
