"""Worlds of real processes, killed and resumed, and the books of both sides laid side by side."""
