"""ccxt's Binance as it comes: on asyncio, over aiohttp."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import ccxt.async_support as ccxt

from fks.bench.venue_client import AMOUNT, KEY, OUT_OF_REACH, SECRET, SYMBOL, Work


class Client:
    """The same market list is asked for as by ours: one request, spot only, no currencies."""

    def __init__(self, url: str) -> None:
        options = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False,
                   "fetchMargins": False}  # fmt: skip
        self._exchange = ccxt.binance(
            {"apiKey": KEY, "secret": SECRET, "tokenBucket": {"tokens": OUT_OF_REACH}, "options": options}
        )
        api = self._exchange.urls["api"]
        for name, address in api.items():
            if isinstance(address, str):
                api[name] = url + urlsplit(address).path

    async def load_markets(self) -> int:
        return len(await self._exchange.load_markets())

    async def place(self, client_order_id: str) -> dict[str, Any]:
        params = {"clientOrderId": client_order_id}
        order: dict[str, Any] = await self._exchange.create_order(
            SYMBOL, "market", "buy", AMOUNT, None, params
        )
        return order

    async def together(self, works: Sequence[Work]) -> None:
        await asyncio.gather(*(work() for work in works))

    async def close(self) -> None:
        await self._exchange.close()


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def started() -> None:
        await main()

    asyncio.run(started())
