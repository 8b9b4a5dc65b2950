"""Everything random here is a hash of what it is for, so the same seed gives the same world."""

from __future__ import annotations

import hashlib
import uuid

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _digest(parts: tuple[object, ...], size: int) -> bytes:
    return hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=size).digest()


def key(*parts: object) -> int:
    """A 64-bit key for these parts."""
    return int.from_bytes(_digest(parts, 8), "big")


def chance(*parts: object) -> float:
    """A number in [0, 1) for these parts."""
    return (key(*parts) >> 11) / float(1 << 53)


def make_uuid(*parts: object) -> str:
    """A UUID with the version bits of a v4, as Alpaca's ids have (BEHAVIOUR 1)."""
    return str(uuid.UUID(bytes=_digest(parts, 16), version=4))


def letters(length: int, *parts: object) -> str:
    """Upper case letters and digits, for key ids and account numbers."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return "".join(alphabet[byte % 36] for byte in _digest(parts, length))


def uniforms(seed: int, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Uniforms in (0, 1), by splitmix64 over a counter: the same on every numpy."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        z = z ^ (z >> np.uint64(31))
    return (((z >> np.uint64(11)).astype(np.float64) + 0.5) / float(1 << 53)).reshape(shape)


def normals(seed: int, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Standard normals (Box-Muller)."""
    pair = uniforms(seed, (2, *shape))
    result: npt.NDArray[np.float64] = np.sqrt(-2.0 * np.log(pair[0])) * np.cos(2.0 * np.pi * pair[1])
    return result
