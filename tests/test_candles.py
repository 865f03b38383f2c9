"""Candles: the grid, its gaps, and Wilder's average true range."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.candles import average_true_range, closed, filled, seconds, true_range

HOUR = 3600.0


def hours(*closes: float | None) -> list[list[float | None]]:
    """A candle an hour: it spans one up and one down from its close."""
    return [
        [at * HOUR, one, None if one is None else one + 1, None if one is None else one - 1, one]
        for at, one in enumerate(closes)
    ]


@pytest.mark.parametrize(
    ("text", "length"), [("30s", 30), ("1m", 60), ("4h", 14_400), ("1d", 86_400), ("1w", 604_800)]
)
def test_a_timeframe_is_a_number_of_seconds(text: str, length: int) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "h", "0h", "-1h", "1y", "1.5h", "٣h", "hour"])
def test_what_is_no_timeframe_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a timeframe"):
        seconds(text)


def test_the_running_candle_does_not_count() -> None:
    table = closed(hours(10, 11, 12), "1h", now=3 * HOUR - 1)
    assert list(table[:, 4]) == [10, 11]


def test_a_missing_candle_is_a_row_of_nothing_and_order_does_not_matter() -> None:
    rows = hours(10, 11, 12, 13)
    table = closed([rows[3], rows[0], rows[1]], "1h", now=10 * HOUR)
    assert list(table[:, 0]) == [0, HOUR, 2 * HOUR, 3 * HOUR]
    assert np.isnan(table[2, 1:]).all()


def test_no_candles_at_all() -> None:
    assert closed([], "1h", now=HOUR).shape == (0, 5)
    assert average_true_range(closed([], "1h", now=HOUR), 1) is None


def test_a_price_of_zero_is_no_price() -> None:
    assert np.isnan(closed([[0.0, 0.0, 5.0, 0.0, 5.0]], "1h", now=HOUR)[0, 1])


@pytest.mark.parametrize(
    ("gaps", "closes"),
    [
        ("ffill", [10, 10, 10, 16, 16]),
        ("bfill", [10, 10, 16, 16, 16]),
        ("interpolate", [10, 12, 14, 16]),
        ("drop", [10, 16]),
    ],
)
def test_gaps_are_filled_as_asked_and_never_beyond_what_is_known(gaps: str, closes: list[float]) -> None:
    table = closed(hours(None, 10, None, None, 16, None), "1h", now=10 * HOUR)
    assert list(filled(table, gaps)[:, 4]) == pytest.approx(closes)  # type: ignore[arg-type]


def test_true_range_sees_the_jump_between_two_candles() -> None:
    table = closed([[0.0, 10, 11, 9, 10], [HOUR, 20, 21, 19, 20], [2 * HOUR, 5, 6, 4, 5]], "1h", now=9 * HOUR)
    assert list(true_range(table)) == [11, 16]


candle = st.tuples(st.integers(100, 200), st.integers(0, 20), st.integers(0, 20))


@given(st.lists(candle, min_size=2, max_size=60), st.integers(1, 20))
def test_average_true_range_is_wilders(shape: list[tuple[int, int, int]], period: int) -> None:
    rows = [[at * HOUR, close, close + up, close - down, close] for at, (close, up, down) in enumerate(shape)]
    ranges = [
        Fraction(max(high - low, abs(high - before), abs(low - before)))
        for (_, _, _, _, before), (_, _, high, low, _) in pairwise(rows)
    ]
    found = average_true_range(closed(rows, "1h", now=1e9), period)
    if len(ranges) < period:
        assert found is None
        return
    expected = sum(ranges[:period]) / Fraction(period)
    for one in ranges[period:]:
        expected += (one - expected) / period
    assert found is not None
    assert math.isclose(found, float(expected), rel_tol=1e-12, abs_tol=1e-12)
