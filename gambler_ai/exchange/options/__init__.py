"""What is listed on an underlying, and what it is worth: contracts, expiries, strikes, a volatility surface, quotes."""
