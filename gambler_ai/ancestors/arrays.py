"""NumPy's arrays of numbers, from raw bytes: a kind of number, a shape, and exactly as many bytes as they need."""

from __future__ import annotations

import io
import math
import re
from typing import TYPE_CHECKING, Any

from gambler_ai.ancestors.refusal import Refused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Kinds of numbers that are taken; objects, texts, records, times and complex numbers are not.
NUMERIC = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
DIMENSIONS_MAX = 8
_NPY = b"\x93NUMPY"
#: Version of a .npy file -> bytes of its header's length. NumPy parses that header as Python; we do not.
_LENGTHS = {b"\x01\x00": 2, b"\x02\x00": 4}
_HEADER_MAX = 10_000
_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[A-Za-z]\d{0,4})', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\),? ?\} *\n"
)
_JOBLIB_KEYS = {"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"}


class Dtype:
    """A kind of number as a pickle describes it: made, then told its byte order."""

    def __init__(self, code: Any, *flags: Any) -> None:
        """``code`` is NumPy's, e.g. f8.

        Raises:
            Refused: it is no number's.
        """
        plain = code.lstrip("<>=|") if type(code) is str else ""
        if plain not in NUMERIC:
            shown = code[:20] if type(code) is str and code.isascii() and code.isprintable() else "of its own kind"
            raise Refused(f"it holds an array of dtype {shown}; only numbers are taken")
        self._code = plain
        self._order = code[0] if code[0] in "<>" else "<"

    @property
    def text(self) -> str:
        """As NumPy writes it, e.g. <f8."""
        return f"{self._order}{self._code}"

    @property
    def size(self) -> int:
        """Bytes of one number."""
        return int(self._code[1:])

    def fill(self, state: Any) -> None:
        """The byte order; all else (fields, subarrays, alignment) is of what is not taken."""
        if type(state) is not tuple or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise TypeError
        if any(part is not None for part in state[2:5]):
            raise Refused("it holds an array of records; only numbers are taken")
        self._order = ">" if state[1] == ">" else "<"


class Array:
    """An array that a pickle makes first and fills later."""

    def __init__(self) -> None:
        self.value: NDArray[np.generic] | None = None

    def fill(self, state: Any) -> None:
        """From what ``ndarray.__reduce__`` gives: version, shape, dtype, order, bytes."""
        if type(state) is not tuple or len(state) != 5:
            raise TypeError
        _, shape, dtype, is_fortran, data = state
        self.set(data, dtype, shape, is_fortran=is_fortran is True)

    def set(self, data: Any, dtype: Any, shape: Any, *, is_fortran: bool) -> None:
        """The array is ``data``.

        Raises:
            Refused: they do not fit together.
        """
        data = data.encode("latin-1") if type(data) is str else data  # as Python 2 wrote it
        if type(dtype) is not Dtype or type(data) not in (bytes, bytearray):
            raise TypeError
        check_shape(shape, dtype, len(data))
        self.value = _numbers(bytes(data), dtype, shape, "F" if is_fortran else "C")


class JoblibArray:
    """An array as joblib writes one: described in the pickle, with its bytes right behind the description."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}
        self.value: NDArray[np.generic] | None = None

    def fill(self, state: Any) -> None:
        """Shape, order and dtype."""
        if type(state) is not dict or not {"shape", "order", "dtype"} <= set(state) <= _JOBLIB_KEYS:
            raise TypeError
        if type(state["dtype"]) is not Dtype:
            raise TypeError
        self._state = state

    def take(self, file: io.BytesIO) -> None:
        """Read the bytes from where ``file`` is.

        Raises:
            Refused: there are fewer.
        """
        dtype, shape = self._state["dtype"], self._state["shape"]
        if self._state.get("numpy_array_alignment_bytes") is not None:
            padding = file.read(1)
            file.read(padding[0] if padding else 0)
        left = len(file.getbuffer()) - file.tell()
        size = check_shape(shape, dtype, None)
        if size > left:
            raise Refused("it is not a whole pickle")
        self.value = _numbers(file.read(size), dtype, shape, "F" if self._state["order"] == "F" else "C")


def scalar(dtype: Any, data: Any = b"") -> float | int | bool:
    """One of NumPy's numbers, as one of Python's."""
    data = data.encode("latin-1") if type(data) is str else data
    if type(dtype) is not Dtype or type(data) is not bytes or len(data) != dtype.size:
        raise TypeError
    found: float | int | bool = _numbers(data, dtype, (1,), "C")[0].item()
    return found


def check_shape(shape: Any, dtype: Dtype, length: int | None) -> int:
    """How many bytes an array of ``shape`` has; they have to be ``length``, if that is known.

    Raises:
        Refused: it is no shape, or not of that many bytes.
    """
    if type(shape) is not tuple or len(shape) > DIMENSIONS_MAX:
        raise Refused("it holds an array without a sensible shape")
    if any(type(extent) is not int or not 0 <= extent < 1 << 32 for extent in shape):
        raise Refused("it holds an array without a sensible shape")
    size = math.prod(shape) * dtype.size
    if length is not None and size != length:
        raise Refused(f"it holds an array of {size:,} bytes by its shape and of {length:,} by what is there")
    return size


def _numbers(data: bytes, dtype: Dtype, shape: tuple[int, ...], order: Any) -> NDArray[np.generic]:
    import numpy as np

    if not data:
        return np.zeros(0, dtype.text)
    flat: NDArray[np.generic] = np.frombuffer(data, dtype.text)
    return flat.reshape(shape, order=order)


def is_npy(data: bytes) -> bool:
    """Whether these are the bytes of a .npy file."""
    return data.startswith(_NPY)


def read_npy(data: bytes) -> NDArray[np.generic]:
    """The array of a .npy file; one of objects is a pickle, and not read.

    Raises:
        Refused: it is not whole, or holds anything but numbers.
    """
    version = data[len(_NPY) : len(_NPY) + 2]
    if version not in _LENGTHS:
        raise Refused("it is not a whole .npy file, or of a version that holds more than numbers")
    begin = len(_NPY) + 2 + _LENGTHS[version]
    end = begin + int.from_bytes(data[len(_NPY) + 2 : begin], "little")
    match = _HEADER.fullmatch(data[begin:end]) if end - begin <= _HEADER_MAX else None
    if match is None:
        raise Refused("it is not a .npy file of numbers: its header describes none")
    if match[1].endswith(b"O"):
        raise Refused("it holds an array of objects, which is a pickle inside; only numbers are taken")
    shape = tuple(int(extent) for extent in re.findall(rb"\d+", match[3]))
    found = Array()
    found.set(data[end:], Dtype(match[1].decode()), shape, is_fortran=match[2] == b"True")
    assert found.value is not None
    return found.value
