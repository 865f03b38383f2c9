"""A small keep-alive HTTP/1.1 client on trio that knows whether a byte of a request may have been sent.

That knowledge is why it exists: "connection refused" and "connection reset" are one class of error
elsewhere, and for an order they are the difference between "send it again" and "ask for it".
Redirects are never followed: a 307 would post a signed order a second time, to somebody else.
"""

import ssl
import zlib
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import certifi
import httptools
import trio

from fks.venues.http_deadlines import Deadlines
from fks.venues.http_proxy import Proxy, ProxyRefused, tunnel
from fks.venues.http_socket import TcpStream, open_tcp

Kind = Literal["dns", "connect", "proxy", "tls", "timeout", "closed", "protocol", "too_large"]

MAX_BODY = 64 * 1024 * 1024  # the largest market list known is about 20 MB
IDLE_S = 45.0  # an idle connection that is older may be closed at the other end already
_CHUNK = 65536


class TransportError(Exception):
    """No usable answer. `maybe_sent` is False only if provably not a byte of the request was written."""

    def __init__(self, kind: Kind, detail: str, *, maybe_sent: bool) -> None:
        super().__init__(f"{kind}: {detail} (request {'may have been' if maybe_sent else 'was not'} sent)")
        self.kind = kind
        self.maybe_sent = maybe_sent


class Response(NamedTuple):
    """Header names are in canonical case (`Retry-After`); repeated headers are joined by a comma."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int


@dataclass(slots=True)
class _Connection:
    """`stream` is what to speak through: `tcp`, or the TLS on it. Closing the one closes the other."""

    stream: trio.abc.Stream
    tcp: TcpStream
    idle_since: float = 0.0
    requests: int = 0


@lru_cache(256)
def _canonical(name: bytes) -> str:
    return "-".join(word.capitalize() for word in name.decode("latin1").split("-"))


@dataclass(slots=True)
class _Answer:
    """What the parser calls back into; `limit` bounds the body in bytes."""

    limit: int
    status: int = 0
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    complete: bool = False
    keep_alive: bool = False
    parser: httptools.HttpResponseParser = field(init=False)

    def __post_init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.keep_alive = False  # bytes after a complete answer: nobody asked for them

    def on_status(self, text: bytes) -> None:
        if self.complete:
            return
        self.reason += text.decode("latin1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.complete:
            return
        key = _canonical(name)
        text = value.decode("latin1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self.chunks.append(data)

    def on_message_complete(self) -> None:
        if self.complete:
            return
        self.status = self.parser.get_status_code()
        if self.status < 200:  # 100 Continue and its like announce the real answer
            self.reason, self.headers = "", {}
            return
        self.complete = True
        self.keep_alive = self.parser.should_keep_alive()
        del self.parser  # which holds us: garbage in a cycle waits for the collector, 2 % of an order

    def feed(self, data: bytes | bytearray, total: int) -> None:
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise TransportError("protocol", str(error), maybe_sent=True) from error
            self.keep_alive = False
        if total > self.limit + _CHUNK:
            raise TransportError("too_large", f"answer exceeds {self.limit} bytes", maybe_sent=True)

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body is delimited by the close: no length, not chunked."""
        return bool(self.headers) and not self.headers.keys() & {"Content-Length", "Transfer-Encoding"}


class HttpClient:
    """Connections are pooled per origin. One client belongs to one trio run.

    `max_connections`: at most so many requests at once, others wait (within their own timeout).
    `connect_timeout`: seconds for name, TCP, proxy and TLS together.
    `proxy`: every connection goes through it.
    """

    def __init__(
        self,
        *,
        max_connections: int = 64,
        connect_timeout: float = 10.0,
        max_body: int = MAX_BODY,
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.opened = 0
        self._tls = tls
        self._proxy = proxy
        self._idle: defaultdict[Origin, deque[_Connection]] = defaultdict(deque)
        self._slots = trio.Semaphore(max_connections)
        self._connect_timeout = connect_timeout
        self._max_body = max_body
        self._deadlines = Deadlines()
        self._closed = False

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Response:
        """Send one request once and read its answer, all within `timeout` seconds.

        Raises TransportError. When cancelled, the connection is closed at once.
        """
        origin, wire = _serialise(method, url, headers, body)
        due = trio.current_time() + timeout
        await self._slot(due)
        try:
            connection = self._reusable(origin) or await self._new(origin, due)
            return await self._exchange(origin, connection, wire, due)
        finally:
            self._slots.release()

    async def _slot(self, due: float) -> None:
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            with trio.move_on_at(due):
                return await self._slots.acquire()
            detail = "all connections were in use for as long as the request may take"
            raise TransportError("timeout", detail, maybe_sent=False) from None

    async def _exchange(self, origin: Origin, connection: _Connection, wire: bytes, due: float) -> Response:
        answer = _Answer(self._max_body)
        reusable = False
        self._deadlines.set(connection.tcp, due)
        try:
            await connection.stream.send_all(wire)
            await _receive(connection.stream, answer)
            response = Response(
                answer.status, answer.reason, answer.headers, _decoded(answer, self._max_body)
            )
            reusable = answer.keep_alive and not self._closed
            return response
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            if not self._deadlines.clear(connection.tcp):
                raise TransportError("timeout", "no answer in time", maybe_sent=True) from error
            reused = " on a reused connection" if connection.requests else ""
            raise TransportError("closed", f"connection lost{reused}", maybe_sent=True) from error
        finally:
            if self._deadlines.clear(connection.tcp) and reusable:
                connection.requests += 1
                connection.idle_since = trio.current_time()
                self._idle[origin].append(connection)
            else:
                connection.tcp.close()

    def _reusable(self, origin: Origin) -> _Connection | None:
        """Readable while idle means closed, reset or unasked-for data: not to carry another request."""
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            fresh = trio.current_time() - connection.idle_since < IDLE_S
            if fresh and not connection.tcp.readable:
                return connection
            connection.tcp.close()
        return None

    async def _new(self, origin: Origin, due: float) -> _Connection:
        if self._closed:
            raise TransportError("closed", "the client is closed", maybe_sent=False)
        with trio.move_on_at(min(due, trio.current_time() + self._connect_timeout)):
            return await self._connect(origin)
        raise TransportError("timeout", f"cannot connect to {origin.host}:{origin.port}", maybe_sent=False)

    async def _connect(self, origin: Origin) -> _Connection:
        proxy = self._proxy
        tcp = await _tcp(*((proxy.host, proxy.port) if proxy else (origin.host, origin.port)))
        self.opened += 1
        stream: trio.abc.Stream = tcp
        try:
            if proxy is not None:
                stream = await self._tunnel(stream, proxy, origin)
            if origin.scheme == "https":
                stream = await self._secured(stream, origin.host)
        except BaseException:
            tcp.close()
            raise
        return _Connection(stream, tcp)

    async def _tunnel(self, stream: trio.abc.Stream, proxy: Proxy, origin: Origin) -> trio.abc.Stream:
        if proxy.scheme == "https":
            stream = await self._secured(stream, proxy.host)
        try:
            await tunnel(stream, proxy, origin.host, origin.port)
        except (ProxyRefused, trio.BrokenResourceError, OSError) as error:
            detail = f"{proxy.place} did not connect us with {origin.host}:{origin.port}: {error}"
            raise TransportError("proxy", detail, maybe_sent=False) from error
        return stream

    async def _secured(self, stream: trio.abc.Stream, host: str) -> trio.abc.Stream:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=certifi.where())
        secured = trio.SSLStream(stream, self._tls, server_hostname=host, https_compatible=True)
        try:
            await secured.do_handshake()
        except (trio.BrokenResourceError, OSError) as error:
            detail = f"handshake with {host}: {error.__cause__ or error}"
            raise TransportError("tls", detail, maybe_sent=False) from error
        return secured

    async def aclose(self) -> None:
        """Close what is idle; what is under way fails on its own."""
        self._closed = True
        for idle in self._idle.values():
            while idle:
                idle.pop().tcp.close()


async def _tcp(host: str, port: int) -> TcpStream:
    try:
        return await open_tcp(host, port)
    except OSError as error:
        # Of a failed name trio raises gaierror, of failed addresses an OSError that groups them.
        kind: Kind = "dns" if isinstance(error, trio.socket.gaierror) else "connect"
        raise TransportError(kind, f"cannot reach {host}:{port}: {error}", maybe_sent=False) from error


def _serialise(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> tuple[Origin, bytes]:
    address, _, query = url.partition("#")[0].partition("?")
    origin, host, path = _split(address)
    target = f"{path}?{query}" if query else path
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n"
    for name, value in headers.items():
        head += f"{name}: {value}\r\n"
    lines = 2 + len(headers)
    if body is not None or method not in ("GET", "HEAD", "OPTIONS"):
        head += f"Content-Length: {len(body or b'')}\r\n"
        lines += 1
    if head.count("\n") != lines or head.count("\r") != lines:
        raise TransportError("protocol", "line break in the request's head", maybe_sent=False)
    try:
        return origin, f"{head}\r\n".encode("latin1") + (body or b"")
    except UnicodeEncodeError as error:
        raise TransportError("protocol", "request's head is not latin-1", maybe_sent=False) from error


@lru_cache(256)
def _split(address: str) -> tuple[Origin, str, str]:
    """Whom to connect to, the Host header, the path. Addresses repeat: 2 % of an order."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TransportError("protocol", "not an http(s) address", maybe_sent=False)
    origin = Origin(parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    return origin, parts.netloc.rpartition("@")[2], parts.path or "/"


async def _receive(stream: trio.abc.Stream, answer: _Answer) -> None:
    total = 0
    while not answer.complete:
        data = await stream.receive_some(_CHUNK)
        total += len(data)
        if data:
            answer.feed(data, total)
            continue
        if answer.status == 0 and answer.ends_with_connection:
            answer.status = answer.parser.get_status_code()
            return
        when = "inside the answer" if total else "before an answer"
        raise TransportError("closed", f"the server closed {when}", maybe_sent=True)


def _decoded(answer: _Answer, limit: int) -> bytes:
    """The body without its content coding, at most `limit` bytes of it (few can unpack to gigabytes)."""
    body = b"".join(answer.chunks)
    coding = answer.headers.get("Content-Encoding", "").lower()
    if coding in ("", "identity") or not body:
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise TransportError("protocol", f"unknown content coding {coding[:20]!r}", maybe_sent=True)
    # 47: gzip or zlib, by its header; -15: raw deflate, which some servers send.
    zlib_header = len(body) > 1 and (body[0] << 8 | body[1]) % 31 == 0
    bits = 47 if coding != "deflate" or zlib_header else -15
    unpacker = zlib.decompressobj(bits)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise TransportError("protocol", f"cannot unpack the answer: {error}", maybe_sent=True) from error
    if len(plain) > limit:
        raise TransportError("too_large", f"answer unpacks to over {limit} bytes", maybe_sent=True)
    if not unpacker.eof:
        raise TransportError("closed", "the packed answer is cut off", maybe_sent=True)
    return plain
