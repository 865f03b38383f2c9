"""A local exchange that lists markets as Binance does, and accounts on it."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.venues.ccxt_venue import CcxtVenue
from fks.venues.market_table import Shared
from raw_server import answer, read_request, server
from standins.binance import KEY, SECRET

INFO = "/api/v3/exchangeInfo"


def instrument(base: str, tick: str = "0.01") -> dict[str, Any]:
    """A spot market as Binance describes it."""
    return {
        "symbol": f"{base}USDT", "status": "TRADING", "baseAsset": base, "baseAssetPrecision": 8,
        "quoteAsset": "USDT", "quotePrecision": 8, "quoteAssetPrecision": 8, "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False, "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000.0", "stepSize": "0.001"},
            {"filterType": "NOTIONAL", "minNotional": "5", "maxNotional": "9000000.00"},
        ],
        "permissions": [],
        "permissionSets": [["SPOT", *(f"TRD_GRP_{number:03d}" for number in range(60))]],
    }  # fmt: skip


class Exchange:
    """Lists markets, tells the time, counts what it is asked."""

    def __init__(self, *bases: str) -> None:
        self.asked: Counter[str] = Counter()
        self.down = False
        self.list(*map(instrument, bases))

    def list(self, *instruments: dict[str, Any]) -> None:
        self.body = json.dumps({"rateLimits": [], "symbols": instruments}).encode()

    @property
    def lists_told(self) -> int:
        return self.asked[INFO]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Exchange"]:
        async with server(self._serve) as self.url:
            yield self

    async def _serve(self, stream: trio.SocketStream) -> None:
        while request := await read_request(stream):
            path = request.split()[1].decode().partition("?")[0]
            self.asked[path] += 1
            if self.down:
                return
            await stream.send_all(answer(self.body if path == INFO else b'{"serverTime": 1700000000000}'))


def settings(url: str, **changes: Any) -> AccountSettings:
    keys: dict[str, Any] = {"api_key": Secret(KEY), "api_secret": Secret(SECRET)}
    return AccountSettings(**{"type": "binance", "base_url": url, **keys, **changes})


def venue(exchange: Any, shared: Shared, **changes: Any) -> CcxtVenue:
    own = settings(exchange.url, **changes)
    return CcxtVenue("mine", own, timeout=5.0, retry_attempts=0, retry_delay=0.0, shared=shared)


@asynccontextmanager
async def opened(exchange: Any, shared: Shared, **changes: Any) -> AsyncIterator[CcxtVenue]:
    one = venue(exchange, shared, **changes)
    await one.open()
    try:
        yield one
    finally:
        await one.close()
