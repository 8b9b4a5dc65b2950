"""A client of alpaca-py that reads page after page, and comes to an end."""

from __future__ import annotations

from typing import Any

from alpaca.common.rest import RESTClient

from gambler_ai.broker.reply import BadReply

#: Pages, and bytes, of one answer: a page that always names a next one must come to an end.
PAGES_MAX = 1_000
ANSWER_BYTES_MAX = 256 << 20


class Paged(RESTClient):
    """alpaca-py goes on for as long as there is a next page; this one counts."""

    _pages = 0
    _bytes_before = 0

    def begin(self) -> None:
        """Of an answer."""
        self._pages, self._bytes_before = 0, self._bytes()

    def get(self, path: str, data: Any = None, **options: Any) -> Any:
        self._pages += 1
        if self._pages > PAGES_MAX or self._bytes() - self._bytes_before > ANSWER_BYTES_MAX:
            raise BadReply("its list of prices does not end")
        return super().get(path, data, **options)

    def _bytes(self) -> int:
        return int(getattr(self._session, "received_bytes", 0))
