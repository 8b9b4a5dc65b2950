"""A terminal in memory: just enough of one to see what a person would see, and what has scrolled away."""

import re
from typing import NoReturn

_TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\r|\n|\x1b.|[^\x1b\r\n]+", re.DOTALL)


class Terminal:
    """Rows below rows; the last ``height`` are the screen, those above its history."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self.width = width
        self.height = height
        self.rows: list[str] = [""]
        self.row = self.column = 0
        self.private: list[str] = []  # modes that were changed: cursor hidden, another screen

    @property
    def text(self) -> str:
        """All of it, history first."""
        return "\n".join(row.rstrip() for row in self.rows)

    @property
    def screen(self) -> list[str]:
        return [row.rstrip() for row in self.rows[-self.height :]]

    def feed(self, text: str) -> None:
        for match in _TOKEN.finditer(text):
            if match[2]:
                self._control(match[1], match[2])
            elif match[0] == "\r":
                self.column = 0
            elif match[0] == "\n":
                self._down()
            elif not match[0].startswith("\x1b"):
                self._put(match[0])

    def _control(self, numbers: str, letter: str) -> None:
        if numbers.startswith("?"):
            self.private.append(numbers + letter)
        elif letter == "A":
            top = max(0, len(self.rows) - self.height)
            self.row = max(top, self.row - int(numbers or 1))
        elif letter == "K" and numbers == "2":
            self.rows[self.row] = ""
        elif letter != "m":
            self._unknown(numbers + letter)

    def _unknown(self, what: str) -> NoReturn:
        raise AssertionError(f"a control this terminal does not know: {what}")

    def _down(self) -> None:
        self.column = 0  # as a terminal line does it, which makes \r\n of \n
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    def _put(self, text: str) -> None:
        for character in text:
            if self.column == self.width:
                self._down()
            row = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = row[: self.column] + character + row[self.column + 1 :]
            self.column += 1
