"""Files of the bots that people come from: read without running anything in them, and checked before use.

`unpickling.py` reads pickles, `arrays.py` NumPy's arrays, `plain.py` bounds what comes out; `kinds.py` says what a file
is, `history.py`, `risk.py`, `learned.py`, `lesson.py` and `fno.py` what is in it; `fno_writing.py` writes what `fno.py`
reads. No I/O: bytes in, values out.
"""

from gambler_ai.ancestors.kinds import FILE_MAX, Found, Memory, recognise
from gambler_ai.ancestors.refusal import Refused

__all__ = ["FILE_MAX", "Found", "Memory", "Refused", "recognise"]
