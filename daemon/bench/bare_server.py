"""The least that the door's server can cost: it reads the body and answers, and does nothing about it.

`python -m fks.bench.bare_server` tells its address and serves until its stdin closes.
"""

import sys
from typing import Any

import trio

from fks.bench.usage import tell
from fks.infra.http_server import ServerLimits, serve
from fks.infra.sockets import bind

BODY = b'{"status":"accepted","alert_id":"0123456789abcdef"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI's signature
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def main() -> None:
    listener = bind("127.0.0.1:0")
    host, port = listener.getsockname()
    ended = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: serve(app, [listener], ServerLimits(), ended, name="bare",
                                                      task_status=task_status))  # fmt: skip
        tell(f"{host}:{port}")
        await trio.lowlevel.wait_readable(sys.stdin)  # nobody writes to it: readable means closed
        ended.set()


if __name__ == "__main__":
    trio.run(main)
