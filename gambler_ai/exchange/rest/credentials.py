"""The keys of a request, in each form that Alpaca takes (BEHAVIOUR 1)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping


def keys_in(headers: Mapping[bytes, bytes], account_key: str) -> tuple[bytes, bytes]:
    """Key id and secret, empty where there is none.

    The two APCA headers, or ``Authorization: Basic`` of ``id:secret``. ``Bearer`` carries an OAuth token at Alpaca; no
    server gives one out here, so the account's secret key stands for it.
    """
    if b"apca-api-key-id" in headers or b"apca-api-secret-key" in headers:
        return headers.get(b"apca-api-key-id", b""), headers.get(b"apca-api-secret-key", b"")
    scheme, _, value = headers.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return account_key.encode(), value.strip()
    if scheme.lower() != b"basic":
        return b"", b""
    try:
        key_id, _, secret = base64.b64decode(value.strip(), validate=True).partition(b":")
    except binascii.Error:
        return b"", b""
    return key_id, secret
