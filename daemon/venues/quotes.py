"""Last prices of one account's venue, bounded in age and in the time that they may take."""

from collections.abc import Callable, Iterable
from decimal import Decimal

import trio

from fks.domain.errors import Transient
from fks.domain.messages import Ticker
from fks.domain.venue import Venue

PATIENCE_S = 2.0  # a price that takes longer is no price: nobody may wait behind it


class Quotes:
    """Remembers tickers for as long as the asker calls fresh."""

    def __init__(self, venue: Venue, clock: Callable[[], float] = trio.current_time) -> None:
        self._venue = venue
        self._clock = clock
        self._seen: dict[str, tuple[float, Ticker]] = {}

    async def last(self, symbol: str, max_age_s: float) -> Decimal | None:
        """As `ticker`, its last price alone."""
        ticker = await self.ticker(symbol, max_age_s)
        return None if ticker is None else ticker.last

    async def ticker(self, symbol: str, max_age_s: float) -> Ticker | None:
        """Told by the exchange at most `max_age_s` ago; None when it does not tell it in time."""
        seen = self._seen.get(symbol)
        if seen is not None and self._clock() - seen[0] < max_age_s:
            return seen[1]
        with trio.move_on_after(PATIENCE_S):
            try:
                ticker = await self._venue.ticker(symbol)
            except Transient:
                return None
            self._seen[symbol] = (self._clock(), ticker)
            return ticker
        return None

    async def all(self, symbols: Iterable[str], max_age_s: float) -> dict[str, Decimal]:
        """The last prices of those that tell one, fetched together."""
        prices: dict[str, Decimal] = {}

        async def one(symbol: str) -> None:
            price = await self.last(symbol, max_age_s)
            if price is not None:
                prices[symbol] = price

        async with trio.open_nursery() as nursery:
            for symbol in symbols:
                nursery.start_soon(one, symbol)
        return prices

    def forget(self, symbol: str) -> None:
        self._seen.pop(symbol, None)
