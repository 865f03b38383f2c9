"""Candles are asked for once a candle, and never waited for long."""

from collections.abc import Sequence

import pytest
import trio

from fakes import FakeVenue
from fks.domain.errors import Transient
from fks.venues.history import History

HOUR = 3600.0
START = 1000 * HOUR


class Telling(FakeVenue):
    """Tells hourly candles from START to `newest`, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.newest, self.asked = START + 9 * HOUR, 0

    async def candles(self, symbol: str, timeframe: str, limit: int) -> Sequence[Sequence[float | None]]:
        self.asked += 1
        count = int((self.newest - START) / HOUR) + 1
        return [(START + at * HOUR, 5.0, 6.0, 4.0, 5.0) for at in range(count)][-limit:]


async def test_they_are_good_until_the_next_one_closes() -> None:
    venue = Telling()
    history = History(venue)
    for now, closed, asked in (
        (venue.newest + 5, 9, 1),
        (venue.newest + HOUR - 1, 9, 1),
        (venue.newest + HOUR, 10, 2),  # the newest one is over, and the next is not told yet
        (venue.newest + HOUR + 9, 10, 2),
    ):
        assert len(await history.closed("BTC/USDT", "1h", 50, now)) == closed
        assert venue.asked == asked


async def test_a_newest_one_that_is_late_is_asked_for_again() -> None:
    venue = Telling()
    history, now = History(venue), venue.newest + 2 * HOUR + 5
    for later, asked in ((0, 1), (9, 1), (10, 2)):
        assert len(await history.closed("BTC/USDT", "1h", 50, now + later)) == 10
        assert venue.asked == asked
    venue.newest += HOUR
    assert len(await history.closed("BTC/USDT", "1h", 50, now + 20)) == 11


async def test_markets_timeframes_and_larger_counts_are_apart() -> None:
    venue = Telling()
    history, now = History(venue), venue.newest + 5
    assert len(await history.closed("BTC/USDT", "1h", 6, now)) == 5
    assert len(await history.closed("BTC/USDT", "1h", 4, now)) == 4
    assert venue.asked == 1
    for symbol, timeframe, count in (("BTC/USDT", "1h", 8), ("ETH/USDT", "1h", 6), ("BTC/USDT", "30m", 6)):
        before = venue.asked
        await history.closed(symbol, timeframe, count, now)
        assert venue.asked == before + 1


async def test_none_are_an_answer_and_silence_is_not() -> None:
    venue = FakeVenue()
    history = History(venue)
    assert len(await history.closed("BTC/USDT", "1h", 6, START)) == 0

    async def silent(*_: object) -> Sequence[Sequence[float | None]]:
        await trio.sleep_forever()
        raise AssertionError

    venue.candles = silent  # type: ignore[method-assign]
    with pytest.raises(Transient, match="ETH/USDT in time"):
        await history.closed("ETH/USDT", "1h", 6, START)
    assert trio.current_time() <= 5
