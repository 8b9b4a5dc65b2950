"""Floor of an exchange's answer: a Starlette handler that reads JSON, commits one row durably and answers JSON."""

import socket
import sqlite3
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode=wal")
db.execute("PRAGMA synchronous=full")
db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, body TEXT)")


async def place(request: Request) -> JSONResponse:
    """Take an order."""
    order = await request.json()
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO orders VALUES (?, ?)", (order["client_order_id"], (await request.body()).decode()))
    db.execute("COMMIT")
    return JSONResponse(order | {"status": "accepted"})


listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
listener.listen()
sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
sys.stdout.flush()
app = Starlette(routes=[Route("/v2/orders", place, methods=["POST"])])
config = uvicorn.Config(
    app, http="h11", ws="none", lifespan="off", loop="asyncio", log_level="critical", access_log=False
)
uvicorn.Server(config).run(sockets=[listener])
