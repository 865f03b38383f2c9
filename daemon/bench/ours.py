"""ccxt's Binance as this daemon uses it: on trio, over its own HTTP client."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import trio

from fks.bench.venue_client import AMOUNT, KEY, OUT_OF_REACH, SECRET, SYMBOL, Work
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.venues import ccxt_markets
from fks.venues.ccxt_session import make_exchange
from fks.venues.trio_ccxt import in_thread

run = trio.run


class Client:
    """Made and loaded as `fks.venues.ccxt_venue` does it."""

    def __init__(self, url: str) -> None:
        settings = AccountSettings(
            type="binance", api_key=Secret(KEY), api_secret=Secret(SECRET), base_url=url
        )
        self._make = partial(make_exchange, "bench", settings, 10.0)
        self._exchange = self._make()
        self._exchange.tokenBucket["refillRate"] = OUT_OF_REACH
        self._exchange.init_throttler()

    async def load_markets(self) -> int:
        loaded = await in_thread(partial(ccxt_markets.load, self._make, "spot", ()))
        self._exchange.set_markets_from_exchange(loaded)
        return len(self._exchange.markets)

    async def place(self, client_order_id: str) -> dict[str, Any]:
        params = {"clientOrderId": client_order_id}
        order: dict[str, Any] = await self._exchange.create_order(
            SYMBOL, "market", "buy", AMOUNT, None, params
        )
        return order

    async def together(self, works: Sequence[Work]) -> None:
        async with trio.open_nursery() as nursery:
            for work in works:
                nursery.start_soon(work)

    async def close(self) -> None:
        await self._exchange.close()
