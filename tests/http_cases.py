"""The server under the door and the desk, on loopback, and a client that sends what it is told to."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from fks.infra.http_server import ServerLimits, serve
from fks.infra.sockets import bind

LIMITS = ServerLimits(
    max_connections=32, max_connection_life_s=5, read_timeout_s=2, keep_alive_s=2, drain_s=2, max_body=20_000
)
GET = b"GET / HTTP/1.1\r\nHost: fks\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nHost: fks\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
App = Callable[[Any, Any, Any], Awaitable[None]]


def limited(**changes: Any) -> ServerLimits:
    return msgspec.structs.replace(LIMITS, **changes)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Replies with what it saw of the request."""
    body = b""
    while (event := await receive())["type"] == "http.request":
        body += event["body"]
        if not event["more_body"]:
            await reply(
                send, json.dumps({"client": scope["client"], "path": scope["path"], "body": len(body)})
            )
            return


async def reply(send: Any, text: str, status: int = 200) -> None:
    body = text.encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Server:
    def __init__(self, address: Any, shutdown: trio.Event) -> None:
        self.address = address
        self.shutdown = shutdown
        self.ended = trio.Event()

    async def connect(self) -> trio.SocketStream:
        if isinstance(self.address, str):
            stream = await trio.open_unix_socket(self.address)
            assert isinstance(stream, trio.SocketStream)
            return stream
        return await trio.open_tcp_stream(self.address[0], self.address[1])

    async def exchange(self, request: bytes, within: float = 4) -> bytes:
        """Send it, and read until the server hangs up."""
        async with await self.connect() as stream:
            return await talk(stream, request, within)

    async def status(self) -> int:
        """Of an ordinary request."""
        return status(await self.exchange(LAST_GET, within=1))


async def talk(stream: trio.SocketStream, data: bytes, within: float = 4) -> bytes:
    answer = b""
    with trio.fail_after(within):
        try:
            if data:
                await stream.send_all(data)
            while part := await stream.receive_some():
                answer += part
        except trio.BrokenResourceError:
            pass
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@asynccontextmanager
async def running(
    app: App = echo, limits: ServerLimits = LIMITS, address: str = "127.0.0.1:0"
) -> AsyncIterator[Server]:
    """A server on loopback; it must end by itself when the test is over."""
    listener = bind(address)
    server = Server(listener.getsockname(), trio.Event())

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await serve(app, [listener], limits, server.shutdown, name="door", task_status=task_status)
        server.ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield server
        server.shutdown.set()
        with trio.fail_after(limits.drain_s + 1):
            await server.ended.wait()
