"""The past as a file tells it: candles, ticks and alerts, in the order in which they happened. Pure."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from fks.domain.alerts import parse_time
from fks.domain.errors import Refusal
from fks.domain.money import parse_decimal

CANDLE = ("time", "open", "high", "low", "close", "volume")
TICK = ("time", "price", "symbol")
_ALIASES = {"timestamp": "time", "date": "time", "datetime": "time", "last": "price"}
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_EVE_S = 0.001  # a candle's last price comes so long before the next one's first


class Candle(Struct, frozen=True):
    """`time` is the UTC second at which it opened; prices in quote units."""

    symbol: str
    time: float
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class Tick(Struct, frozen=True):
    """One last price."""

    symbol: str
    time: float
    price: Decimal


class Sent(Struct, frozen=True):
    """An alert as it arrived: its body's bytes, and where in the file it stands.

    `dated`: the body tells its own time, as the native form must.
    """

    time: float
    body: bytes
    line: int
    dated: bool


class BadHistory(ValueError):
    """A line that cannot be read; the text names it."""


def read_lines(lines: Iterable[str], symbol: str | None = None) -> list[Candle | Tick | Sent]:
    """JSON lines in any order.

    `{"candle": [time, open, high, low, close, volume], "symbol": ...}`, `{"time", "price", "symbol"}`, an
    alert's own body with a `timestamp` or `time`, or `{"time": ..., "alert": BODY}` with a body of any form:
    an object, or the text of a format that is no JSON. `symbol` is that of lines which name none.
    Raises BadHistory.
    """
    read = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            read.append(_line(line.strip(), number, symbol))
        except (ValueError, Refusal) as error:
            raise BadHistory(f"line {number}: {error}") from None
    return read


def _line(line: str, number: int, symbol: str | None) -> Candle | Tick | Sent:
    value = json.loads(line, parse_float=Decimal, parse_int=Decimal)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if "candle" in value:
        if not isinstance(value["candle"], list):
            raise ValueError("candle is not a list [time, open, high, low, close, volume]")
        return _candle(value["candle"], value.get("symbol", symbol))
    if "price" in value and "action" not in value and value.keys() <= {*TICK}:
        return _tick(value, symbol)
    if "alert" in value and "time" in value:
        body = value["alert"]
        sent = body.encode() if isinstance(body, str) else _ENCODER.encode(body)
        dated = isinstance(body, Mapping) and "timestamp" in body
        return Sent(parse_time(value["time"]), sent, number, dated)
    moment = value.get("timestamp", value.get("time"))
    if moment is None:
        raise ValueError("neither a candle nor an alert with a timestamp")
    return Sent(parse_time(moment), line.encode(), number, "timestamp" in value)


def read_csv(lines: Iterable[str], symbol: str | None = None) -> list[Candle | Tick]:
    """Candles (`time,open,high,low,close[,volume]`) or ticks (`time,price[,symbol]`), with a heading or not.

    Without one, three columns or fewer are ticks. Times are ISO 8601 or epoch. Raises BadHistory.
    """
    read: list[Candle | Tick] = []
    names: Sequence[str] = ()
    for number, row in enumerate(csv.reader(lines), start=1):
        if not any(cell.strip() for cell in row):
            continue
        if not names:
            names = _heading(row)
            if names:
                continue
            names = TICK if len(row) <= len(TICK) else CANDLE
        try:
            values = dict(zip(names, (cell.strip() for cell in row), strict=False))
            of = values.get("symbol") or symbol
            read.append(
                _tick(values, of)
                if "price" in values
                else _candle([values.get(name) for name in CANDLE[:5]], of)
            )
        except (ValueError, Refusal) as error:
            raise BadHistory(f"line {number}: {error}") from None
    return read


def _heading(row: Sequence[str]) -> list[str]:
    """The columns' names, none when the row holds numbers."""
    words = [cell.strip().lower() for cell in row]
    names = [_ALIASES.get(word, word) for word in words]
    return names if "time" in names else []


def _candle(values: Sequence[Any], symbol: object) -> Candle:
    if len(values) < 5:
        raise ValueError("a candle has time, open, high, low, close")
    first, high, low, last = (_price(value) for value in values[1:5])
    if not low <= min(first, last) <= max(first, last) <= high:
        raise ValueError(f"open {first} and close {last} are not between low {low} and high {high}")
    return Candle(_symbol(symbol), parse_time(values[0]), first, high, low, last)


def _tick(values: Mapping[str, Any], symbol: object) -> Tick:
    return Tick(
        _symbol(values.get("symbol", symbol)), parse_time(values.get("time")), _price(values["price"])
    )


def _symbol(value: object) -> str:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("names no symbol like BTC/USDT (write it in the line, or give --symbol)")
    return value


def _price(value: object) -> Decimal:
    price = parse_decimal(value)
    if price <= 0:
        raise ValueError("a price must be above zero")
    return price


def lengths(candles: Iterable[Candle]) -> dict[str, float]:
    """By symbol, the shortest distance between two of its candles, in seconds; an hour for a single one."""
    times: dict[str, list[float]] = {}
    for candle in candles:
        times.setdefault(candle.symbol, []).append(candle.time)
    found = {}
    for symbol, own in times.items():
        own.sort()
        steps = [later - earlier for earlier, later in pairwise(own) if later > earlier]
        found[symbol] = min(steps, default=3600.0)
    return found


class Turn(Struct, frozen=True):
    """A moment within a candle: 0 its open, 1 and 2 its extremes, 3 its close."""

    time: float
    candle: Candle
    stage: int

    def price(self, *, low_first: bool) -> Decimal:
        """The extreme that hurts comes first: of a stop and a target in one candle the stop counts."""
        candle = self.candle
        first, second = (candle.low, candle.high) if low_first else (candle.high, candle.low)
        return (candle.open, first, second, candle.close)[self.stage]


def timeline(
    history: Iterable[Candle | Tick | Sent], seconds: Mapping[str, float]
) -> list[Turn | Tick | Sent]:
    """Everything in the order of its time; of what happens at once, prices come before alerts, in file order.

    A candle is told in four turns: at its start, after a third, after two thirds, and just before its end.
    """
    told: list[Turn | Tick | Sent] = []
    for one in history:
        told.extend(_turns(one, seconds[one.symbol]) if isinstance(one, Candle) else (one,))
    told.sort(key=lambda one: (one.time, isinstance(one, Sent)))  # stable
    return told


def _turns(candle: Candle, length: float) -> Iterator[Turn]:
    for stage, after in enumerate((0.0, length / 3, length * 2 / 3, length - _EVE_S)):
        yield Turn(candle.time + after, candle, stage)


def tick_size(prices: Iterable[Decimal]) -> Decimal:
    """The price step that the data itself is written in: as many decimals as the longest of its prices."""
    places = min((int(price.normalize().as_tuple().exponent) for price in prices), default=0)
    return Decimal(1).scaleb(min(places, 0))
