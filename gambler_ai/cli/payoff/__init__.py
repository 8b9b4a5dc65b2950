"""`structures payoff`: what a structure brings over the price of its underlying, as text and as a page."""
