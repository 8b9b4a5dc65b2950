"""Arrays of numbers as plain data: little-endian bytes, with the shape and the kind of number beside them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray


class Array(Struct, frozen=True, array_like=True):
    """Numbers row by row. ``dtype`` is numpy's name of one with its byte order: ``<f8``, ``<f4``."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def pack(values: NDArray[Any], dtype: str) -> Array:
    """``values`` as they are stored."""
    return Array(dtype, values.shape, values.astype(dtype).tobytes())


def unpack(array: Array, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The numbers in it, an array of its own that can be written to.

    Raises:
        ValueError: it has another kind, shape or length.
    """
    if (array.dtype, array.shape) != (dtype, shape):
        raise ValueError(f"an array is {array.dtype:.8} {array.shape!r:.40}, not {dtype} {shape}")
    if len(array.data) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"an array of {shape} has {len(array.data)} bytes")
    return np.frombuffer(array.data, dtype).reshape(shape).astype(np.dtype(dtype).newbyteorder("="))
