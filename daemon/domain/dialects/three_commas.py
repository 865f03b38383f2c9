"""3Commas' Signal Bot: JSON of the strategy type and of the custom signal type.

Source: help.3commas.io, "Signal bot: JSON file for Strategy type" and "... in Custom signal type".
`secret` authenticates; `bot_uuid` does where there is no secret. `max_lag` only ever shortens
`webhook.max_age_s`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fks.domain.dialects.fields import Fields, to_number, unsupported

KNOWN = frozenset(
    (
        "max_lag", "timestamp", "trigger_price", "tv_exchange", "tv_instrument", "action", "strategy_info",
        "order", "take_profit", "stop_loss",
    )
)  # fmt: skip

_ENTRIES = {"buy": "buy", "sell": "sell", "enter_long": "buy", "enter_short": "sell"}
_EXITS = {"exit_long": "long", "exit_short": "short"}
_SIDES = {name: name for name in ("long", "short", "flat")}
_CURRENCIES = {"base": "amount", "quote": "notional", "position_percent": "share"}


def fits(given: Mapping[str, Any]) -> bool:
    """Whether it is 3Commas': no other format has these two names."""
    return "tv_instrument" in given or "bot_uuid" in given


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """The native fields. An exit with an amount is a reduce-only order, one without a close. Raises Refusal,
    also for stop losses that are limits or move to the entry price.
    """
    fields = Fields(given)
    action = fields.word("action", {name: name for name in (*_ENTRIES, *_EXITS)})
    exchange, instrument = fields.text("tv_exchange"), fields.needed("tv_instrument")
    alert: dict[str, Any] = {
        "symbol": f"{exchange}:{instrument}" if exchange else instrument,
        "timestamp": fields.take("timestamp"),
        "max_lag": fields.number("max_lag"),
        "price": fields.number("trigger_price"),
        **_strategy(fields.inner("strategy_info")),
    }
    size = _order(fields.inner("order"))
    if action in _EXITS:
        alert |= _exit(_EXITS[action], size)
    else:
        if "share" in size:
            raise unsupported("order.currency_type", "position_percent is for exit_long and exit_short")
        alert |= {"action": _ENTRIES.get(action or ""), **size}
        alert |= {
            "take_profit": _take_profits(fields.inner("take_profit")),
            "stop_loss": _stop_loss(fields.inner("stop_loss")),
        }
    for name in ("take_profit", "stop_loss"):  # of an exit: switched off, or refused
        left = fields.inner(name)
        if left is not None and left.flag("enabled"):
            raise unsupported(name, "does not go with an exit")
    fields.finish(KNOWN)
    return alert


def _strategy(given: Fields | None) -> dict[str, Any]:
    if given is None:
        return {}
    position = given.word("market_position", _SIDES)
    size = given.take("market_position_size")
    signed = None if size is None else to_number("strategy_info.market_position_size", size)
    given.take("prev_market_position_size")  # follows from the others
    alert = {
        "market_position": position,
        "prev_market_position": given.word("prev_market_position", _SIDES),
        "position_size": -abs(signed) if signed is not None and position == "short" else signed,
    }
    given.finish(strict=True)
    return alert


def _order(given: Fields | None) -> dict[str, Any]:
    if given is None:
        return {}
    amount = given.number("amount")
    unit = given.word("currency_type", _CURRENCIES) or "amount"
    order: dict[str, Any] = {}
    if amount is not None:
        order[unit] = amount / 100 if unit == "share" else amount
    if given.word("order_type", {"market": False, "limit": True}):
        order |= {"order_type": "limit", "price": given.number("price")}
    given.take("price")  # of a market order: what the sender saw
    given.finish(strict=True)
    return order


def _exit(side: str, size: dict[str, Any]) -> dict[str, Any]:
    """All of the position on that side, a share of it, or so much that it only gets smaller."""
    if "amount" in size or "notional" in size:
        return {"action": "sell" if side == "long" else "buy", "reduce_only": True, **size}
    if "order_type" in size:
        raise unsupported("order.order_type", "without an amount an exit is a market order")
    return {"action": "close", "position_side": side, **size}


def _take_profits(given: Fields | None) -> list[dict[str, Any]] | None:
    if given is None or not given.flag("enabled"):
        return None
    steps = given.take("steps")
    given.finish(strict=True)
    if not isinstance(steps, list) or not steps or not all(isinstance(one, dict) for one in steps):
        raise unsupported("take_profit.steps", "is not a list of steps")
    return [_step(Fields(one, "take_profit.steps")) for one in steps]


def _step(given: Fields) -> dict[str, Any]:
    given.word("order_type", {"market": None, "limit": None})  # both wait for the price here
    percent = _percent(given, "price_percent")
    share = given.number("volume_percent")
    given.finish(strict=True)
    return {"percent": percent, "share": None if share is None else share / 100}


def _stop_loss(given: Fields | None) -> dict[str, Any] | None:
    if given is None or not given.flag("enabled"):
        return None
    if given.word("order_type", {"market": False, "limit": True}):
        raise unsupported("stop_loss.order_type", "fks protects with stop market orders")
    if given.flag("breakeven"):
        raise unsupported("stop_loss.breakeven", "fks does not move a stop to the entry price")
    percent = _percent(given, "trigger_price_percent")
    given.finish(strict=True)
    return {"percent": percent}


def _percent(given: Fields, field: str) -> Decimal:
    """A distance; its sign only repeats the direction."""
    value = given.take(field)
    if value is None:
        raise unsupported(given.name(field), "is needed: fks takes targets in percent of the entry price")
    return abs(to_number(given.name(field), value))
