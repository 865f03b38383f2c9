"""A local exchange server that can misbehave: sockets, faults, control routes and the log of requests.

What an exchange says lives in its own module, which answers one request at a time. In a test:
`async with BybitStandIn() as exchange: ... exchange.url`. As a process: `python -m standins.bybit --port 0`
prints its address and is steered through `POST /_control/...`: fault, latency, skew, mark, depth, fill; and
answers executions, positions, orders, counts, requests.
"""

import argparse
import json
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl

import httptools
import trio

from standins.book import Book, Refused

KEY = "stand-in-key-0123456789"
SECRET = "stand-in-secret-0123456789"
PASSPHRASE = "stand-in-passphrase"
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
            418: "I'm a teapot", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
            503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip
_HTML = b"<html><body>Just a moment...</body></html>"


@dataclass
class Fault:
    """What happens to the next `count` requests whose "METHOD /path" begins with `route`.

    `route`: empty means every request that places an order.
    `kind`: reset, close, hang, empty, html, cut, garbage, status, redirect, limit (too many requests, in the
    exchange's words), ban (so many that the address is shut out).
    `executed`: whether the request is carried out first. `seconds`: the Retry-After.
    """

    kind: str
    route: str = ""
    executed: bool = False
    count: int = 1
    status: int = 503
    seconds: float = 0.0


@dataclass
class Request:
    method: str = ""
    target: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def on_url(self, url: bytes) -> None:
        self.target += url.decode("latin1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin1").lower(), value.decode("latin1")))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The parameters of each order in it: a JSON list holds several."""
        query = dict(parse_qsl(self.query))
        if not self.body.startswith((b"{", b"[")):
            return [query | dict(parse_qsl(self.body.decode()))]
        given = json.loads(self.body)
        return [query | one for one in (given if isinstance(given, list) else [given])]

    @property
    def params(self) -> dict[str, Any]:
        """Of the query and of the body, whether form or JSON."""
        return self.rows[0]


@dataclass
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json;charset=UTF-8"
    headers: str = ""

    def head(self) -> bytes:
        first = f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'X')}"
        lines = f"{first}\r\nContent-Type: {self.content_type}\r\n"
        return f"{lines}Content-Length: {len(self.body)}\r\nServer: nginx\r\n{self.headers}\r\n".encode()


def json_answer(value: Any, status: int = 200, headers: str = "") -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":")).encode(), headers=headers)


class Said(Exception):
    """An answer that ends a request early."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


class StandIn:
    """One server with one account; `clock` gives its time in seconds."""

    placing: ClassVar[tuple[str, ...]]  # the routes by which orders are placed

    def __init__(self, *, book: Book | None = None, clock: Callable[[], float] = time.time) -> None:
        self.book = book or self.make_book()
        self.clock = clock
        self.skew = 0.0  # seconds that its clock is ahead
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.latency = 0.0
        self.connections = 0
        self.url = ""

    @staticmethod
    def make_book() -> Book:
        raise NotImplementedError

    def reply(self, request: Request) -> Answer:
        """Carry out a request. Raises Refused, or Said."""
        raise NotImplementedError

    def refusal(self, request: Request, refused: Refused) -> Answer:
        """The book's refusal in the exchange's own code."""
        raise NotImplementedError

    def too_many(self, fault: Fault) -> Answer:
        """What the exchange says to too many requests; `fault` is of kind limit or ban."""
        raise NotImplementedError

    def order_rows(self) -> list[dict[str, Any]]:
        """Every order in the exchange's own words."""
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        try:
            return self.reply(request)
        except Said as said:
            return said.answer
        except Refused as refused:
            return self.refusal(request, refused)

    @property
    def counts(self) -> Counter[str]:
        """Requests received, by "METHOD /path"."""
        return Counter(one.route for one in self.requests)

    @property
    def placements(self) -> list[Request]:
        return [one for one in self.requests if one.route in self.placing]

    @property
    def now(self) -> int:
        """Epoch milliseconds."""
        return int((self.clock() + self.skew) * 1000)

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[Self]:
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        self.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            yield self
            nursery.cancel_scope.cancel()

    async def __aenter__(self) -> Self:
        self._running = self.running()
        return await self._running.__aenter__()

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._running.__aexit__(*error)

    # --- the wire

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            async with stream:
                while (request := await _read(stream)) is not None:
                    await self._respond(stream, request)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away, or a fault closed the connection

    async def _respond(self, stream: trio.SocketStream, request: Request) -> None:
        if request.path.startswith("/_control/"):
            await self._send(stream, self._control(request))
            return
        self.requests.append(request)
        fault = self._fault(request.route)
        if self.latency:
            await trio.sleep(self.latency)
        answer = self.answer(request) if fault is None or fault.executed else Answer(200, b"{}")
        if fault is None:
            await self._send(stream, answer)
        else:
            await self._misbehave(stream, request, fault, answer)

    @staticmethod
    async def _send(stream: trio.SocketStream, answer: Answer) -> None:
        await stream.send_all(answer.head() + answer.body)

    def _fault(self, route: str) -> Fault | None:
        for fault in self.faults:
            hit = route.startswith(fault.route) if fault.route else route in self.placing
            if fault.count > 0 and hit:
                fault.count -= 1
                return fault
        return None

    async def _misbehave(
        self, stream: trio.SocketStream, request: Request, fault: Fault, answer: Answer
    ) -> None:
        if (instead := self._instead(fault, request)) is not None:
            await self._send(stream, instead)
            return
        match fault.kind:
            case "reset":
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                stream.socket.close()
                raise trio.ClosedResourceError
            case "hang":
                while await stream.receive_some():
                    pass
            case "cut":
                await stream.send_all(answer.head() + answer.body[: len(answer.body) // 2])
            case "garbage":
                await stream.send_all(b"NOT HTTP AT ALL\r\n\r\n")
            case "close":
                pass
            case _:
                raise ValueError(f"no fault {fault.kind!r}")
        await stream.aclose()

    def _instead(self, fault: Fault, request: Request) -> Answer | None:
        """The wrong answer of a fault that answers at all."""
        match fault.kind:
            case "empty":
                return Answer(200, b"")
            case "html":
                return Answer(200, _HTML, "text/html")
            case "status":
                return Answer(fault.status, _HTML, "text/html")
            case "redirect":
                return Answer(307, b"", headers=f"Location: {self.url}{request.target}\r\n")
            case "limit" | "ban":
                return self.too_many(fault)
        return None

    # --- for tests in another process

    def _control(self, request: Request) -> Answer:
        body = json.loads(request.body or b"{}")
        try:
            return json_answer(self._controlled(request.path.removeprefix("/_control/"), body))
        except (Refused, KeyError, TypeError) as error:
            return json_answer({"error": repr(error)}, 400)

    def _controlled(self, name: str, body: dict[str, Any]) -> Any:
        match name:
            case "fault":
                self.faults.append(Fault(**body))
            case "latency":
                self.latency = float(body["seconds"])
            case "skew":
                self.skew = float(body["seconds"])
            case "mark":
                self.book.set_mark(body["symbol"], Decimal(str(body["price"])), self.now)
            case "depth":
                self.book.depth[body["symbol"]] = Decimal(str(body["quantity"]))
            case "fill":
                order = self.book.any_order(str(body["order"]))
                price = Decimal(str(body.get("price", order.price)))
                self.book.fill(order, Decimal(str(body["quantity"])), price, self.now)
            case "executions":
                return self.book.executions
            case "positions":
                return [[name, side, str(one.amount)] for (name, side), one in self.book.positions.items()]
            case "orders":
                return self.order_rows()
            case "counts":
                return self.counts
            case "requests":
                return [[one.method, one.target, one.headers, one.body.decode()] for one in self.requests]
            case unknown:
                raise KeyError(f"no control {unknown!r}")
        return {}


async def _read(stream: trio.SocketStream) -> Request | None:
    request = Request()
    parser = httptools.HttpRequestParser(request)
    while not request.complete:
        data = await stream.receive_some(65536)
        if not data:
            return None
        parser.feed_data(data)
    request.method = parser.get_method().decode()
    return request


def main(kind: type[StandIn]) -> None:
    """Serve until killed; the address is the first line on stdout."""
    options = argparse.ArgumentParser(description=kind.__doc__)
    options.add_argument("--port", type=int, default=0)
    port = options.parse_args().port

    async def serve() -> None:
        async with kind().running(port) as exchange:
            sys.stdout.write(f"{exchange.url}\n")
            sys.stdout.flush()
            await trio.sleep_forever()

    trio.run(serve)
