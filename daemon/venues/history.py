"""Closed candles of one account's venue, asked for once a candle."""

import trio

from fks.domain.candles import Table, closed, seconds
from fks.domain.errors import Transient
from fks.domain.venue import Venue

PATIENCE_S = 3.0  # candles that take longer are none: nobody may wait behind them
LATE_S = 10.0  # how long what lacks its newest candle is good for: exchanges tell it a little late


class History:
    """Remembers tables of candles until the next one closes."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._seen: dict[tuple[str, str], tuple[float, int, Table]] = {}

    async def closed(self, symbol: str, timeframe: str, count: int, now: float) -> Table:
        """The newest `count` candles or fewer that have ended by `now`, wall time; see `domain.candles`.

        Raises Transient, also when the exchange does not tell them in time.
        """
        known = self._seen.get((symbol, timeframe))
        if known is not None and now < known[0] and count <= known[1]:
            return known[2][-count:]
        with trio.move_on_after(PATIENCE_S):
            rows = await self._venue.candles(symbol, timeframe, count)
            table = closed(rows, timeframe, now)
            # The one after the newest closes two lengths after that has opened.
            until = table[-1, 0] + 2 * seconds(timeframe) if len(table) else 0.0
            good_until = float(until) if until > now else now + LATE_S
            self._seen[symbol, timeframe] = (good_until, count, table)
            return table
        raise Transient(f"the exchange does not tell its candles of {symbol} in time")
