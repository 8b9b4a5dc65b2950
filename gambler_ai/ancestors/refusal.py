"""The one way in which a file is turned down."""

from __future__ import annotations


class Refused(ValueError):
    """Something in a file that is not taken; the message names it in one line, ``hint`` says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
