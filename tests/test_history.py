"""Files of the past, and what trading in them came to."""

from decimal import Decimal

import pytest

from fks.domain.history import (
    BadHistory,
    Candle,
    Sent,
    Tick,
    Turn,
    lengths,
    read_csv,
    read_lines,
    tick_size,
    timeline,
)
from fks.domain.performance import Curve, performance

D = Decimal
BTC = "BTC/USDT"
CANDLE = Candle(BTC, 1_700_000_000.0, D(10), D(14), D(8), D(11))


def test_lines_are_candles_ticks_and_alerts_of_any_form() -> None:
    read = read_lines(
        [
            '{"candle": [1700000000000, 10, 14, 8, 11, 5.5], "symbol": "BTC/USDT"}',
            "",
            '{"time": "2023-11-14T22:13:20Z", "price": "10.5", "symbol": "BTC/USDT"}',
            '{"symbol": "BTCUSDT", "action": "buy", "timestamp": 1700000001}',
            '{"time": 1700000002, "alert": "12345,buy,BTCUSD,risk=1"}',
            '{"time": 1700000003, "alert": {"action": "buy", "timestamp": 1}}',
        ]
    )
    assert read[:2] == [CANDLE, Tick(BTC, 1_700_000_000.0, D("10.5"))]
    assert [(one.time - 1.7e9, one.line, one.dated) for one in read if isinstance(one, Sent)] == [
        (1.0, 4, True), (2.0, 5, False), (3.0, 6, True),
    ]  # fmt: skip
    assert isinstance(read[3], Sent)
    assert read[3].body == b"12345,buy,BTCUSD,risk=1"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"candle": [1700000000, 10, 9, 8, 11], "symbol": "BTC/USDT"}', "not between"),
        ('{"candle": [1700000000, 10], "symbol": "BTC/USDT"}', "a candle has"),
        ('{"candle": [1700000000, 10, 14, 8, 11]}', "--symbol"),
        ('{"action": "buy"}', "timestamp"),
        ("[1]", "not a JSON object"),
        ("{", "line 1"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str, told: str) -> None:
    with pytest.raises(BadHistory, match="line 1") as caught:
        read_lines([line])
    assert told in str(caught.value)


def test_csv_with_a_heading_in_any_order_or_without_one() -> None:
    assert read_csv(["1700000000,10,14,8,11,5.5"], BTC) == [CANDLE]
    assert read_csv(["close,Timestamp,low,high,open", "11,1700000000,8,14,10"], BTC) == [CANDLE]
    assert read_csv(["2023-11-14 22:13:20,10.5"], BTC) == [Tick(BTC, 1_700_000_000.0, D("10.5"))]
    with pytest.raises(BadHistory, match="line 2"):
        read_csv(["time,price,symbol", "1700000000,x,BTC/USDT"])


def test_prices_come_before_the_alerts_of_their_moment_and_the_close_before_the_next_open() -> None:
    later = Candle(BTC, CANDLE.time + 3600, D(11), D(12), D(10), D(12))
    alert = Sent(later.time, b"{}", 1, dated=True)
    told = timeline([alert, CANDLE, later], lengths([CANDLE, later]))
    at = [(one.stage, one.candle is later) if isinstance(one, Turn) else "alert" for one in told]
    assert at[3:6] == [(3, False), (0, True), "alert"]
    assert [one.price(low_first=True) for one in told[:4] if isinstance(one, Turn)] == [10, 8, 14, 11]
    assert [one.price(low_first=False) for one in told[:4] if isinstance(one, Turn)] == [10, 14, 8, 11]


def test_the_price_step_is_what_the_data_is_written_in() -> None:
    assert tick_size([D("0.0712"), D("0.07")]) == D("0.0001")
    assert tick_size([D(100), D("2E+3")]) == 1


def test_drawdown_is_the_deepest_fall_below_an_earlier_peak() -> None:
    curve = Curve(D(100))
    for equity in (120, 90, 130, 110, 140):
        curve.add(D(equity))
    told = performance([], [], curve)
    assert (told.drawdown, told.drawdown_share) == (D(30), D(30) / 120)
    assert (told.equity_start, told.equity_end, told.win_rate, told.profit_factor) == (100, 140, None, None)
