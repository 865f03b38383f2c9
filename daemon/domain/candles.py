"""Candles as arrays, the gaps in them, and the average true range. Pure; numpy because it is arrays.

Shapes: a table of candles is float64 of (n, 5), a row per candle, oldest first; the columns are those of
`COLUMNS`. A value nobody knows is NaN.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]
Gaps = Literal["ffill", "bfill", "interpolate", "drop"]

COLUMNS = ("time", "open", "high", "low", "close")  # UTC seconds at which it opened, then quote units
_TIMEFRAME = re.compile(r"[1-9][0-9]{0,3}[smhdw]")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def seconds(timeframe: str) -> int:
    """The length of a candle: `15m` is 900. Raises ValueError for all but a number and s, m, h, d or w."""
    if not _TIMEFRAME.fullmatch(timeframe):
        raise ValueError(f"{timeframe[:40]!r} is not a timeframe like 15m, 1h or 1d")
    return int(timeframe[:-1]) * _UNITS[timeframe[-1]]


def closed(rows: Iterable[Sequence[float | None]], timeframe: str, now: float) -> Table:
    """The candles that have ended by `now`, on a whole grid: one that is missing is a row of NaN.

    `rows` hold at least time (UTC seconds), open, high, low and close, in any order; of two for one time the
    later one counts. Prices that are not above zero are NaN: a halted market's candle is no price.
    """
    length = seconds(timeframe)
    by_time = {float(row[0]): row for row in rows if row[0] is not None and float(row[0]) + length <= now}
    if not by_time:
        return np.empty((0, len(COLUMNS)))
    first, last = min(by_time), max(by_time)
    grid = first + length * np.arange(round((last - first) / length) + 1)
    table = np.full((len(grid), len(COLUMNS)), np.nan)
    table[:, 0] = grid
    for time, row in by_time.items():
        prices = np.array([np.nan if one is None else float(one) for one in row[1 : len(COLUMNS)]])
        table[round((time - first) / length), 1:] = np.where(prices > 0, prices, np.nan)
    return table


def filled(table: Table, gaps: Gaps) -> Table:
    """`table` without NaN.

    `ffill` repeats what was known before, `bfill` what is known after, `interpolate` draws a line in time
    between both, each column by itself; `drop` leaves the row out. Rows at an edge that have nothing to
    be filled from are left out: nothing is extrapolated.
    """
    if gaps == "drop":
        return table[~np.isnan(table).any(axis=1)]
    if gaps == "bfill":
        return filled(table[::-1], "ffill")[::-1]
    result = table.copy()
    for column in range(1, table.shape[1]):
        known = ~np.isnan(table[:, column])
        if gaps == "interpolate" and known.any():
            times = table[:, 0]
            result[:, column] = np.interp(
                times, times[known], table[known, column], left=np.nan, right=np.nan
            )
        elif gaps == "ffill":
            latest = np.maximum.accumulate(np.where(known, np.arange(len(table)), -1))
            result[:, column] = np.where(latest < 0, np.nan, table[latest, column])
    return filled(result, "drop")


def true_range(table: Table) -> npt.NDArray[np.float64]:
    """Of every candle but the first, (n - 1,): the largest of high - low and both ways to the last close.

    J. Welles Wilder, "New Concepts in Technical Trading Systems" (1978).
    """
    high, low, before = table[1:, 2], table[1:, 3], table[:-1, 4]
    return np.maximum(high - low, np.maximum(np.abs(high - before), np.abs(low - before)))


def average_true_range(table: Table, period: int) -> float | None:
    """Wilder's ATR after the last candle, in quote units; None with fewer than `period` + 1 candles.

    It begins with the mean of the first `period` true ranges; each further one enters as
    ATR = (ATR * (period - 1) + TR) / period. `table` has no NaN (see `filled`).
    """
    ranges = true_range(table)
    if period < 1 or len(ranges) < period:
        return None
    average = float(ranges[:period].mean())
    for one in ranges[period:]:
        average = (average * (period - 1) + float(one)) / period
    return average
