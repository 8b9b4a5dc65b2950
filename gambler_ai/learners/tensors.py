"""Reading safetensors bytes (https://github.com/huggingface/safetensors) without the library: nothing is imported to
look at what is stored, and what is not exactly what is wanted is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

#: The kinds of numbers that we store.
_KINDS: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8"), "U8": np.dtype("u1")}
_PREFIX = 8


class Wanted(Struct, frozen=True):
    """A tensor as it must be: its kind as the format spells it, and its shape."""

    kind: str
    shape: tuple[int, ...]


class _Entry(Struct, frozen=True, forbid_unknown_fields=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def read(stored: bytes, wanted: Mapping[str, Wanted]) -> dict[str, NDArray[Any]]:
    """The tensors in ``stored``, which are those of ``wanted`` and no others; they cannot be written to.

    Raises:
        ValueError: they are not, or a number is not finite.
    """
    header, body = _parts(stored)
    if header.keys() != wanted.keys():
        odd = min(header.keys() ^ wanted.keys())
        raise ValueError(f"tensor {odd!r:.60} is {'missing' if odd in wanted else 'none of ours'}")
    end, found = 0, {}
    for name, entry in sorted(header.items(), key=lambda item: item[1].data_offsets):
        kind = _KINDS[wanted[name].kind]
        size = int(np.prod(wanted[name].shape, dtype=np.int64)) * kind.itemsize
        if entry.dtype != wanted[name].kind or entry.shape != wanted[name].shape:
            raise ValueError(f"tensor {name} is {entry.dtype} of {entry.shape}, not {wanted[name]}")
        if entry.data_offsets != (end, end + size) or end + size > len(body):
            raise ValueError(f"tensor {name} does not lie where it should")
        values = np.frombuffer(body[end : end + size], kind).reshape(entry.shape)
        if not np.isfinite(values).all():
            raise ValueError(f"tensor {name} holds something that is no finite number")
        found[name], end = values, end + size
    if end != len(body):
        raise ValueError(f"{len(body) - end} bytes belong to no tensor")
    return found


def shape_of(stored: bytes, name: str) -> tuple[int, ...]:
    """The shape that ``stored`` gives for one of its tensors.

    Raises:
        ValueError: that is no such file, or has no such tensor.
    """
    header, _body = _parts(stored)
    if name not in header:
        raise ValueError(f"tensor {name!r:.60} is missing")
    return header[name].shape


def _parts(stored: bytes) -> tuple[dict[str, _Entry], bytes]:
    length = int.from_bytes(stored[:_PREFIX], "little")
    if len(stored) < _PREFIX + length or not length:
        raise ValueError(f"its header is not within its {len(stored)} bytes")
    try:
        header = _header.decode(stored[_PREFIX : _PREFIX + length])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"its header does not decode: {error}") from error
    return header, stored[_PREFIX + length :]


_header = msgspec.json.Decoder(dict[str, _Entry])
