"""ccxt clients with a stand-in behind each, for every market that the stand-ins have."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from ccxt.base.errors import OrderNotFound

from fks.venues.trio_ccxt import trio_exchange
from standins.binance import BinanceStandIn
from standins.bybit import BybitStandIn
from standins.okx import OkxStandIn
from standins.server import KEY, PASSPHRASE, SECRET, StandIn

NAME = "q0123456789abcdefg"


@dataclass(frozen=True)
class Case:
    """One market of one exchange. `amount` is in ccxt's units: contracts on swaps."""

    exchange: str
    kind: str
    stand_in: Callable[[], StandIn]
    mark: str  # the exchange's own name of the instrument
    amount: float

    def __str__(self) -> str:
        return f"{self.exchange}-{self.kind}"

    @property
    def key(self) -> tuple[str, bool]:
        return self.mark, self.kind == "swap"

    @property
    def symbol(self) -> str:
        return "BTC/USDT" if self.kind == "spot" else "BTC/USDT:USDT"


CASES = (
    Case("binance", "spot", BinanceStandIn, "BTCUSDT", 0.01),
    Case("binanceusdm", "swap", BinanceStandIn, "BTCUSDT", 0.01),
    Case("bybit", "spot", BybitStandIn, "BTCUSDT", 0.01),
    Case("bybit", "swap", BybitStandIn, "BTCUSDT", 0.01),
    Case("okx", "spot", OkxStandIn, "BTC-USDT", 0.01),
    Case("okx", "swap", OkxStandIn, "BTC-USDT-SWAP", 1.0),
)
BINANCE_SWAP, BYBIT_SPOT, BYBIT_SWAP, OKX_SPOT, OKX_SWAP = CASES[1:]
SWAPS = (BINANCE_SWAP, BYBIT_SWAP, OKX_SWAP)
every = pytest.mark.parametrize("case", CASES, ids=str)
swaps = pytest.mark.parametrize("case", SWAPS, ids=str)


class Desk:
    """A ccxt client with the exchange behind it."""

    def __init__(self, case: Case, exchange: StandIn, client: Any) -> None:
        self.case, self.exchange, self.client = case, exchange, client

    async def order(self, kind: str, side: str, price: float | None = None, **params: Any) -> Any:
        given = {"clientOrderId": NAME} | params
        return await self.client.create_order(self.case.symbol, kind, side, self.case.amount, price, given)

    async def look(self, name: str = NAME) -> Any:
        """The order by its client id, by the route that each exchange has for it. Raises OrderNotFound."""
        if self.case.exchange != "bybit":
            return await self.client.fetch_order(None, self.case.symbol, {"clientOrderId": name})
        for method in ("fetch_open_orders", "fetch_canceled_and_closed_orders"):
            by_name = {"orderLinkId": name}
            for one in await getattr(self.client, method)(self.case.symbol, None, None, by_name):
                return one
        raise OrderNotFound(name)

    async def cancel(self) -> None:
        given = {"orderLinkId" if self.case.exchange == "bybit" else "clientOrderId": NAME}
        await self.client.cancel_order(None, self.case.symbol, given)

    def move(self, price: float) -> None:
        self.exchange.book.set_mark(self.case.mark, Decimal(str(price)), self.exchange.now)

    @property
    def executions(self) -> int:
        return self.exchange.book.executions.get(NAME, 0)

    @property
    def position(self) -> Decimal:
        return sum((one.amount for one in self.exchange.book.positions.values()), Decimal(0))

    def states(self) -> list[str]:
        return [one.status.value for one in self.exchange.book.orders]


@asynccontextmanager
async def desk(case: Case, **changes: Any) -> AsyncIterator[Desk]:
    part = "spot" if case.kind == "spot" else "swap" if case.exchange == "okx" else "linear"
    options = {
        "defaultType": case.kind,
        "fetchMarkets": {"types": [part]},
        "recvWindow": 5000,
        "fetchMargins": False,
        "fetchOpenOrders": {"warnWithoutSymbol": False},
    }
    async with case.stand_in() as exchange:
        keys = {"apiKey": KEY, "secret": SECRET, "password": PASSPHRASE}
        client = trio_exchange(case.exchange)(
            {
                **keys,
                "base_url": exchange.url,
                "timeout": 5000,
                "burst_s": 60.0,
                "options": options,
                **changes,
            }
        )
        try:
            client.set_markets(await client.fetch_markets())
            yield Desk(case, exchange, client)
        finally:
            await client.close()
