"""The alert messages that `fks template` prints, in every format that fks reads."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fks.domain.settings import Settings


def native(settings: "Settings", secret: str) -> dict[str, Any]:
    """The native alert with TradingView's placeholders, for a strategy's alert.

    Order id and position size tell two fills within TradingView's one-second clock apart. Placeholders
    stand in quotes: what they become need not be a JSON number.
    """
    confidence = {"confidence": 1} if settings.webhook.min_confidence > 0 else {}
    return {
        "secret": secret,
        "exchange": settings.default_exchange,
        "symbol": "{{ticker}}",
        "action": "{{strategy.order.action}}",
        **confidence,
        "timestamp": "{{timenow}}",
        "price": "{{close}}",
        "order_id": "{{strategy.order.id}}",
        "bar_time": "{{time}}",
        "market_position": "{{strategy.market_position}}",
        "prev_market_position": "{{strategy.prev_market_position}}",
        "position_size": "{{strategy.position_size}}",
    }


def _traderspost(_settings: "Settings", secret: str) -> dict[str, Any]:
    return {
        "secret": secret,
        "ticker": "{{ticker}}",
        "action": "{{strategy.order.action}}",
        "sentiment": "{{strategy.market_position}}",
        "quantity": "{{strategy.order.contracts}}",
        "price": "{{close}}",
        "time": "{{timenow}}",
    }


def _three_commas(_settings: "Settings", secret: str) -> dict[str, Any]:
    return {
        "secret": secret,
        "max_lag": "300",
        "timestamp": "{{timenow}}",
        "trigger_price": "{{close}}",
        "tv_exchange": "{{exchange}}",
        "tv_instrument": "{{ticker}}",
        "action": "{{strategy.order.action}}",
        "strategy_info": {
            "market_position": "{{strategy.market_position}}",
            "market_position_size": "{{strategy.market_position_size}}",
            "prev_market_position": "{{strategy.prev_market_position}}",
            "prev_market_position_size": "{{strategy.prev_market_position_size}}",
        },
        "order": {"amount": "{{strategy.order.contracts}}", "currency_type": "base"},
    }


def _okx(_settings: "Settings", secret: str) -> dict[str, Any]:
    return {
        "signalToken": secret,
        "id": "{{strategy.order.id}}",
        "action": "{{strategy.order.action}}",
        "marketPosition": "{{strategy.market_position}}",
        "prevMarketPosition": "{{strategy.prev_market_position}}",
        "instrument": "{{ticker}}",
        "timestamp": "{{timenow}}",
        "maxLag": "60",
        "investmentType": "base",
        "amount": "{{strategy.order.contracts}}",
    }


def _poabot(settings: "Settings", secret: str) -> dict[str, Any]:
    return {
        "password": secret,
        "exchange": settings.default_exchange,
        "base": "{{syminfo.basecurrency}}",
        "quote": "{{syminfo.currency}}",
        "side": "{{strategy.order.action}}",
        "amount": "{{strategy.order.contracts}}",
        "price": "{{close}}",
        "order_name": "{{strategy.order.id}} {{timenow}}",
    }


def _pineconnector(_settings: "Settings", secret: str) -> str:
    rest = "{{strategy.order.action}},{{ticker}},vol_lots={{strategy.order.contracts}}"
    return f"{secret},{rest},comment={{{{strategy.order.id}}}} {{{{timenow}}}}"


def _octobot(settings: "Settings", secret: str) -> str:
    lines = (
        f"EXCHANGE={settings.default_exchange}",
        "SYMBOL={{ticker}}",
        "SIGNAL={{strategy.order.action}}",
        "VOLUME={{strategy.order.contracts}}",
        "TAG={{strategy.order.id}} {{timenow}}",
        f"TOKEN={secret}",
    )
    return "\n".join(lines)


def _alertatron(settings: "Settings", secret: str) -> str:
    return (
        f"{settings.default_exchange}({{{{ticker}}}}) {{\n"
        "  market(side={{strategy.order.action}}, amount={{strategy.order.contracts}});\n"
        f"}}\nsecret={secret} {{{{timenow}}}}"
    )


_MESSAGES: dict[str, Callable[["Settings", str], dict[str, Any] | str]] = {
    "native": native,
    "3commas": _three_commas,
    "alertatron": _alertatron,
    "octobot": _octobot,
    "okx": _okx,
    "pineconnector": _pineconnector,
    "poabot": _poabot,
    "traderspost": _traderspost,
}
NAMES = tuple(_MESSAGES)


def text(dialect: str, settings: "Settings", secret: str) -> str:
    """What to paste, with the secret in it."""
    found = _MESSAGES[dialect](settings, secret)
    return found if isinstance(found, str) else json.dumps(found, indent=2)
