"""The HTTP server under both addresses: accepts, keeps to its limits, contains every connection, drains.

hypercorn's own trio worker puts the connections' tasks into one nursery with everything else, so one
bad packet ends the process. Here a connection can end only itself.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import suppress
from heapq import nsmallest
from socket import socket
from typing import Final

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework

from fks.domain.errors import Fatal
from fks.infra.http_connection import LINGER_S, Connection, ServerLimits, Stage
from fks.infra.http_protocol import MAX_HEAD, ServerConfig
from fks.infra.problem import problem

__all__ = ["ServerLimits", "serve"]

_NO_ROOM: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_ACCEPT_AGAIN_S = 0.1
_AT_ONCE = 64  # connections accepted in one turn of the loop
_ASKED = 8  # of those who have waited longest, so many are looked at before a newcomer is refused

log = structlog.get_logger()


async def serve(
    app: ASGIFramework,
    listeners: Sequence[socket],
    limits: ServerLimits,
    shutdown: trio.Event,
    *,
    name: str,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` (ASGI, HTTP only) on listening sockets until `shutdown`, then finish what is in flight.

    The listeners are closed when it stops to accept. There is no ASGI lifespan: start and stop belong to
    the supervisor, and hooks such as Quart's before_serving do not run. The app is told of a gone client
    by `http.disconnect` and is cancelled only after `max_connection_life_s` or `drain_s`.
    Raises Fatal when a listener breaks.
    """
    server = _Server(app, limits, name)
    ears = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in listeners]
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            for ear, listener in zip(ears, listeners, strict=True):
                accepting.start_soon(server.accept, ear, listener, connections, accepting.cancel_scope)
            task_status.started()
            await shutdown.wait()
            accepting.cancel_scope.cancel()
        await server.drain()
        connections.cancel_scope.deadline = trio.current_time() + limits.drain_s
    if connections.cancel_scope.cancelled_caught:
        log.warning("http_drain_cut", server=name, drain_s=limits.drain_s)
    if server.broken:
        raise Fatal(f"the {name} cannot accept connections any more: {server.broken}") from server.broken


class _Server:
    def __init__(self, app: ASGIFramework, limits: ServerLimits, name: str) -> None:
        self.broken: Exception | None = None
        self._app = ASGIWrapper(app)
        self._limits = limits
        self._name = name
        self._config = ServerConfig()
        self._context = WorkerContext(max_requests=None)
        self._live: set[Connection] = set()
        self._refusing = 0

    async def accept(
        self,
        ear: trio.SocketListener,
        listener: socket,
        connections: trio.Nursery,
        accepting: trio.CancelScope,
    ) -> None:
        """Accept until cancelled. A listener that breaks stops the others too, and `broken` says why.

        `listener` is the socket below `ear`.
        """
        async with ear:
            while True:
                try:
                    stream = await ear.accept()
                except (OSError, trio.ClosedResourceError) as error:
                    if getattr(error, "errno", None) not in _NO_ROOM:
                        self.broken = error
                        accepting.cancel()
                        return
                    log.warning("http_accept_failed", server=self._name, error=str(error))
                    self._make_room()
                    await trio.sleep(_ACCEPT_AGAIN_S)
                else:
                    for each in (stream, *_behind(listener)):
                        connections.start_soon(self._contain, each)

    async def drain(self) -> None:
        await self._context.terminated.set()
        for connection in self._live:
            connection.drain()

    async def _contain(self, stream: trio.SocketStream) -> None:
        """Serve one client; whatever goes wrong there ends here."""
        try:
            if len(self._live) < self._limits.max_connections or self._make_room():
                await self._serve(stream)
            else:
                await self._refuse(stream)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client is gone
        except* Exception as group:  # noqa: BLE001 - containment: no client may end the process
            log.warning(
                "http_connection_failed", server=self._name, errors=[repr(e) for e in group.exceptions]
            )
        finally:
            stream.socket.close()

    async def _serve(self, stream: trio.SocketStream) -> None:
        connection = Connection(
            app=self._app,
            config=self._config,
            context=self._context,
            limits=self._limits,
            stream=stream,
            name=self._name,
        )
        self._live.add(connection)
        try:
            await connection.run()
        finally:
            self._live.discard(connection)

    def _make_room(self) -> bool:
        """Hang up on the longest-waiting client without a complete request, if there is one.

        Not on one whose request is there and has not been read: that one waits for us.
        """
        waiting = [each for each in self._live if each.stage is not Stage.ANSWER]
        for oldest in nsmallest(_ASKED, waiting, key=lambda each: each.since):
            if not oldest.unread:
                oldest.evict()
                self._live.discard(oldest)
                return True
        return False

    async def _refuse(self, stream: trio.SocketStream) -> None:
        """Answer 503 in the app's place. As many at once as connections; more are just closed."""
        if self._refusing >= self._limits.max_connections:
            return
        self._refusing += 1
        try:
            with trio.move_on_after(LINGER_S):
                await stream.receive_some(MAX_HEAD)
                await stream.send_all(_overloaded())
                await stream.send_eof()
                while await stream.receive_some(MAX_HEAD):
                    pass
        finally:
            self._refusing -= 1


def _behind(listener: socket) -> Iterator[trio.SocketStream]:
    """Who else has connected. trio accepts one for each turn of its loop: on a busy one the rest would wait
    in the kernel's queue for seconds, before they could even be refused. An error is left to the next turn.
    """
    with suppress(OSError):
        for _ in range(_AT_ONCE):
            accepted, _address = listener.accept()
            yield trio.SocketStream(trio.socket.from_stdlib_socket(accepted))


def _overloaded() -> bytes:
    body, headers = problem(503, "", "all connections are in use and nothing was accepted: send it again")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines += ["retry-after: 5", f"content-length: {len(body)}", "connection: close"]
    return "\r\n".join(["HTTP/1.1 503 Service Unavailable", *lines, "", ""]).encode("ascii") + body
