"""One connection of the HTTP server: its stages, its deadlines and its end.

The reading task is the watchdog: each stage moves the deadline of its scope, so nothing is started or
stopped per request. When it expires the socket is closed and the app is told that the client is gone.
The app itself is never cancelled by a client, only at the end of the connection's life or of the drain.
"""

import ipaddress
import socket
from contextlib import suppress
from enum import Enum, auto
from math import inf

import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper
from msgspec import Struct

from fks.infra.http_protocol import AppTasks, Protocol, RequestRead

_MAX_RECV = 16 * 1024  # bytes a read; no more than a head may have, so a flood is noticed at once
LINGER_S = 1.0  # after the last reply: read what still comes, or the kernel's reset destroys that reply
_DRAIN_GRACE_S = 0.25  # what was on its way when the drain began is still answered
_FIRST_GRACE_S = 0.7  # a client that has just connected and asked for nothing yet would call it a refusal

log = structlog.get_logger()


class ServerLimits(Struct, frozen=True, kw_only=True):
    """What one server grants its clients.

    `max_connections`: at once; over it the longest-waiting unfinished request makes room, and when all
    are being answered the newcomer gets 503.
    `max_connection_life_s`: from being ready for a request to the end of its response; then the app is
    cancelled too. None for long-lived streams.
    `keep_alive_s`: for the next request's whole head to arrive. `read_timeout_s`: for its whole body, and
    for the client to take one write. `drain_s`: for what is in flight at a shutdown. `max_body`: bytes.
    """

    max_connections: int = 256
    max_connection_life_s: float | None = 15.0
    read_timeout_s: float = 10.0
    keep_alive_s: float = 5.0
    drain_s: float = 20.0
    max_body: int = 64 * 1024


class Stage(Enum):
    """Where a connection is."""

    HEAD = auto()  # no whole request head yet
    BODY = auto()  # the app runs, the rest of the body is to come
    ANSWER = auto()  # the request is complete: it is the app's turn
    CLOSING = auto()  # the last reply is written


class Connection:
    """Serves one client until it or we hang up. The socket is closed by whoever made it."""

    def __init__(
        self,
        *,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        limits: ServerLimits,
        stream: trio.SocketStream,
        name: str,
    ) -> None:
        self.stage = Stage.HEAD
        self.since = trio.current_time()  # when it became ready for the present request
        self._fresh = True  # no request has come yet
        self._app = app
        self._config = config
        self._context = context
        self._limits = limits
        self._stream = stream
        self._name = name
        self._life = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._write_lock = trio.Lock()
        self._protocol: Protocol

    async def run(self) -> None:
        """Return when both sides are done. Raises OSError when the client was gone before we looked."""
        client, server = peer(self._stream.socket), local(self._stream.socket)
        with self._life:
            async with trio.open_nursery() as nursery:
                self._protocol = Protocol(
                    app=self._app,
                    config=self._config,
                    context=self._context,
                    tasks=AppTasks(nursery, self._name),
                    client=client,
                    server=server,
                    send=self._on_protocol,
                    max_body=self._limits.max_body,
                )
                self._enter(Stage.HEAD)
                with self._reading:
                    await self._read()
                while self._left_unread():
                    self._reading = trio.CancelScope(deadline=trio.current_time() + self._grace)
                    with self._reading:
                        await self._read()
                if self._reading.cancelled_caught or self.stage is not Stage.ANSWER:
                    await self._hang_up()
                else:
                    await self._protocol.handle(Closed())
        if self._life.cancelled_caught:
            log.warning("http_connection_cut", server=self._name, stage=self.stage.name, client=client)

    def evict(self) -> None:
        """Hang up on a client whose request is not complete."""
        self._reading.cancel()

    @property
    def unread(self) -> bool:
        """Whether the client has sent what we have not read."""
        return self._stream.socket.is_readable()

    @property
    def _grace(self) -> float:
        return _FIRST_GRACE_S if self._fresh else _DRAIN_GRACE_S

    def drain(self) -> None:
        """Take no new request, once `context.terminated` is set, but for one that is on its way already."""
        if self.stage is Stage.HEAD:
            self._reading.deadline = min(self._reading.deadline, trio.current_time() + self._grace)

    def _left_unread(self) -> bool:
        """Whether a drain ended the wait for a request that has arrived: on a busy machine it may have waited
        for us longer than the grace, and hanging up on it would be a refusal.
        """
        waited = self._reading.cancelled_caught and self.stage is Stage.HEAD
        return waited and self._context.terminated.is_set() and self.unread

    def _enter(self, stage: Stage) -> None:
        now = trio.current_time()
        self.stage = stage
        match stage:
            case Stage.HEAD:
                self.since = now
                self._life.deadline = now + (self._limits.max_connection_life_s or inf)
                draining = self._context.terminated.is_set()
                self._reading.deadline = now + (self._grace if draining else self._limits.keep_alive_s)
            case Stage.BODY:
                self._fresh = False
                self._reading.deadline = now + self._limits.read_timeout_s
            case Stage.ANSWER:
                self._fresh = False
                self._reading.deadline = inf
            case Stage.CLOSING:
                self._reading.deadline = now + LINGER_S

    async def _read(self) -> None:
        while True:
            try:
                data = await self._stream.receive_some(_MAX_RECV)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if self.stage is not Stage.CLOSING:
                await self._protocol.handle(RawData(data=bytes(data)))
            if not data:
                return

    async def _on_protocol(self, event: Event) -> None:
        match event:
            case RawData():
                await self._write(event.data)
            case Updated(idle=True):
                self._enter(Stage.HEAD)
            case Updated():
                self._enter(Stage.BODY)
            case RequestRead():
                self._enter(Stage.ANSWER)
            case Closed():
                self._enter(Stage.CLOSING)
                await self._protocol.abandon()
                with suppress(OSError):
                    # `send_eof` has a checkpoint, where an app that cancels its own last `send` would end it.
                    self._stream.socket.shutdown(socket.SHUT_WR)

    async def _write(self, data: bytes) -> None:
        """Send all of it, or hang up: after a part of a response nothing else may follow on this socket.

        hypercorn shields this from cancellation, so a client that does not read holds its task for ever.
        """
        sent = False
        try:
            with trio.move_on_after(self._limits.read_timeout_s):
                async with self._write_lock:
                    await self._stream.send_all(data)
                    sent = True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            if not sent:
                await self._hang_up()

    async def _hang_up(self) -> None:
        self._stream.socket.close()
        await self._protocol.abandon()


def peer(sock: trio.socket.SocketType) -> tuple[str, int] | None:
    """Who is on the other side, for ASGI's `client`; None on a Unix socket.

    An IPv4 client of an IPv6 socket is shown by its IPv4 address, as allow lists write it. Raises OSError.
    """
    return _host_and_port(sock.family, sock.getpeername())


def local(sock: trio.socket.SocketType) -> tuple[str, int] | None:
    """Our own side, for ASGI's `server`. Raises OSError."""
    return _host_and_port(sock.family, sock.getsockname())


def _host_and_port(family: int, address: tuple[str, int]) -> tuple[str, int] | None:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    host, port = address[:2]
    if family == socket.AF_INET6 and (mapped := ipaddress.IPv6Address(host).ipv4_mapped):
        host = str(mapped)
    return host, port
