"""What the exchange says no with, and how it refuses to open."""

from __future__ import annotations

from gambler_ai.errors import SessionLeased, StorageError

UNPROCESSABLE, BAD_PARAMETER, FORBIDDEN, NOT_FOUND = 42210000, 40010001, 40310000, 40410000


class Refusal(Exception):
    """An answer that is not a success: status, Alpaca's code, message and context keys (BEHAVIOUR 1)."""

    def __init__(self, status: int, code: int, message: str, **context: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.context = context

    def body(self) -> dict[str, object]:
        return {"code": self.code, "message": self.message, **self.context}


def bad_parameter(message: str) -> Refusal:
    return Refusal(422, BAD_PARAMETER, message)


def unprocessable(message: str, **context: object) -> Refusal:
    return Refusal(422, UNPROCESSABLE, message, **context)


def forbidden(message: str, **context: object) -> Refusal:
    return Refusal(403, FORBIDDEN, message, **context)


def not_found(message: str) -> Refusal:
    return Refusal(404, NOT_FOUND, message)


class ExchangeInUse(SessionLeased):
    """Another process serves this exchange file."""


class ExchangeFileError(StorageError):
    """The exchange's file cannot be opened, or a commit failed: reopen it."""
