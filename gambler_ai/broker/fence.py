"""What stands between us and alpaca-py's HTTP: deadlines, one POST a call, typed errors, two hosts.

alpaca-py sends without a timeout and repeats every request, POST too, on 429 and 504
(RECOVERY_PROTOCOL 0.1, 0.2); both end here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, RequestException
from urllib3.exceptions import MaxRetryError, NewConnectionError

from gambler_ai.broker.pace import TokenBucket, is_urgent
from gambler_ai.broker.reply import BODY_PATIENCE_S, BadReply, taken_in
from gambler_ai.core import strict_json
from gambler_ai.core.text import one_line
from gambler_ai.errors import (
    BrokerAuthError,
    BrokerError,
    BrokerRefused,
    BrokerUnreachable,
    ConfigError,
    OutcomeUnknown,
    ReadFailed,
)

#: Wall seconds to connect, and between two bytes of a reply.
CONNECT_TIMEOUT_S = 3.05
READ_TIMEOUT_S = 10.0

#: The longest pause that is believed: the limit is one of requests a minute.
PAUSE_MAX_S = 120.0

TRADING_HOST = "paper-api.alpaca.markets"
DATA_HOST = "data.alpaca.markets"
STREAM_HOST = "stream.data.alpaca.markets"
#: What may stand behind each host in a setting.
PATHS = {TRADING_HOST: ("", "/stream"), DATA_HOST: ("",), STREAM_HOST: ("/v2/iex", "/v2/sip", "/v2/test")}

#: Not in an address of ours, and read differently by different parsers.
_ODD = re.compile(r"[^\x21-\x7e]|[\\?#%]")
_PAPER_ONLY = "this program trades on paper only"

Reply = TypeVar("Reply")


class Encoded(dict[str, Any]):
    """A body whose bytes are already decided: it looks like a dict to alpaca-py and is sent as ``text``."""

    def __init__(self, text: str) -> None:
        super().__init__(json.loads(text))
        self.text = text


class FencedSession(requests.Session):
    """A requests session with a deadline, without proxies, netrc and redirects."""

    def __init__(self, bucket: TokenBucket | None = None) -> None:
        """``bucket`` limits how often something is asked for; None for a market that is ours."""
        super().__init__()
        self.trust_env = False
        self.received_bytes = 0
        self.body_patience_s = BODY_PATIENCE_S
        self._bucket = bucket

    def request(self, method: Any, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        if self._bucket is not None:
            self._bucket.take(urgent=is_urgent(str(method), urlsplit(str(url)).path))
        options.setdefault("timeout", (CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
        options["allow_redirects"] = False
        body = options.get("json")
        if isinstance(body, Encoded):
            options["json"] = None
            options["data"] = body.text.encode()
            options["headers"] = {**options["headers"], "Content-Type": "application/json"}
        options["stream"] = True
        reply = taken_in(super().request(method, url, **options), self.body_patience_s)
        self.received_bytes += len(reply.content)
        if 300 <= reply.status_code < 400:
            raise BadReply(f"it points elsewhere (HTTP {reply.status_code}), and keys go nowhere else")
        return reply

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere; asked where, requests would read the whole body first."""
        return


def fence(client: RESTClient, session: requests.Session | None = None) -> None:
    """Take alpaca-py's retries away and give it our session.

    Raises:
        AssertionError: this alpaca-py keeps its retries elsewhere; nothing may be sent with it.
    """
    assert all(hasattr(client, name) for name in ("_retry", "_retry_codes", "_session"))
    client._retry = 0
    client._retry_codes = []
    client._session = session if session is not None else FencedSession()


def check_url(url: str, host: str, schemes: tuple[str, str] = ("https", "http")) -> str:
    """Only Alpaca's paper ``host`` over TLS, or a loopback address; there is no override.

    ``schemes``: with TLS and without; ("wss", "ws") for a stream.

    Raises:
        ConfigError: any other address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r:.80} is not an address: {error}", hint=_PAPER_ONLY) from None
    if not _ODD.search(url) and "@" not in parts.netloc:
        if (parts.scheme, parts.hostname, parts.path.rstrip("/")) in _allowed(schemes[0], host) and port in (None, 443):
            return url.rstrip("/")
        if parts.scheme in schemes and is_loopback(parts.hostname):
            return url.rstrip("/")
    raise ConfigError(
        f"{parts.scheme}://{parts.hostname or url:.80} is neither {schemes[0]}://{host} nor a loopback address",
        hint=_PAPER_ONLY,
    )


def _allowed(scheme: str, host: str) -> set[tuple[str, str, str]]:
    return {(scheme, host, path) for path in PATHS[host]}


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` is this machine and no other."""
    if host == "localhost":
        return True
    try:
        return host is not None and ip_address(host).is_loopback
    except ValueError:
        return False


def reading(call: Callable[[], Reply], *, prices: bool = False) -> Reply:
    """Run a read. Whatever goes wrong, nothing was changed by it.

    ``prices``: of the host of prices, where a 403 speaks of the plan and not of the keys.

    Raises:
        BrokerAuthError, BrokerRefused: it said no.
        BrokerUnreachable: it was not reached. ReadFailed: it was, and did not answer what was asked.
    """
    try:
        return call()
    except APIError as error:
        raise _refusal(error, ReadFailed, prices) from None
    except RequestException as error:
        raise (BrokerUnreachable if _never_sent(error) else ReadFailed)(_why(error)) from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ReadFailed(f"the broker answered nonsense: {_short(error)}") from None


def changing(call: Callable[[], Reply]) -> Reply:
    """Run a request that changes something, once.

    Raises:
        BrokerAuthError, BrokerRefused: known not done.
        BrokerUnreachable: no byte was sent.
        OutcomeUnknown: everything else.
    """
    try:
        return call()
    except APIError as error:
        raise _refusal(error, OutcomeUnknown) from None
    except RequestException as error:
        raise (BrokerUnreachable if _never_sent(error) else OutcomeUnknown)(_why(error)) from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise OutcomeUnknown(f"the broker answered nonsense: {_short(error)}") from None


#: The answers that say no and mean it; a 408 or 409, say, may come from anything in between.
_REFUSALS = frozenset({400, 403, 404, 422})


def _refusal(error: APIError, unclear: type[BrokerError], prices: bool = False) -> BrokerError:
    """A status to an error; bodies may be HTML or lack a code (BEHAVIOUR 1)."""
    status = error.status_code or 0
    code, message = _body(str(error))
    text = f"{message or 'no reason given'} (HTTP {status})"
    if status == 401 or (status == 403 and code is None and not prices):
        return BrokerAuthError(f"the broker does not accept these keys: {text}", hint="check ALPACA_API_KEY")
    if status in _REFUSALS:
        return BrokerRefused(text, status=status, code=code)
    if status == 429:
        return unclear("rate limited by the broker", wait_s=pause_s(error.response.headers))
    return unclear(text)


def pause_s(headers: Mapping[str, str]) -> float:
    """How long the broker wants to be left alone, 0 when it does not say or says what cannot be.

    ``X-RateLimit-Reset`` is an instant of its clock, so it is held against the same answer's ``Date``, not ours.
    """
    try:
        told = headers.get("X-RateLimit-Reset") if "Date" in headers else None
        wait_s = float(told) - _date(headers).timestamp() if told else float(headers.get("Retry-After") or 0)
    except (ValueError, TypeError):
        return 0.0
    return wait_s if 0 < wait_s <= PAUSE_MAX_S else 0.0


def _date(headers: Mapping[str, str]) -> datetime:
    return parsedate_to_datetime(str(headers.get("Date")))


def _body(text: str) -> tuple[int | None, str]:
    try:
        body = strict_json.loads(text)
        code = body.get("code")
        return code if isinstance(code, int) else None, printable(str(body.get("message", "")))
    except (ValueError, AttributeError, RecursionError):
        return None, ""


def printable(text: str, most: int = 300) -> str:
    """A broker's string without control characters, bounded (RECOVERY_PROTOCOL 4.7)."""
    return one_line(text, most)


def _never_sent(error: RequestException) -> bool:
    if isinstance(error, ConnectTimeout):
        return True
    reason = error.args[0] if isinstance(error, RequestsConnectionError) and error.args else None
    return isinstance(reason, MaxRetryError) and isinstance(reason.reason, NewConnectionError)


def _why(error: RequestException) -> str:
    host = urlsplit(str(error.request.url)).netloc if error.request is not None and error.request.url else ""
    what = "cannot be reached" if _never_sent(error) else "did not answer"
    return f"the broker {f'at {host} ' if host else ''}{what} ({type(error).__name__})"


def _short(error: Exception) -> str:
    kind = "" if isinstance(error, BadReply) else f"{type(error).__name__}: "
    return printable(f"{kind}{error}", 120)
