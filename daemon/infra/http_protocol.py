"""hypercorn's HTTP/1.1 and ASGI machinery without the parts that a packet can turn against us.

hypercorn's own loop turns an `Upgrade` or a `PRI` into HTTP/2 or a websocket, whose parsers die of odd
bytes. `Protocol` speaks HTTP/1.0 and 1.1 only; an upgrade is ignored, as RFC 9110 (7.8) allows. It leans
on internals of hypercorn 0.18.0 (H11Protocol, HTTPStream, TaskGroup): that version is pinned, and
tests/test_http_server.py fails when they change.
"""

import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import cast

import h11
import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveEvent,
    ASGISendEvent,
    ConnectionState,
    H11SendableEvent,
    Scope,
)

from fks.infra.problem import problem

MAX_HEAD = 16 * 1024  # bytes of request line and headers
MAX_LINES = 128  # of a head: h11 takes as many headers as fit, and looks at each several times
MAX_CHUNKS = 256  # of a body: each costs its sender six bytes and us a turn of the parser
_WAITING_BODY = 2  # the body and its end, so that the reader need not wait for the app to read them

_END_OF_HEAD = re.compile(rb"\n\r?\n")  # as h11 takes it

log = structlog.get_logger()


@dataclass(frozen=True)
class RequestRead(Event):
    """The whole request, body included, has arrived and was given to the app."""


class ServerConfig(Config):
    """hypercorn's settings: no logs of its own, no Server header, a Date header made once a second."""

    errorlog = None
    accesslog = None
    h11_max_incomplete_size = MAX_HEAD

    def __init__(self) -> None:
        self._second = 0
        self._date: list[tuple[bytes, bytes]] = []
        self.include_server_header = False

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, super().response_headers(protocol)
        return self._date


class AppTasks(TaskGroup):
    """Runs the app, one task a request, in the connection's nursery.

    hypercorn's own tells the app of a disconnect through the queue of body parts: when that is full the
    app's last `send` waits for ever for the app to read. Here a disconnect is the end of the channel.
    """

    def __init__(self, nursery: trio.Nursery, server: str) -> None:
        super().__init__()
        self._nursery: trio.Nursery = nursery
        self._server = server

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,  # noqa: ARG002 - hypercorn's signature
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        parts_in, parts_out = trio.open_memory_channel[ASGIReceiveEvent](_WAITING_BODY)

        async def receive() -> ASGIReceiveEvent:
            try:
                return await parts_out.receive()
            except trio.EndOfChannel:
                return {"type": "http.disconnect"}

        async def put(event: ASGIReceiveEvent) -> None:
            if event["type"] == "http.disconnect":
                parts_in.close()
                return
            # The app may have ended without reading it all, or the client may just have left.
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await parts_in.send(event)

        async def run() -> None:
            with parts_out:
                try:
                    await app(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
                except Exception:
                    log.exception("http_app_failed", server=self._server, path=scope.get("path"))
            await send(None)  # answers 500 if the app has not answered

        self._nursery.start_soon(run)
        return put


class Protocol(H11Protocol):
    """One connection's HTTP/1.1: bytes in, ASGI events to the app, bytes out in as few writes as possible."""

    context: WorkerContext

    def __init__(
        self,
        *,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        tasks: AppTasks,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        send: Callable[[Event], Awaitable[None]],
        max_body: int,
    ) -> None:
        super().__init__(app, config, context, tasks, ConnectionState({}), False, client, server, send)
        self.closing = False
        self._http = cast(h11.Connection, self.connection)
        self._max_body = max_body
        self._body = bytearray()
        self._chunks = 0
        self._whole = False  # the present request has arrived, body included
        self._held = b""

    async def _handle_events(self) -> None:
        while not self.closing:
            if self._http.they_are_waiting_for_100_continue:
                await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))
            if self._http.their_state is h11.IDLE and self._head_lines() > MAX_LINES:
                await self._refuse(431, f"a request has at most {MAX_LINES - 1} headers")
                return
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                if self._whole and self.stream is not None:  # junk behind a good request: it keeps its answer
                    await self._pause()
                    continue
                reason = str(error).partition(": bytearray")[0]  # what was sent is not sent back
                await self._refuse(error.error_status_hint, f"not HTTP/1.1: {reason}")
                return
            if isinstance(event, h11.Request):
                await self._begin(event)
            elif isinstance(event, h11.Data):
                await self._take(event)
            elif isinstance(event, h11.EndOfMessage):
                await self._end()
            elif event is h11.PAUSED:  # a pipelined request waits for the response before it
                await self._pause()
            else:
                return

    def _head_lines(self) -> int:
        waiting, _ = self._http.trailing_data
        end = _END_OF_HEAD.search(waiting)
        return waiting.count(b"\n", 0, end.start() if end else len(waiting))

    async def _pause(self) -> None:
        """Read nothing until the present response is sent; so nothing piles up either."""
        await self.can_read.clear()
        await self.can_read.wait()

    async def _begin(self, request: h11.Request) -> None:
        await self.send(Updated(idle=False))
        self._body.clear()
        self._chunks, self._whole = 0, False
        named = dict(request.headers)
        length = int(named.get(b"content-length", 0))
        if request.http_version not in (b"1.0", b"1.1"):
            await self._refuse(505, "this server speaks HTTP/1.1")
        elif request.method == b"CONNECT":
            await self._refuse(405, "this server is not a proxy")
        elif b"transfer-encoding" in named and (b"content-length" in named or request.http_version == b"1.0"):
            # RFC 9112, 6.1: whoever passed this on may have taken another length for the true one.
            await self._refuse(400, "the body has two lengths: send Content-Length or chunks, not both")
        elif length > self._max_body:
            await self._refuse(413, f"a body of {length} bytes is over the {self._max_body} allowed")
        else:
            await self._create_stream(request)

    async def _create_stream(self, request: h11.Request) -> None:
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        self.keep_alive_requests += 1
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode("ascii"),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )

    async def _take(self, part: h11.Data) -> None:
        """Keep a part of the body. The app gets it whole: a thousand scraps cost it no more than one."""
        self._body += part.data
        self._chunks += part.chunk_start
        if len(self._body) > self._max_body:
            await self._refuse(413, f"the body is over the {self._max_body} bytes allowed")
        elif self._chunks > MAX_CHUNKS:
            await self._refuse(400, f"the body comes in more than {MAX_CHUNKS} chunks: send larger ones")

    async def _end(self) -> None:
        self._whole = True
        await self.send(RequestRead())
        if stream := self.stream:  # which may be gone from here before the app has taken its body
            if self._body:
                await stream.handle(Body(stream_id=STREAM_ID, data=bytes(self._body)))
            await stream.handle(EndBody(stream_id=STREAM_ID))

    async def abandon(self) -> None:
        """Send no more of what the app says, and tell it so. Has no checkpoint: safe in a `finally`."""
        self.closing = True
        await self._close_stream()
        await self.can_read.set()

    async def _refuse(self, status: int, detail: str) -> None:
        """Answer in the app's place, unless it has begun to; tell it that the client is gone; hang up."""
        reply = b""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            reply = self._error_reply(status, detail)
        await self.abandon()
        if reply:
            await self.send(RawData(data=reply))
        await self.send(Closed())

    def _error_reply(self, status: int, detail: str) -> bytes:
        body, headers = problem(status, HTTPStatus(status).phrase, detail)
        head = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        head += [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        response = h11.Response(status_code=status, headers=head + self.config.response_headers("h11"))
        try:
            events: tuple[H11SendableEvent, ...] = (response, h11.Data(data=body), h11.EndOfMessage())
            return b"".join(self._http.send(event) or b"" for event in events)
        except h11.LocalProtocolError:  # an answer to HEAD has no body: hanging up says enough
            return b""

    async def stream_send(self, event: StreamEvent) -> None:
        if self.closing:  # nor may its end of stream close the socket under a refusal still being written
            return
        if isinstance(event, Response) and self.context.terminated.is_set():
            event = replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """Write, but hold a head whose body follows at once (it has a length): one packet instead of two."""
        self._held += self._http.send(event) or b""
        if isinstance(event, h11.Response) and any(name == b"content-length" for name, _ in event.headers):
            return
        if self._held:
            data, self._held = self._held, b""
            await self.send(RawData(data=data))
