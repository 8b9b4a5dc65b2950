"""What may never be said: secrets, replaced wherever a text of others is taken in or shown.

A broker's error page can echo the headers it was sent, an exception can carry what a function was given. The
settings put the secrets here when they are read; texts pass through `masked` where they enter and where they leave.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import traceback
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

#: Characters below which a "secret" is a word that stands everywhere.
SECRET_MIN = 4
#: What stands where a secret stood.
MASKED = "***"


class Mask:
    """Replaces secrets in texts, also as JSON, an address, a page of HTML or a header would spell them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = frozenset(secret for secret in secrets if len(secret) >= SECRET_MIN)
        forms = {form for secret in self.secrets for form in _spelled(secret)}
        self._forms = sorted(forms, key=len, reverse=True)  # the longest first: one may hold another

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, MASKED)
        return text


def _spelled(secret: str) -> set[str]:
    coded = base64.b64encode(secret.encode("utf-8", "surrogateescape")).decode().rstrip("=")
    quoted = quote(secret, safe="", errors="surrogateescape")
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quoted, html.escape(secret), coded}


_known = Mask()


def keep(secrets: Iterable[str]) -> None:
    """From now on no text that passes through `masked` holds one of ``secrets``."""
    global _known  # noqa: PLW0603 (one process, one set of secrets: whoever is asked must know all of them)
    new = frozenset(secrets)
    if not new <= _known.secrets:
        _known = Mask(_known.secrets | new)


def masked(text: str) -> str:
    """``text`` without any secret of this process."""
    return _known(text)


class MaskedRecord(logging.LogRecord):
    """What any library logs, at any level: websockets' debug log holds each frame, and the first is the keys."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        if self.exc_info and self.exc_info[0] is not None:
            self.exc_text = masked("".join(traceback.format_exception(*self.exc_info))).rstrip("\n")

    def getMessage(self) -> str:  # noqa: N802 (logging's own name)
        return masked(super().getMessage())


def hide_in_logs() -> None:
    """Have every record of this process masked, whoever turned its logger on."""
    logging.setLogRecordFactory(MaskedRecord)
