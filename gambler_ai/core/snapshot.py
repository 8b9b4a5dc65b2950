"""SessionState to bytes and back, with a version. Readable JSON: a person can look into a checkpoint."""

from __future__ import annotations

import hashlib

import msgspec

from gambler_ai.core.state import SessionState
from gambler_ai.errors import CheckpointCorrupt

#: Raised when SessionState changes its shape; an upgrade step for each older one belongs in this file.
STATE_VERSION = 3
#: Versions 1 and 2 had fewer fields (and 1 one whose meaning ended with its run): the decoder's defaults make them
#: the newest.
_READABLE = frozenset({1, 2, STATE_VERSION})

_encoder = msgspec.json.Encoder(order="deterministic", decimal_format="string")
_decoder = msgspec.json.Decoder(SessionState)


def dump(state: SessionState) -> bytes:
    """The state as bytes; the same state gives the same bytes."""
    return _encoder.encode(state)


def load(payload: bytes, version: int) -> SessionState:
    """The state that `dump` wrote.

    Raises:
        CheckpointCorrupt: the version is not ours or the bytes are not a state.
    """
    if version not in _READABLE:
        raise CheckpointCorrupt(f"state version {version} is not one this program reads ({STATE_VERSION})")
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointCorrupt(f"a checkpoint does not decode: {error}") from error


def digest(payload: bytes) -> str:
    """The checksum stored beside a payload."""
    return hashlib.sha256(payload).hexdigest()
