"""Where the paper exchange's marks come from, besides alerts: a file of the past, or a real exchange."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from fks.domain.errors import Misconfigured, Transient
from fks.domain.history import BadHistory, Candle, Sent, Tick, Turn, lengths, read_csv, read_lines, timeline
from fks.domain.venue import Venue
from fks.venues.paper import Tell

POLL_S, AGAIN_S = 1.0, 5.0  # between two rounds of questions; after one without an answer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recorded:
    """Plays a file's prices in their own pace, the first one now; the last stays. A restart begins anew."""

    prices: tuple[Turn | Tick, ...]

    async def __call__(self, tell: Tell) -> None:
        began = trio.current_time()
        for one in self.prices:
            await trio.sleep_until(began + one.time - self.prices[0].time)
            if isinstance(one, Tick):
                tell(one.symbol, one.price)
            else:
                tell(one.candle.symbol, one.price(low_first=one.candle.close >= one.candle.open))


def recorded(path: Path, symbol: str | None) -> Recorded:
    """Of a CSV or JSON-lines file of ticks or candles; `symbol` is that of lines which name none.

    Raises Misconfigured.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            read = read_csv(lines, symbol) if path.suffix.lower() == ".csv" else read_lines(lines, symbol)
    except (OSError, UnicodeDecodeError, BadHistory) as error:
        raise Misconfigured(f"ticks {path}: {error}") from None
    candles = [one for one in read if isinstance(one, Candle)]
    told = timeline(read, lengths(candles))
    prices = tuple(one for one in told if not isinstance(one, Sent))
    if not prices:
        raise Misconfigured(f"ticks {path}: it holds no price")
    return Recorded(prices)


@dataclass(frozen=True, slots=True)
class Live:
    """Asks a real exchange's public side for the last prices of `symbols`, one after the other."""

    make: Callable[[], Venue]
    symbols: Callable[[], Collection[str]]

    async def __call__(self, tell: Tell) -> None:
        venue = self.make()
        try:
            while True:
                try:
                    await venue.open()
                    await self._poll(venue, tell)
                except Transient as error:
                    log.warning("marks_unknown", reason=str(error))
                    await trio.sleep(AGAIN_S)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + AGAIN_S):
                await venue.close()

    async def _poll(self, venue: Venue, tell: Tell) -> None:
        """Raises Transient."""
        markets = venue.markets()
        names = {one: next((name for name in _names(one) if name in markets), None) for one in self.symbols()}
        if missing := [one for one, name in names.items() if name is None]:
            log.warning("marks_missing", symbols=missing)
        while True:
            for symbol, name in names.items():
                if name is not None:
                    tell(symbol, (await venue.ticker(name)).last)
            await trio.sleep(POLL_S)


def _names(symbol: str) -> tuple[str, ...]:
    """A paper account of swaps may call them as if they were spot."""
    return (symbol, f"{symbol}:{symbol.partition('/')[2]}")
