"""A loopback server that answers every request alike and keeps what arrived."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import httptools

from standins.server import Request


class Wire(NamedTuple):
    """One request. Header names are lower-cased and sorted: their case and order mean nothing (RFC 9110)."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Reply(NamedTuple):
    """`headers` are whole lines, each with its line end."""

    body: bytes
    status: int = 200
    reason: str = "OK"
    content_type: str = "application/json"
    headers: str = ""

    def encode(self) -> bytes:
        head = (
            f"HTTP/1.1 {self.status} {self.reason}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n{self.headers}\r\n"
        )
        return head.encode() + self.body


@dataclass
class Recorder:
    """It serves both sides, so it runs in threads and on neither's loop. `reply` answers whatever comes."""

    url: str
    reply: Reply = field(default_factory=lambda: Reply(b"{}"))
    requests: list[Wire] = field(default_factory=list)

    def take(self) -> list[Wire]:
        """What arrived since the last time, sorted: gathered requests may arrive in any order."""
        taken, self.requests = sorted(self.requests), []
        return taken

    def serve(self, connection: socket.socket) -> None:
        while (request := _receive(connection)) is not None:
            self.requests.append(_wire(request))
            connection.sendall(self.reply.encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def recording() -> Iterator[Recorder]:
    """A recorder on a free port of the loopback interface."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            recorder.serve(self.request)

    with _Server(("127.0.0.1", 0), Handler) as server:
        recorder = Recorder(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield recorder
        finally:
            server.shutdown()
            thread.join()


def _receive(connection: socket.socket) -> Request | None:
    """The next request; None when the client has closed."""
    request = Request()
    parser = httptools.HttpRequestParser(request)
    while not request.complete:
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            return None
        if not data:
            return None
        parser.feed_data(data)
    request.method = parser.get_method().decode()
    return request


def _wire(request: Request) -> Wire:
    kept = sorted(one for one in request.headers if not _names_the_library(*one))
    return Wire(request.method, request.target, tuple(kept), request.body)


def _names_the_library(name: str, value: str) -> bool:
    return name == "user-agent" and (value == "python-ccxt" or "aiohttp" in value)
