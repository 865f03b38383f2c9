"""TradersPost's signals: `{"ticker", "action", ...}`.

Source: docs.traderspost.io, "Signal Message Reference". Its own service cancels open orders before an
entry unless told otherwise; here open orders stay until a `cancel`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fks.domain.dialects.fields import Fields, risked, unsupported

HARMLESS = ("interval", "extras", "extendedHours")
OPTIONS = (
    "optionType", "intrinsicValue", "expiration", "strikeCount", "strikesAway", "strikePrice", "delta",
)  # fmt: skip
KNOWN = frozenset(
    (
        "ticker", "action", "sentiment", "price", "signalPrice", "orderType", "limitPrice", "stopPrice",
        "trailAmount", "trailPercent", "quantity", "quantityType", "timeInForce", "time", "cancel",
        "cancelOrderType", "takeProfit", "stopLoss", *HARMLESS, *OPTIONS,
    )
)  # fmt: skip

_ACTIONS = {name: name for name in ("buy", "sell", "exit", "cancel", "add")}
_POSITIONS = {"bullish": "long", "long": "long", "bearish": "short", "short": "short", "flat": "flat"}
_ORDER_TYPES = {name: name for name in ("market", "limit", "stop", "stop_limit", "trailing_stop")}
_QUANTITIES = {
    name: name
    for name in (
        "fixed_quantity", "dollar_amount", "risk_dollar_amount", "percent_of_equity", "percent_of_position",
    )
}  # fmt: skip
_LIFETIMES = {"gtc": "gtc", "ioc": "ioc", "fok": "fok"}


def fits(given: Mapping[str, Any]) -> bool:
    """Whether it is TradersPost's: no other format calls the market `ticker`."""
    return "ticker" in given


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """The native fields. A `sentiment` becomes the strategy's position after the order; `price` of a market
    order is what the sender saw. Raises Refusal, also for options, trailing and stop-limit stop losses.
    """
    fields = Fields(given)
    fields.refuse(OPTIONS, "fks trades no options")
    alert: dict[str, Any] = {"symbol": fields.needed("ticker"), "timestamp": fields.take("time")}
    action = fields.word("action", _ACTIONS)
    position = fields.word("sentiment", _POSITIONS)
    if fields.flag("cancel"):
        raise unsupported("cancel", "send an alert with the action 'cancel' first, or say false")
    match action:
        case "cancel":
            alert |= {"action": "cancel"}
        case "exit":
            if position not in (None, "flat"):
                raise unsupported("sentiment", "an exit ends flat: leave sentiment out, or say flat")
            alert |= {"action": "close", **_share(fields)}
        case _:
            alert |= {"action": _side(action, position), "market_position": position}
            alert |= _order(fields)
    for seen in ("price", "signalPrice"):
        fields.take(seen)  # of a cancel or an exit: only what the sender saw
    fields.finish(KNOWN, HARMLESS)
    return alert


def _side(action: str | None, position: str | None) -> str | None:
    if action != "add":
        return action
    if position not in ("long", "short"):
        raise unsupported("action", "add needs a sentiment (bullish or bearish), or say buy or sell")
    return "buy" if position == "long" else "sell"


def _share(fields: Fields) -> dict[str, Any]:
    """How much of the position an exit closes."""
    kind, quantity = fields.word("quantityType", _QUANTITIES), fields.number("quantity")
    if quantity is None:
        return {}
    if kind != "percent_of_position":
        raise unsupported("quantity", "an exit takes percent_of_position; without a quantity it closes all")
    return {"share": quantity / 100}


def _order(fields: Fields) -> dict[str, Any]:
    order_type = fields.word("orderType", _ORDER_TYPES) or "market"
    fields.refuse(["trailAmount"], "fks trails by percent: use trailPercent")
    seen = fields.number("price"), fields.number("signalPrice")
    limit = fields.number("limitPrice") if "limit" in order_type else None
    stop = _stop_loss(fields.inner("stopLoss"))
    return {
        "order_type": order_type,
        "price": limit if "limit" in order_type else seen[0] or seen[1],
        "stop_price": fields.number("stopPrice") if "stop" in order_type.split("_") else None,
        "trail_percent": fields.number("trailPercent") if order_type == "trailing_stop" else None,
        "time_in_force": fields.word("timeInForce", _LIFETIMES),
        "take_profit": _take_profit(fields.inner("takeProfit")),
        "stop_loss": stop,
        **_size(fields, stop, limit),
    }


def _size(fields: Fields, stop: dict[str, Decimal] | None, limit: Decimal | None) -> dict[str, Any]:
    kind, quantity = fields.word("quantityType", _QUANTITIES), fields.number("quantity")
    if quantity is None:
        return {}
    match kind:
        case "dollar_amount":
            return {"notional": quantity}
        case "percent_of_equity":
            return {"percent": quantity}
        case "risk_dollar_amount":
            if size := risked(quantity, stop or {}, limit):
                return size
            detail = "risk_dollar_amount needs a stopLoss with percent or amount (or a limit order)"
            raise unsupported("quantityType", detail)
        case "percent_of_position":
            raise unsupported("quantityType", "percent_of_position is for an exit")
    return {"amount": quantity}


def _take_profit(given: Fields | None) -> dict[str, Decimal] | None:
    if given is None:
        return None
    target = _target(given, price="limitPrice")
    given.finish(strict=True)
    return target


def _stop_loss(given: Fields | None) -> dict[str, Decimal] | None:
    if given is None:
        return None
    kind = given.word("type", {name: name for name in ("stop", "stop_limit", "trailing_stop")})
    if kind not in (None, "stop"):
        raise unsupported("stopLoss.type", "fks protects with stop market orders: use 'stop'")
    given.refuse(["trailAmount", "trailPercent", "limitPrice"], "fks protects with stop market orders")
    target = _target(given, price="stopPrice")
    given.finish(strict=True)
    return target


def _target(given: Fields, *, price: str) -> dict[str, Decimal]:
    names = {"price": price, "percent": "percent", "offset": "amount"}
    values = {ours: given.number(theirs) for ours, theirs in names.items()}
    return {ours: value for ours, value in values.items() if value is not None}
