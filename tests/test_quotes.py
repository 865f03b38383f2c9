"""Last prices: remembered, and never waited for longer than a look may take."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import trio

from fks.domain.errors import Transient
from fks.domain.messages import Ticker
from fks.venues.quotes import PATIENCE_S, Quotes


def quotes(seen: list[str]) -> Quotes:
    async def ticker(symbol: str) -> Ticker:
        seen.append(symbol)
        if symbol == "HANGS/USDT":
            await trio.sleep_forever()
        if symbol == "GONE/USDT":
            raise Transient("no such market")
        return Ticker(symbol, Decimal(7))

    return Quotes(cast(Any, SimpleNamespace(ticker=ticker)))


async def test_who_does_not_tell_a_price_in_two_seconds_is_left_out() -> None:
    began = trio.current_time()
    prices = await quotes([]).all(["BTC/USDT", "HANGS/USDT", "GONE/USDT"], 10.0)
    assert (prices, trio.current_time() - began) == ({"BTC/USDT": 7}, PATIENCE_S)
    assert PATIENCE_S == 2.0


async def test_a_price_is_asked_for_again_when_it_is_too_old() -> None:
    seen: list[str] = []
    known = quotes(seen)
    for wait in (0, 9, 2):
        await trio.sleep(wait)
        assert await known.last("BTC/USDT", 10.0) == 7
    assert len(seen) == 2
