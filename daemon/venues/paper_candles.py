"""Candles of the marks that the paper exchange has seen. They end with the process: no journal has marks."""

from collections import deque
from decimal import Decimal

from fks.domain.candles import seconds

_MINUTE = 60
_KEPT = 20_000  # minutes that saw a mark, per symbol

Row = list[float]  # time, open, high, low, close


class Candles:
    """Kept by the minute, told in any whole number of minutes."""

    def __init__(self) -> None:
        self._minutes: dict[str, deque[Row]] = {}

    def add(self, symbol: str, at: float, price: Decimal) -> None:
        """Marks come in the order of their times."""
        rows = self._minutes.setdefault(symbol, deque(maxlen=_KEPT))
        value, minute = float(price), at - at % _MINUTE
        if rows and rows[-1][0] >= minute:
            _join(rows[-1], [minute, value, value, value, value])
        else:
            rows.append([minute, value, value, value, value])

    def of(self, symbol: str, timeframe: str, limit: int) -> list[Row]:
        """The newest `limit` candles that saw a mark, oldest first; none for timeframes below a minute."""
        length = seconds(timeframe)
        if length < _MINUTE:
            return []
        found: deque[Row] = deque()
        for row in reversed(self._minutes.get(symbol, ())):
            start = row[0] - row[0] % length
            if found and found[0][0] == start:
                found[0] = _join([start, *row[1:]], found[0])
            elif len(found) == limit:
                break
            else:
                found.appendleft([start, *row[1:]])
        return list(found)


def _join(earlier: Row, later: Row) -> Row:
    """`earlier`, continued by `later`."""
    earlier[2] = max(earlier[2], later[2])
    earlier[3] = min(earlier[3], later[3])
    earlier[4] = later[4]
    return earlier
