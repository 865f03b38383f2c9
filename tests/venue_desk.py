"""A CcxtVenue with a local exchange behind it, for any of the stand-ins."""

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
from standins.binance import BinanceStandIn
from standins.bybit import BybitStandIn
from standins.okx import OkxStandIn
from standins.server import KEY, PASSPHRASE, SECRET, StandIn

NAME = "q0123456789abcdefg"
SYMBOL = {"spot": "BTC/USDT", "swap": "BTC/USDT:USDT"}
STANDINS: dict[str, type[StandIn]] = {
    "binance": BinanceStandIn,
    "bybit": BybitStandIn,
    "okx": OkxStandIn,
}
# The instrument's name on the exchange, by kind.
MARKETS = {
    "binance": {"spot": "BTCUSDT", "swap": "BTCUSDT"},
    "bybit": {"spot": "BTCUSDT", "swap": "BTCUSDT"},
    "okx": {"spot": "BTC-USDT", "swap": "BTC-USDT-SWAP"},
}

LIMIT: dict[str, Any] = {"type": OrderType.LIMIT, "price": Decimal(49_000)}
STOP_LOSS: dict[str, Any] = {"type": OrderType.STOP, "stop_price": Decimal(48_000), "side": Side.SELL,
                             "leg": Leg.STOP_LOSS, "reduce_only": True}  # fmt: skip


@dataclass
class Desk:
    exchange: StandIn
    venue: CcxtVenue
    where: str
    kind: str

    def order(self, **changes: Any) -> Order:
        return make_order(self.kind, **changes)

    async def place(self, order: Order) -> Report:
        [placed] = await self.venue.place(order, (), time.time())
        return placed

    async def buy(self, name: str = "qentry00000000000z", amount: str = "0.01") -> Report:
        """Something to protect."""
        return await self.place(self.order(client_order_id=name, amount=Decimal(amount)))

    async def found(self, order: Order) -> Report:
        report = await self.venue.find(order)
        assert report is not None
        return report

    def mark(self, price: int) -> None:
        self.exchange.book.set_mark(MARKETS[self.where][self.kind], Decimal(price), self.exchange.now)

    def sent(self) -> dict[str, Any]:
        """The last placement's parameters."""
        request = self.exchange.placements[-1]
        return request.rows[0] if request.rows else request.params

    def executions(self, name: str = NAME) -> int:
        return self.exchange.book.executions.get(name, 0)


def make_order(kind: str, **changes: Any) -> Order:
    now = time.time()
    base: dict[str, Any] = {
        "id": NAME, "client_order_id": NAME, "alert_id": "a1", "account": "main", "leg": Leg.ENTRY,
        "symbol": SYMBOL[kind], "side": Side.BUY, "type": OrderType.MARKET, "amount": Decimal("0.01"),
        "reference_price": Decimal(50_000), "good_until": now + 300, "created_at": now, "updated_at": now,
    }  # fmt: skip
    return Order(**{**base, **changes})


def make_venue(exchange: StandIn, where: str, kind: str, timeout: float = 2.0, **changes: Any) -> CcxtVenue:
    own: dict[str, Any] = {
        "type": where, "market": kind, "base_url": exchange.url, "api_key": Secret(KEY),
        "api_secret": Secret(SECRET), "password": Secret(PASSPHRASE if where == "okx" else ""),
    }  # fmt: skip
    settings = AccountSettings(**{**own, **changes})
    return CcxtVenue("main", settings, timeout=timeout, retry_attempts=2, retry_delay=0.001)


@asynccontextmanager
async def desk(where: str, kind: str, *, hedge: bool = False, **changes: Any) -> AsyncIterator[Desk]:
    async with STANDINS[where]() as exchange:
        exchange.book.account.hedge = hedge
        venue = make_venue(exchange, where, kind, **changes)
        await venue.open()
        try:
            yield Desk(exchange, venue, where, kind)
        finally:
            await venue.close()
