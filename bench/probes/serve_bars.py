"""An exchange on 500 symbols of the user's own: one day of minute bars each, written into the folder that is named."""

import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.rest.server import ExchangeServer

SYMBOLS, MINUTES = 500, 390
opening = datetime(2024, 1, 3, 9, 30)  # noqa: DTZ001 - New York's, as the files have it

folder = Path(sys.argv[1])
folder.mkdir()
lines = [
    f"{opening + timedelta(minutes=minute)},{price},{price + 1},{price - 1},{price + 0.5},{1000 + minute}"
    for minute in range(MINUTES)
    for price in (100 + minute % 7,)
]
text = "\n".join(["timestamp,open,high,low,close,volume", *lines])
for number in range(SYMBOLS):
    (folder / f"S{number:03}.csv").write_text(text)
exchange = Exchange.open(None, data=folder, start=datetime.fromisoformat("2024-01-03T14:31:00+00:00"))
server = ExchangeServer(exchange)
server.start()
told = {"url": server.url, "token": server.token, "key": exchange.key_id, "secret": exchange.secret_key}
sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
sys.stdout.flush()
threading.Event().wait()
