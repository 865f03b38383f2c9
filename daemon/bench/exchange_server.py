"""A local Binance spot that is much faster than what is measured against it.

It executes every market order at once at one price, checks no signature and remembers only the balance.
`python -m fks.bench.exchange_server MARKETS` tells its address and serves until its stdin closes.
"""

import asyncio
import itertools
import json
import sys
import time
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from fks.bench.usage import tell

PRICE = Decimal(50_000)
CASH = Decimal(10) ** 12  # no bench buys that much


class Book:
    """The account: what was bought, and the ids handed out."""

    def __init__(self, markets: int) -> None:
        self.bought = Decimal(0)
        self.ids = itertools.count(28_000_000)
        self.exchange_info = _encode(_exchange_info(markets))

    def answer(self, method: str, path: str, params: dict[str, str]) -> tuple[int, bytes]:
        """Status and JSON."""
        match method, path:
            case "POST", "/api/v3/order":
                return 200, _encode(self._execute(params))
            case "GET", "/api/v3/exchangeInfo":
                return 200, self.exchange_info
            case "GET", "/api/v3/time":
                return 200, _encode({"serverTime": _now()})
            case "GET", "/api/v3/account":
                return 200, _encode(self._account())
            case "GET", "/api/v3/openOrders":
                return 200, b"[]"
            case "GET", "/api/v3/ticker/24hr":
                prices = dict.fromkeys(("lastPrice", "bidPrice", "askPrice", "openPrice"), str(PRICE))
                return 200, _encode({"symbol": params["symbol"], "closeTime": _now(), **prices})
        return 404, _encode({"code": -1100, "msg": f"the bench's exchange has no {method} {path}"})

    def _execute(self, params: dict[str, str]) -> dict[str, Any]:
        number, quantity = next(self.ids), Decimal(params["quantity"])
        self.bought += quantity if params["side"] == "BUY" else -quantity
        fill = {"price": str(PRICE), "qty": str(quantity), "commission": "0", "commissionAsset": "BNB"}
        return {
            "symbol": params["symbol"],
            "orderId": number,
            "orderListId": -1,
            "clientOrderId": params["newClientOrderId"],
            "transactTime": _now(),
            "price": "0.00000000",
            "origQty": str(quantity),
            "executedQty": str(quantity),
            "cummulativeQuoteQty": str(quantity * PRICE),
            "status": "FILLED",
            "timeInForce": "GTC",
            "type": params["type"],
            "side": params["side"],
            "workingTime": _now(),
            "selfTradePreventionMode": "NONE",
            "fills": [{**fill, "tradeId": number}],
        }

    def _account(self) -> dict[str, Any]:
        held = {"USDT": CASH - self.bought * PRICE, "BTC": self.bought}
        balances = [{"asset": name, "free": str(free), "locked": "0"} for name, free in held.items()]
        return {"accountType": "SPOT", "canTrade": True, "updateTime": _now(), "balances": balances}


class Connection(asyncio.Protocol):
    """One client. Requests may come in parts, but not pipelined: neither client here does that."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._buffer = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return
        self._buffer = b""
        method, target, _ = head.split(b" ", 2)
        path, _, query = target.decode().partition("?")
        params = dict(parse_qsl(query or body.decode()))
        status, answer = self._book.answer(method.decode(), path, params)
        reply = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        self._transport.write(reply % (status, len(answer), answer))


def _content_length(head: bytes) -> int:
    _, name, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if name else 0


def _now() -> int:
    return time.time_ns() // 1_000_000


def _encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _exchange_info(markets: int) -> dict[str, Any]:
    """BTC/USDT and invented coins: as many symbols, and as much text for each, as the real list has."""
    bases = ["BTC", *(f"COIN{number}" for number in range(1, markets))]
    return {"timezone": "UTC", "serverTime": _now(), "rateLimits": [], "symbols": [_symbol(b) for b in bases]}


def _symbol(base: str) -> dict[str, Any]:
    return {
        "symbol": f"{base}USDT",
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT",
                       "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001"},
            {"filterType": "ICEBERG_PARTS", "limit": 10},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.0", "maxQty": "119.7", "stepSize": "0.0"},
            {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000,
             "minTrailingBelowDelta": 10, "maxTrailingBelowDelta": 2000},
            {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2",
             "askMultiplierUp": "5", "askMultiplierDown": "0.2", "avgPriceMins": 5},
            {"filterType": "NOTIONAL", "minNotional": "5.0", "applyMinToMarket": True,
             "maxNotional": "9000000.0", "applyMaxToMarket": False, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        ],
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN", *(f"TRD_GRP_{number:03}" for number in range(4, 40))]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }  # fmt: skip


async def serve(markets: int) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    server = await loop.create_server(partial(Connection, Book(markets)), "127.0.0.1", 0, backlog=1024)
    loop.add_reader(sys.stdin, ended.set)  # nobody writes to it: readable means closed
    tell(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
