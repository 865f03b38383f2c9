"""A TCP connection for requests and answers, under the HTTP client and its TLS."""

import select
import socket

import trio

_CHUNK = 65536


class TcpStream(trio.abc.Stream):
    """Like `trio.SocketStream`, but for a conversation in which one side speaks at a time.

    Sending is no checkpoint when the kernel takes it all, as it does with a request: the wait for the
    answer is one. Receiving waits first, because the answer is not there yet. trio's own stream, which
    cannot know that, goes through the scheduler once more and tries once in vain: 4 % of an order that
    is answered after 2 ms, nothing where the answer is there at once.
    Closing is synchronous, so that it also happens at once in a cancelled task.
    """

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(connected.fileno(), select.POLLIN)

    @property
    def readable(self) -> bool:
        """Whether there is something to receive, or the connection's end."""
        return bool(self._poll.poll(0))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Raises trio.BrokenResourceError. Cancelled before it sends, it sends nothing."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        sent = 0
        while sent < len(data):
            try:
                sent += self._socket.send(data[sent:] if sent else data)
            except BlockingIOError:
                await self.wait_send_all_might_not_block()
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        self._check_open()
        try:
            await trio.lowlevel.wait_writable(self._socket)
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Empty at the end. Raises trio.BrokenResourceError."""
        self._check_open()
        while True:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                return self._socket.recv(max_bytes or _CHUNK)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    def _check_open(self) -> None:
        if self._socket.fileno() == -1:
            raise trio.ClosedResourceError("the connection was closed on this side")

    def close(self) -> None:
        """Whoever waits for it gets trio.ClosedResourceError. A second time it does nothing."""
        if self._socket.fileno() != -1:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


async def open_tcp(host: str, port: int) -> TcpStream:
    """Raises OSError, of which a `socket.gaierror` is a failed name."""
    stream = await trio.open_tcp_stream(host, port)
    return TcpStream(socket.socket(fileno=stream.socket.detach()))
