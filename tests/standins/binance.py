"""A local Binance spot server that checks keys, signatures and time, keeps an account, and can misbehave.

In a test: `async with BinanceStandIn() as exchange: ... exchange.url`. As a process:
`python -m standins.binance --port 0`, steered through the `/_control` routes, prints its address.
"""

import argparse
import hashlib
import hmac
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
from typing import Any
from urllib.parse import parse_qsl

import httptools
import trio

from standins.binance_book import Book, BookError, BookOrder

KEY = "stand-in-key-0123456789"
SECRET = "stand-in-secret-0123456789"
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 418: "I'm a teapot",
            429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
            503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip


@dataclass
class Fault:
    """What happens to the next `count` requests whose "METHOD /path" begins with `route`.

    `kind`: reset, close, hang, empty, html, cut, garbage, status, redirect, limit (429), ban (418).
    `executed`: whether the request is carried out first. `seconds`: latency, or the Retry-After.
    """

    kind: str
    route: str = "POST /api/v3/order"
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
    def payload(self) -> str:
        """What is signed, with its signature."""
        return self.target.partition("?")[2] + self.body.decode()

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(self.payload))


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


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":")).encode())


class BinanceStandIn:
    """One server with one account; `clock` gives its time in seconds."""

    def __init__(self, *, book: Book | None = None, clock: Callable[[], float] = time.time) -> None:
        self.book = book or Book()
        self.clock = clock
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.latency = 0.0
        self.connections = 0
        self.url = ""

    @property
    def counts(self) -> Counter[str]:
        """Requests received, by "METHOD /path"."""
        return Counter(f"{one.method} {one.path}" for one in self.requests)

    @property
    def placements(self) -> list[Request]:
        return [one for one in self.requests if (one.method, one.path) == ("POST", "/api/v3/order")]

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["BinanceStandIn"]:
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        self.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            yield self
            nursery.cancel_scope.cancel()

    async def __aenter__(self) -> "BinanceStandIn":
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
        fault = self._fault(f"{request.method} {request.path}")
        if self.latency:
            await trio.sleep(self.latency)
        answer = self.answer(request) if fault is None or fault.executed else None
        if fault is None:
            assert answer is not None
            await self._send(stream, answer)
        else:
            await self._misbehave(stream, fault, answer or Answer(200, b"{}"))

    @staticmethod
    async def _send(stream: trio.SocketStream, answer: Answer) -> None:
        await stream.send_all(answer.head() + answer.body)

    def _fault(self, route: str) -> Fault | None:
        for fault in self.faults:
            if fault.count > 0 and route.startswith(fault.route):
                fault.count -= 1
                return fault
        return None

    async def _misbehave(self, stream: trio.SocketStream, fault: Fault, answer: Answer) -> None:
        if (instead := self._instead(fault)) is not None:
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

    def _instead(self, fault: Fault) -> Answer | None:
        """The wrong answer of a fault that answers at all."""
        html = b"<html><body>Just a moment...</body></html>"
        refusal = (
            b'{"code":-1003,"msg":"Too many requests; current limit is 6000 request weight per 1 MINUTE."}'
        )
        wait = f"Retry-After: {fault.seconds:.0f}\r\n" if fault.seconds else ""
        answers = {
            "empty": Answer(200, b""),
            "html": Answer(200, html, "text/html"),
            "status": Answer(fault.status, html, "text/html"),
            "redirect": Answer(307, b"", headers=f"Location: {self.url}/api/v3/order\r\n"),
            "limit": Answer(429, refusal, headers=wait),
            "ban": Answer(418, refusal, headers=wait),
        }
        return answers.get(fault.kind)

    # --- the exchange

    def answer(self, request: Request) -> Answer:
        try:
            public = self._public(request)
            if public is not None:
                return _json(public)
            self._authenticate(request)
            return _json(self._private(request))
        except BookError as error:
            return _json({"code": error.code, "msg": error.message}, error.status)

    def _public(self, request: Request) -> Any:
        params = request.params
        match (request.method, request.path):
            case ("GET", "/api/v3/ping"):
                return {}
            case ("GET", "/api/v3/time"):
                return {"serverTime": self._now()}
            case ("GET", "/api/v3/exchangeInfo"):
                return _exchange_info(self.book, self._now())
            case ("GET", "/api/v3/ticker/24hr"):
                return _ticker(self.book, params, self._now())
            case ("GET", "/api/v3/ticker/price"):
                symbol = self.book.symbol(params.get("symbol"))
                return {"symbol": symbol.name, "price": str(self.book.marks[symbol.name])}
            case ("GET", "/api/v3/ticker/bookTicker"):
                symbol = self.book.symbol(params.get("symbol"))
                price = str(self.book.marks[symbol.name])
                return {
                    "symbol": symbol.name,
                    "bidPrice": price,
                    "bidQty": "1",
                    "askPrice": price,
                    "askQty": "1",
                }
            case ("GET", "/api/v3/klines"):
                return _klines(self.book, params, self._now())
        return None

    def _authenticate(self, request: Request) -> None:
        if dict(request.headers).get("x-mbx-apikey") != KEY:
            raise BookError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        payload, _, signature = request.payload.rpartition("&signature=")
        wanted = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, wanted):
            raise BookError(-1022, "Signature for this request is not valid.")
        params, now = request.params, self._now()
        sent, window = int(params.get("timestamp", "0")), int(params.get("recvWindow", "5000"))
        if sent > now + 1000:
            raise BookError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - sent > window:
            raise BookError(-1021, "Timestamp for this request is outside of the recvWindow.")

    def _private(self, request: Request) -> Any:
        book, params, now = self.book, request.params, self._now()
        match (request.method, request.path):
            case ("POST", "/api/v3/order"):
                return book.place(params, now).full()
            case ("POST", "/api/v3/order/test"):
                return {}
            case ("GET", "/api/v3/order"):
                return book.find(params, -2013, "Order does not exist.").row()
            case ("DELETE", "/api/v3/order"):
                order = book.find(params, -2011, "Unknown order sent.")
                if not order.open:
                    raise BookError(-2011, "Unknown order sent.")
                book.cancel(order, now)
                return order.row() | {"origClientOrderId": order.client_id, "clientOrderId": f"c-{order.id}"}
            case ("GET", "/api/v3/openOrders"):
                return [one.row() for one in self._orders(params) if one.open]
            case ("GET", "/api/v3/allOrders"):
                since = int(params.get("startTime", "0"))
                return [one.row() for one in self._orders(params) if one.time >= since]
            case ("GET", "/api/v3/myTrades"):
                return self._trades(params)
            case ("GET", "/api/v3/account"):
                return _account(book, now)
            case ("GET", "/sapi/v1/account/apiRestrictions"):
                return {"ipRestrict": True, "enableReading": True, "enableWithdrawals": False,
                        "enableSpotAndMarginTrading": True}  # fmt: skip
        raise BookError(-1100, f"no such endpoint: {request.method} {request.path}", 404)

    def _orders(self, params: dict[str, str]) -> list[BookOrder]:
        name = params.get("symbol")
        return [one for one in self.book.orders if name is None or one.symbol.name == name]

    def _trades(self, params: dict[str, str]) -> list[dict[str, Any]]:
        order, since = params.get("orderId"), int(params.get("startTime", "0"))
        return [
            one
            for one in self.book.trades
            if one["symbol"] == params.get("symbol")
            and (order is None or str(one["orderId"]) == order)
            and one["time"] >= since
        ]

    def _now(self) -> int:
        return int(self.clock() * 1000)

    # --- for tests in another process

    def _control(self, request: Request) -> Answer:
        body = json.loads(request.body or b"{}")
        match request.path.removeprefix("/_control/"):
            case "fault":
                self.faults.append(Fault(**body))
            case "latency":
                self.latency = float(body["seconds"])
            case "mark":
                self.book.set_mark(body["symbol"], Decimal(str(body["price"])), self._now())
            case "fill":
                order = self.book.find({k: str(v) for k, v in body.items()}, -2013, "Order does not exist.")
                quantity = Decimal(str(body["quantity"]))
                self.book.fill(order, quantity, Decimal(str(body.get("price", order.price))), self._now())
            case "executions":
                return _json(self.book.executions)
            case "orders":
                return _json([one.row() for one in self.book.orders])
            case "counts":
                return _json(self.counts)
            case "requests":
                return _json(
                    [[one.method, one.target, one.headers, one.body.decode()] for one in self.requests]
                )
            case unknown:
                return _json({"error": f"no control {unknown!r}"}, 404)
        return _json({})


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


def _exchange_info(book: Book, now: int) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "serverTime": now,
        "rateLimits": [],
        "symbols": [
            {
                "symbol": one.name,
                "status": "TRADING",
                "baseAsset": one.base,
                "baseAssetPrecision": 8,
                "quoteAsset": one.quote,
                "quotePrecision": 8,
                "quoteAssetPrecision": 8,
                "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT",
                               "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"],
                "isSpotTradingAllowed": True,
                "isMarginTradingAllowed": False,
                "filters": [
                    {"filterType": "PRICE_FILTER", "minPrice": str(one.tick), "maxPrice": "1000000.00",
                     "tickSize": str(one.tick)},
                    {"filterType": "LOT_SIZE", "minQty": str(one.step), "maxQty": "9000.00000000",
                     "stepSize": str(one.step)},
                    {"filterType": "NOTIONAL", "minNotional": str(one.min_notional), "applyMinToMarket": True,
                     "maxNotional": "9000000.00", "applyMaxToMarket": False, "avgPriceMins": 5},
                ],
                "permissions": [],
                "permissionSets": [["SPOT"]],
            }
            for one in book.symbols.values()
        ],
    }  # fmt: skip


def _ticker(book: Book, params: dict[str, str], now: int) -> dict[str, Any]:
    symbol = book.symbol(params.get("symbol"))
    price = str(book.marks[symbol.name])
    prices = dict.fromkeys(
        ("weightedAvgPrice", "prevClosePrice", "lastPrice", "bidPrice", "askPrice", "openPrice", "highPrice",
         "lowPrice"),
        price,
    )  # fmt: skip
    return {
        **prices,
        "symbol": symbol.name,
        "priceChange": "0",
        "priceChangePercent": "0",
        "volume": "1",
        "quoteVolume": price,
        "openTime": now - 86_400_000,
        "closeTime": now,
        "count": 1,
    }


def _klines(book: Book, params: dict[str, str], now: int) -> list[list[Any]]:
    """Flat candles at the mark, the last one still open."""
    price = str(book.marks[book.symbol(params.get("symbol")).name])
    unit, text = {"m": 60, "h": 3600, "d": 86400}, params.get("interval", "1h")
    step = int(text[:-1]) * unit[text[-1]] * 1000
    first = now // step - int(params.get("limit", "500")) + 1
    return [
        [index * step, price, price, price, price, "1", (index + 1) * step - 1, price, 1, "0", "0", "0"]
        for index in range(first, now // step + 1)
    ]


def _account(book: Book, now: int) -> dict[str, Any]:
    assets = sorted(book.free.keys() | book.locked.keys())
    zero = Decimal(0)
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": True,
        "updateTime": now,
        "accountType": "SPOT",
        "balances": [
            {
                "asset": one,
                "free": f"{book.free.get(one, zero):.8f}",
                "locked": f"{book.locked.get(one, zero):.8f}",
            }
            for one in assets
        ],
        "permissions": ["SPOT"],
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=0)
    port = options.parse_args().port

    async def serve() -> None:
        async with BinanceStandIn().running(port) as exchange:
            sys.stdout.write(f"{exchange.url}\n")
            sys.stdout.flush()
            await trio.sleep_forever()

    trio.run(serve)


if __name__ == "__main__":
    main()
