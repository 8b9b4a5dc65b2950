"""Floor of market data: rows that are there already, encoded for each request and for each minute of a stream."""

import asyncio
import socket
import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

PAGE, SYMBOLS, A_MESSAGE = 10_000, 500, 100
ROW = {"t": "2008-10-07T13:30:00Z", "o": 86.25, "h": 86.5, "l": 86.0, "c": 86.1, "v": 10500, "n": 70, "vw": 86.2}
ROWS = [dict(ROW) for _ in range(PAGE)]
BARS = [{"T": "b", "S": f"S{number:03}"} | ROW for number in range(SYMBOLS)]
minutes: "asyncio.Queue[None]" = asyncio.Queue()


async def bars(request: Request) -> Response:
    del request
    return Response(
        msgspec.json.encode({"bars": {"AAPL": ROWS}, "next_page_token": None}), media_type="application/json"
    )


async def advance(request: Request) -> Response:
    await request.body()
    minutes.put_nowait(None)
    return Response(b"{}", media_type="application/json")


async def stream(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await minutes.get()
        for first in range(0, SYMBOLS, A_MESSAGE):
            await websocket.send_text(msgspec.json.encode(BARS[first : first + A_MESSAGE]).decode())


routes = [Route("/bars", bars), Route("/advance", advance, methods=["POST"]), WebSocketRoute("/stream", stream)]
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
listener.listen()
sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
sys.stdout.flush()
config = uvicorn.Config(
    Starlette(routes=routes),
    http="h11",
    ws="websockets-sansio",
    log_level="critical",
    access_log=False,
    lifespan="off",
    timeout_graceful_shutdown=1,
)
uvicorn.Server(config).run(sockets=[listener])
