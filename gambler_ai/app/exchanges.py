"""An exchange of ours that serves somewhere on this machine: where it is, and to when its market is moved."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, time, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from gambler_ai import secrecy
from gambler_ai.broker.control import ExchangeControl, ExchangeStatus
from gambler_ai.broker.fence import is_loopback
from gambler_ai.config import load
from gambler_ai.core.model import NEW_YORK
from gambler_ai.errors import ConfigError

URL, TOKEN = "ALPACA_TRADING_URL", "GAMBLER_EXCHANGE_TOKEN"
HOW = "write --env-file FILE, the file that `exchange serve --env-file FILE` wrote"
STEP = "write 30s, 5m, 2h, 1d, open, close, 15:30 or 2008-10-07T15:30 (New York)"
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def find(env_file: Path | None) -> ExchangeControl:
    """The exchange that ``env_file`` names, or the environment.

    Raises:
        ConfigError: no exchange is named, or one that is not on this machine.
    """
    if env_file is None:
        settings = load({})
        url, token = settings.trading_url, settings.exchange_token.get_secret_value()
        where = "the environment"
    else:
        names = named_in(env_file)
        url, token, where = names.get(URL, ""), names.get(TOKEN, ""), str(env_file)
        secrecy.keep([token])
    if not token:
        raise ConfigError(f"GAMBLER_EXCHANGE_TOKEN is not in {where}", hint=HOW)
    if not is_loopback(urlsplit(url).hostname):
        raise ConfigError(f"{URL} in {where} is no exchange of this machine: {url or 'not set'}", hint=HOW)
    return ExchangeControl(url, token)


def named_in(path: Path) -> dict[str, str]:
    """The variables that a file of shell lines exports.

    Raises:
        ConfigError: it cannot be read, or a line of it is something else.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"--env-file {path} cannot be read: {why}") from None
    names: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = [""]
        for word in words[1:] if words[:1] == ["export"] else words:
            name, sign, value = word.partition("=")
            if not sign:
                raise ConfigError(f"--env-file {path}, line {number}: not of the form export NAME=VALUE")
            names[name] = value
    return names


def step_to(how: str, status: ExchangeStatus) -> datetime:
    """The instant that a person means by ``how``, seen from where the market stands.

    Raises:
        ConfigError: it is none, or it has passed.
    """
    target = _target(how.strip(), status)
    if target <= status.now:
        at = status.now.astimezone(NEW_YORK)
        raise ConfigError(f"the market is at {at:%Y-%m-%d %H:%M:%S} already; time does not go back", hint=STEP)
    return target


def _target(how: str, status: ExchangeStatus) -> datetime:
    found = _SPAN.fullmatch(how)
    try:
        if found is not None:
            return status.now + timedelta(**{_UNITS[found[2]]: float(found[1])})
        if how in ("open", "close"):
            there = status.next_open if how == "open" else status.next_close
            if there is None:
                raise ConfigError(f"the market has prices no longer: there is no next {how}")
            return there
        if "T" not in how and ":" in how:
            day = status.now.astimezone(NEW_YORK).date()
            return datetime.combine(day, time.fromisoformat(how.zfill(5)), NEW_YORK)
        instant = datetime.fromisoformat(how.zfill(5))
    except (ValueError, OverflowError):
        raise ConfigError(f"{how!r} is no instant to step to", hint=STEP) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=NEW_YORK)
