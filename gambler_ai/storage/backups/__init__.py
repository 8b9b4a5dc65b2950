"""Copies of the whole state for another day: what one file holds, where it is kept, and how it gets back into place."""
