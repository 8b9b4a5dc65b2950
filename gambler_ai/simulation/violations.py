"""What must never be, found: one line each."""

from __future__ import annotations

from msgspec import Struct


class Violation(Struct, frozen=True):
    """A rule that was broken: ``rule`` is its short name, ``what`` says where and how."""

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


class Crash(BaseException):
    """The simulated process ends here, as by kill -9; no handler of the program may keep it alive."""


class Broken(Exception):
    """The simulation itself cannot go on: a wait that nothing will end, or a rule broken in the middle of a step."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(str(violation))
        self.violation = violation
