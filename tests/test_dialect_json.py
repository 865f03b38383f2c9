"""3Commas, OKX and POABOT: the messages of their documentations, and what of them is refused."""

from typing import Any

import pytest

from dialect_cases import means, refused, understood
from fks.domain.alerts import Target
from makers import NOW, dec

TIME = "2025-11-07T10:30:00Z"

# --- 3Commas

STRATEGY = {
    "secret": "token", "max_lag": "300", "timestamp": TIME, "trigger_price": "50000",
    "tv_exchange": "BINANCE", "tv_instrument": "BTCUSDT", "action": "sell", "bot_uuid": "signal-bot-uuid",
    "strategy_info": {
        "market_position": "short", "market_position_size": "2",
        "prev_market_position": "long", "prev_market_position_size": "1",
    },
    "order": {"amount": "3", "currency_type": "base"},
}  # fmt: skip
CUSTOM = {
    "secret": "token", "max_lag": "300", "timestamp": TIME, "trigger_price": "45000",
    "tv_exchange": "BYBIT", "tv_instrument": "BTCUSDT.P", "bot_uuid": "u",
}  # fmt: skip


def test_3commas_strategy_message() -> None:
    means(
        "3commas", STRATEGY, symbol="BINANCE:BTCUSDT", action="sell", timestamp=NOW, max_lag=dec(300),
        price=dec(50000), market_position="short", prev_market_position="long", position_size=dec(-2),
        amount=dec(3),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("action", "meaning"),
    [
        ("enter_long", {"action": "buy"}),
        ("enter_short", {"action": "sell"}),
        ("exit_long", {"action": "close", "position_side": "long"}),
        ("exit_short", {"action": "close", "position_side": "short"}),
    ],
)
def test_3commas_custom_signals(action: str, meaning: dict[str, Any]) -> None:
    common = {"symbol": "BYBIT:BTCUSDT.P", "timestamp": NOW, "max_lag": dec(300), "price": dec(45000)}
    means("3commas", CUSTOM | {"action": action}, **common, **meaning)


def test_3commas_sizes_and_targets() -> None:
    entry = CUSTOM | {
        "action": "enter_short",
        "order": {"amount": "100", "currency_type": "quote", "order_type": "limit", "price": "44000"},
        "take_profit": {
            "enabled": True,
            "steps": [
                {"order_type": "market", "price_percent": -2, "volume_percent": 60},
                {"order_type": "limit", "price_percent": -4, "volume_percent": 40},
            ],
        },
        "stop_loss": {"enabled": True, "order_type": "market", "trigger_price_percent": 1.5},
    }
    alert = understood("3commas", entry)
    assert (alert.notional, alert.order_type, alert.price) == (dec(100), "limit", dec(44000))
    steps = (Target(percent=dec(2), share=dec("0.6")), Target(percent=dec(4), share=dec("0.4")))
    assert (alert.take_profit, alert.stop_loss) == (steps, Target(percent=dec("1.5")))


def test_3commas_exits_in_parts() -> None:
    half = CUSTOM | {"action": "exit_long", "order": {"amount": "50", "currency_type": "position_percent"}}
    alert = understood("3commas", half)
    assert (alert.action, alert.position_side, alert.share) == ("close", "long", dec("0.5"))
    some = CUSTOM | {"action": "exit_short", "order": {"amount": "0.1", "currency_type": "base"}}
    alert = understood("3commas", some)
    assert (alert.action, alert.reduce_only, alert.amount) == ("buy", True, dec("0.1"))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"action": "disable"}, "action"),
        ({"tv_instrument": None}, "tv_instrument"),
        ({"order": {"amount": 1, "currency_type": "margin_percent"}}, "order.currency_type"),
        ({"order": {"amount": 1, "currency_type": "position_percent"}}, "order.currency_type"),
        ({"order": {"amount": 1, "leverage": 3}}, "order.leverage"),
        ({"order": []}, "order"),
        ({"stop_loss": {"enabled": True, "breakeven": True}}, "stop_loss.breakeven"),
        ({"stop_loss": {"enabled": True}}, "stop_loss.trigger_price_percent"),
        ({"stop_loss": {"enabled": "maybe"}}, "stop_loss.enabled"),
        ({"take_profit": {"enabled": True}}, "take_profit.steps"),
        ({"take_profit": {"enabled": True, "steps": [{"price": 1}]}}, "take_profit.steps.price_percent"),
        ({"action": "exit_long", "take_profit": {"enabled": True, "steps": []}}, "take_profit"),
        ({"takeProfit": {}}, "takeProfit"),
    ],
)  # fmt: skip
def test_3commas_refusals(fields: dict[str, Any], field: str) -> None:
    assert refused("3commas", CUSTOM | {"action": "enter_long"} | fields)[1] == field


def test_3commas_protection_that_is_switched_off_is_none() -> None:
    off = {"take_profit": {"enabled": False}, "stop_loss": {"enabled": "false"}}
    for action in ("enter_long", "exit_long"):
        alert = understood("3commas", CUSTOM | {"action": action} | off)
        assert (alert.take_profit, alert.stop_loss) == ((), None)


# --- OKX

PINE = {
    "id": "Long", "action": "buy", "marketPosition": "long", "prevMarketPosition": "flat",
    "instrument": "BTCUSDT.P", "signalToken": "t", "timestamp": TIME, "maxLag": "60",
    "investmentType": "base", "amount": "0.5",
}  # fmt: skip
UNIVERSAL = {
    "action": "ENTER_LONG", "instrument": "ETH-USDT-SWAP", "signalToken": "t", "timestamp": TIME,
}  # fmt: skip


def test_okx_strategy_message() -> None:
    means(
        "okx", PINE, symbol="BTCUSDT.P", action="buy", timestamp=NOW, max_lag=dec(60), order_id="Long",
        market_position="long", prev_market_position="flat", amount=dec("0.5"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "meaning"),
    [
        ({}, {"action": "buy"}),
        ({"action": "ENTER_SHORT", "orderType": "market", "orderPriceOffset": ""}, {"action": "sell"}),
        ({"action": "EXIT_LONG"}, {"action": "close", "position_side": "long"}),
        (
            {"action": "EXIT_SHORT", "investmentType": "percentage_position", "amount": "50"},
            {"action": "close", "position_side": "short", "share": dec("0.5")},
        ),
        (
            {"action": "EXIT_LONG", "investmentType": "base", "amount": "2"},
            {"action": "sell", "reduce_only": True, "amount": dec(2)},
        ),
    ],
)
def test_okx_universal_messages(fields: dict[str, Any], meaning: dict[str, Any]) -> None:
    means("okx", UNIVERSAL | fields, symbol="ETH-USDT-SWAP", timestamp=NOW, max_lag=dec(60), **meaning)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"orderType": "limit", "orderPriceOffset": "0.01"}, "orderType"),
        ({"investmentType": "percentage_balance", "amount": "50"}, "investmentType"),
        ({"investmentType": "percentage_investment", "amount": "50"}, "investmentType"),
        ({"investmentType": "margin", "amount": "50"}, "investmentType"),
        ({"investmentType": "contract", "amount": "50"}, "investmentType"),
        ({"investmentType": "percentage_position", "amount": "50"}, "investmentType"),
        ({"amount": "50"}, "amount"),
        ({"action": "ENTER"}, "action"),
        ({"instrument": ""}, "instrument"),
        ({"market_position": "long"}, "market_position"),
    ],
)
def test_okx_refusals(fields: dict[str, Any], field: str) -> None:
    assert refused("okx", UNIVERSAL | fields)[1] == field


# --- POABOT

ORDER = {
    "password": "p", "exchange": "BINANCE", "base": "BTC", "quote": "USDT.P", "side": "entry/buy",
    "amount": "0.1", "percent": "NaN", "leverage": "NaN", "price": "50000",
    "order_name": "Long", "kis_number": "1",
}  # fmt: skip


def test_poabot_entry() -> None:
    means(
        "poabot", ORDER, symbol="BTCUSDT.P", action="buy", exchange="binance", price=dec(50000),
        amount=dec("0.1"), comment="Long",
    )  # fmt: skip


def test_poabot_entry_with_everything() -> None:
    entry = ORDER | {
        "amount": "NaN", "percent": 10, "leverage": 3, "stop_price": 49000, "profit_price": 52000,
        "margin_mode": "isolated", "type": "limit",
    }  # fmt: skip
    alert = understood("poabot", entry)
    assert (alert.percent, alert.leverage, alert.margin_mode, alert.order_type) == (
        dec(10),
        3,
        "isolated",
        "limit",
    )
    assert (alert.stop_loss, alert.take_profit) == (Target(price=dec(49000)), (Target(price=dec(52000)),))


@pytest.mark.parametrize(
    ("side", "size", "meaning"),
    [
        ("close/sell", {"amount": 1}, ("sell", dec(1), True, None, None)),
        ("close/buy", {"amount": 1}, ("buy", dec(1), True, None, None)),
        ("close/buy", {"percent": 100}, ("close", None, False, "short", dec(1))),
        ("close/sell", {"percent": 25}, ("close", None, False, "long", dec("0.25"))),
        ("sell", {"percent": 100}, ("close", None, False, "long", dec(1))),
        ("sell", {"amount": 1}, ("sell", dec(1), False, None, None)),
    ],
)
def test_poabot_exits(side: str, size: dict[str, Any], meaning: tuple[Any, ...]) -> None:
    alert = understood("poabot", ORDER | {"amount": "NaN", "side": side} | size)
    assert (alert.action, alert.amount, alert.reduce_only, alert.position_side, alert.share) == meaning


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": "NaN"}, "amount"),
        ({"percent": "5"}, "amount"),
        ({"side": "buy", "amount": "NaN", "percent": "5"}, "percent"),
        ({"side": "long"}, "side"),
        ({"hedge": "ON"}, "hedge"),
        ({"stopPrice": 5}, "stopPrice"),
        ({"base": ""}, "base"),
        ({"margin_mode": "portfolio"}, "margin_mode"),
        ({"side": "close/sell", "amount": "NaN", "percent": 50, "stop_price": 5}, "stop_price"),
    ],
)
def test_poabot_refusals(fields: dict[str, Any], field: str) -> None:
    assert refused("poabot", ORDER | fields)[1] == field
