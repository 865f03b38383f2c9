"""A CcxtVenue with a local Binance spot market behind it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fks.domain.messages import Order, Report
from fks.domain.orders import Leg, OrderType, Side
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.venues.ccxt_venue import CcxtVenue
from standins.binance import KEY, SECRET, BinanceStandIn

NAME = "q0123456789abcdefg"


def order(**changes: Any) -> Order:
    now = time.time()
    base: dict[str, Any] = {
        "id": NAME,
        "client_order_id": NAME,
        "alert_id": "a1",
        "account": "binance",
        "leg": Leg.ENTRY,
        "symbol": "BTC/USDT",
        "side": Side.BUY,
        "type": OrderType.MARKET,
        "amount": Decimal("0.01"),
        "good_until": now + 300,
        "created_at": now,
        "updated_at": now,
    }
    return Order(**{**base, **changes})


ENDED = ("fetchOrders", "fetchClosedOrders", "fetchCanceledAndClosedOrders")
RESTING = {"type": OrderType.LIMIT, "price": Decimal(49_000)}


@dataclass
class Desk:
    """A venue with the exchange behind it."""

    exchange: BinanceStandIn
    venue: CcxtVenue

    async def place(self, one: Order) -> Report:
        [placed] = await self.venue.place(one, (), time.time())
        return placed

    def executions(self) -> int:
        return self.exchange.book.executions.get(NAME, 0)


def make(exchange: BinanceStandIn | None = None, timeout: float = 2.0, **changes: Any) -> CcxtVenue:
    own: dict[str, Any] = {
        "type": "binance",
        "api_key": Secret(KEY),
        "api_secret": Secret(SECRET),
        "base_url": exchange.url if exchange else "",
    }
    settings = AccountSettings(**{**own, **changes})
    return CcxtVenue("binance", settings, timeout=timeout, retry_attempts=2, retry_delay=0.001)


@asynccontextmanager
async def desk(**changes: Any) -> AsyncIterator[Desk]:
    async with BinanceStandIn() as exchange:
        venue = make(exchange, **changes)
        await venue.open()
        try:
            yield Desk(exchange, venue)
        finally:
            await venue.close()
