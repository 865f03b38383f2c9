"""TradersPost's signals, with the examples of its documentation."""

from typing import Any

import pytest

from dialect_cases import means, refused, understood
from fks.domain.alerts import Target
from fks.domain.orders import OrderType
from makers import NOW, dec

TIME = "2025-11-07T10:30:00Z"


def post(**fields: Any) -> dict[str, Any]:
    return {"ticker": "BTCUSDT", "action": "buy", **fields}


def test_the_smallest_one() -> None:
    means("traderspost", {"ticker": "AMD", "action": "buy"}, symbol="AMD", action="buy")


def test_the_documented_bracket() -> None:
    means(
        "traderspost",
        {
            "ticker": "AMD", "action": "buy", "signalPrice": 143.12, "quantity": 1,
            "takeProfit": {"percent": 10}, "stopLoss": {"type": "stop", "percent": 5},
        },
        symbol="AMD", action="buy", price=dec("143.12"), amount=dec(1),
        take_profit=(Target(percent=dec(10)),), stop_loss=Target(percent=dec(5)),
    )  # fmt: skip


def test_the_documented_indicator_and_strategy_messages() -> None:
    indicator = post(price="50000.5", time=TIME, interval="15")
    means("traderspost", indicator, symbol="BTCUSDT", action="buy", price=dec("50000.5"), timestamp=NOW)
    strategy = indicator | {"action": "sell", "sentiment": "flat", "quantity": "0.5"}
    means(
        "traderspost", strategy, symbol="BTCUSDT", action="sell", price=dec("50000.5"), timestamp=NOW,
        market_position="flat", amount=dec("0.5"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sentiment", "position"), [("bullish", "long"), ("long", "long"), ("bearish", "short"), ("flat", "flat")]
)
def test_the_sentiment_is_the_strategys_position(sentiment: str, position: str) -> None:
    assert understood("traderspost", post(sentiment=sentiment)).market_position == position


def test_exit_cancel_and_add() -> None:
    means("traderspost", post(action="exit"), symbol="BTCUSDT", action="close")
    means("traderspost", post(action="exit", sentiment="flat"), symbol="BTCUSDT", action="close")
    means("traderspost", post(action="cancel"), symbol="BTCUSDT", action="cancel")
    half = post(action="exit", quantityType="percent_of_position", quantity=50)
    means("traderspost", half, symbol="BTCUSDT", action="close", share=dec("0.5"))
    add = post(action="add", sentiment="bearish", quantity=2)
    means("traderspost", add, symbol="BTCUSDT", action="sell", market_position="short", amount=dec(2))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"orderType": "limit", "limitPrice": 5, "price": 6}, (OrderType.LIMIT, dec(5), None, None)),
        ({"orderType": "stop", "stopPrice": 7}, (OrderType.STOP, None, dec(7), None)),
        (
            {"orderType": "stop_limit", "stopPrice": 7, "limitPrice": 8},
            (OrderType.STOP_LIMIT, dec(8), dec(7), None),
        ),
        ({"orderType": "trailing_stop", "trailPercent": 1}, (OrderType.TRAILING_STOP, None, None, dec(1))),
        ({"orderType": "market", "price": 6}, (OrderType.MARKET, dec(6), None, None)),
    ],
)  # fmt: skip
def test_order_types(fields: dict[str, Any], expected: tuple[Any, ...]) -> None:
    alert = understood("traderspost", post(**fields))
    assert (alert.order_type, alert.price, alert.stop_price, alert.trail_percent) == expected


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"quantity": 2}, {"amount": dec(2)}),
        ({"quantity": "1,234.5", "quantityType": "fixed_quantity"}, {"amount": dec("1234.5")}),
        ({"quantity": 100, "quantityType": "dollar_amount"}, {"notional": dec(100)}),
        ({"quantity": 5, "quantityType": "percent_of_equity"}, {"percent": dec(5)}),
    ],
)
def test_sizes(fields: dict[str, Any], size: dict[str, Any]) -> None:
    means("traderspost", post(**fields), symbol="BTCUSDT", action="buy", **size)


def test_a_risk_is_the_loss_between_the_entry_and_the_stop() -> None:
    risk = {"quantity": 100, "quantityType": "risk_dollar_amount"}
    assert understood("traderspost", post(**risk, stopLoss={"amount": 500})).amount == dec("0.2")
    assert understood("traderspost", post(**risk, stopLoss={"percent": 2})).notional == dec(5000)
    limit = {"orderType": "limit", "limitPrice": 1000, "stopLoss": {"stopPrice": 900}}
    assert understood("traderspost", post(**risk, **limit)).amount == dec(1)
    assert refused("traderspost", post(**risk)) == ("dialect.unsupported", "quantityType")
    assert refused("traderspost", post(**risk, stopLoss={"stopPrice": 9}))[1] == "quantityType"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"action": "hold"}, "action"),
        ({"action": "add"}, "action"),
        ({"action": "exit", "quantity": 1}, "quantity"),
        ({"action": "exit", "sentiment": "long"}, "sentiment"),
        ({"action": "exit", "stopLoss": {"percent": 1}}, "stopLoss"),
        ({"action": "cancel", "cancelOrderType": "stop"}, "cancelOrderType"),
        ({"cancel": True}, "cancel"),
        ({"sentiment": "moon"}, "sentiment"),
        ({"orderType": "iceberg"}, "orderType"),
        ({"orderType": "trailing_stop", "trailAmount": 5}, "trailAmount"),
        ({"orderType": "market", "limitPrice": 5}, "limitPrice"),
        ({"quantity": 50, "quantityType": "percent_of_position"}, "quantityType"),
        ({"quantity": "NaN"}, "quantity"),
        ({"quantity": "1,5"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"timeInForce": "day"}, "timeInForce"),
        ({"optionType": "call"}, "optionType"),
        ({"stopLoss": {"type": "trailing_stop", "trailPercent": 1}}, "stopLoss.type"),
        ({"stopLoss": {"trailPercent": 1}}, "stopLoss.trailPercent"),
        ({"stopLoss": {"percent": 1, "x": 1}}, "stopLoss.x"),
        ({"stopLoss": 5}, "stopLoss"),
        ({"takeProfit": {"percent": 1, "stopPrice": 2}}, "takeProfit.stopPrice"),
        ({"stoploss": {"percent": 1}}, "stoploss"),
        ({"take_profit": {"percent": 1}}, "take_profit"),
        ({"price": "{{close}}"}, "price"),
    ],
)
def test_what_fks_cannot_do_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    assert refused("traderspost", post(**fields))[1] == field


def test_what_tells_nothing_to_do_is_no_reason_to_refuse() -> None:
    told = post(extras={"a": 1}, interval="15", extendedHours=True, cancel=False, somebodys="own field")
    means("traderspost", told, symbol="BTCUSDT", action="buy")


def test_fks_own_words_may_be_added() -> None:
    alert = understood("traderspost", post(exchange="alice", strategy="trend", confidence=0.7))
    assert (alert.exchange, alert.strategy, alert.confidence) == ("alice", "trend", dec("0.7"))
