"""A flood for the door of the real daemon."""

import re
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import trio

from fuzz.bodies import SECRET_INSIDE, SIGNED, Bodies
from fuzz.hostile import Leave, Script, script
from process import SECRET

_TOGETHER = 16  # bodies in one write, pipelined
_SENDERS = 8
_PATIENCE_S = 20.0  # for the answers to one write; over the daemon's own deadlines
_WAIT_S = 0.5  # how long a hostile client waits for an answer
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) .*?\r\n\r\n", re.DOTALL)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Flood:
    """Counts as it goes. `address` is the door's."""

    address: tuple[str, int]
    seed: int
    strangers: bool = False  # who know no secret and share the good alerts' address; else from many
    bodies: int = 0
    connections: int = 0
    statuses: Counter[str] = field(default_factory=Counter)  # `none`: hung up on, or nobody waited

    async def send_bodies(self, count: int) -> None:
        """In all, over a few connections that stay open."""
        await self._share(self._bodies, count, _SENDERS)

    async def connect(self, count: int, together: int = 64) -> None:
        """Hostile connections, that many at once."""
        await self._share(self._hostile, count, together)

    async def _share(self, work: Callable[..., object], count: int, workers: int) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(workers):
                share = count // workers + (number < count % workers)
                nursery.start_soon(work, share, number)  # type: ignore[arg-type]

    async def _open(self, number: int) -> trio.SocketStream:
        sock = trio.socket.socket()
        if not self.strangers:
            await sock.bind((f"127.0.0.{2 + number % 250}", 0))
        try:
            await sock.connect(self.address)
        except BaseException:
            sock.close()
            raise
        return trio.SocketStream(sock)

    async def _bodies(self, count: int, worker: int) -> None:
        known = (0.0, 0.0) if self.strangers else (SIGNED, SECRET_INSIDE)
        bodies = Bodies(f"{self.seed}-{worker}", SECRET, *known)
        stream: trio.SocketStream | None = None
        while count > 0:
            if stream is None:
                stream = await self._open(worker)
            wanted = min(count, _TOGETHER)
            batch = b"".join(_post(*bodies.next()) for _ in range(wanted))
            count -= wanted
            self.bodies += wanted
            if await self._converse(stream, batch, wanted) < wanted:
                await stream.aclose()
                stream = None
        if stream is not None:
            await stream.aclose()

    async def _converse(self, stream: trio.SocketStream, batch: bytes, wanted: int) -> int:
        """How many answers came. Those behind a body that is too large are lost with its connection."""
        answered, seen = 0, b""
        with suppress(trio.BrokenResourceError), trio.move_on_after(_PATIENCE_S):
            await stream.send_all(batch)
            while answered < wanted and (part := await stream.receive_some()):
                seen, statuses = _answers(seen + part)
                self.statuses.update(statuses)
                answered += len(statuses)
        if answered < wanted:
            self.statuses["none"] += wanted - answered
        return answered

    async def _hostile(self, count: int, worker: int) -> None:
        random = Random(f"{self.seed}-{worker}")
        for _ in range(count):
            self.connections += 1
            with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                stream = await self._open(random.randrange(1000))
                async with stream:
                    await self._play(stream, script(random))

    async def _play(self, stream: trio.SocketStream, lines: Script) -> None:
        if lines.leave is Leave.RESET:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        seen = b""
        with suppress(trio.BrokenResourceError), trio.move_on_after(5):
            for part in lines.parts:
                if part:
                    await stream.send_all(part)
                await trio.sleep(lines.pause_s)
            if lines.leave is Leave.HALF:
                await stream.send_eof()
        if lines.leave in (Leave.WAIT, Leave.HALF):
            with suppress(trio.BrokenResourceError), trio.move_on_after(_WAIT_S):
                while part := await stream.receive_some():
                    seen += part
        self.statuses[seen[9:12].decode("latin-1") if seen else "none"] += 1


def _post(body: bytes, headers: list[tuple[str, str]]) -> bytes:
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers).encode("latin-1")
    return b"POST /webhook HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s" % (lines, len(body), body)


def _answers(data: bytes) -> tuple[bytes, list[str]]:
    """What is left, and the statuses of the whole answers before it."""
    statuses = []
    while head := _HEAD.match(data):
        length = _LENGTH.search(head[0])
        end = head.end() + (int(length[1]) if length else 0)
        if len(data) < end:
            break
        statuses.append(head[1].decode())
        data = data[end:]
    return data, statuses
