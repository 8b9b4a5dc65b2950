"""How a simulated process, and a simulation, end out of turn."""

from __future__ import annotations

from gambler_ai.proving.audit import Violation


class Crash(BaseException):
    """The simulated process ends here, as by kill -9; no handler of the program may keep it alive."""


class Broken(Exception):
    """The simulation itself cannot go on: a wait that nothing will end, or a rule broken in the middle of a step."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.line)
        self.violation = violation
