"""POABOT's orders: `{"password", "exchange", "base", "quote", "side", ...}`.

Source: the vendor's Pine library "POA" and its server's order model. `password` authenticates; "NaN" is
how the library says "not given"; `exchange` names the fks account, in lower case.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fks.domain.dialects.fields import Fields, unsupported

HARMLESS = ("kis_number",)  # which Korean stock broker; the library always sends it
KNOWN = frozenset(
    (
        "exchange", "base", "quote", "side", "type", "price", "amount", "cost", "percent", "leverage",
        "stop_price", "profit_price", "margin_mode", "order_name", "hedge", *HARMLESS,
    )
)  # fmt: skip

# What to do, and which side it closes. Without a slash it is a spot order.
_SIDES = {
    "buy": ("buy", None), "sell": ("sell", "long"),
    "entry/buy": ("buy", None), "entry/sell": ("sell", None),
    "close/buy": ("buy", "short"), "close/sell": ("sell", "long"),
}  # fmt: skip
_UNITS = {"amount": "amount", "cost": "notional", "percent": "percent"}


def fits(given: Mapping[str, Any]) -> bool:
    """Whether it is POABOT's: the only format that parts a market into base and quote."""
    return {"base", "quote", "side"} <= given.keys()


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """The native fields. `percent` is of the position where a side closes, of equity where it enters a
    contract; of a spot buy it is refused. Raises Refusal.
    """
    fields = Fields({name: value for name, value in given.items() if value not in ("", "NaN")})
    fields.refuse(["hedge"], "fks does not hedge between exchanges")
    side = fields.needed("side").lower()
    if side not in _SIDES:
        raise unsupported("side", f"{side[:40]!r} is not one of {', '.join(_SIDES)}")
    action, closes = _SIDES[side]
    limit = fields.word("type", {"market": None, "limit": "limit"})
    alert: dict[str, Any] = {
        "exchange": fields.needed("exchange").lower(),
        "symbol": fields.needed("base") + fields.needed("quote"),
        "order_type": limit,
        "price": fields.number("price"),
        "comment": fields.text("order_name"),
    }
    unit, size = _size(fields)
    if closes is not None and unit == "percent":
        if limit:
            raise unsupported("type", "a percent of the position is closed at market: give an amount")
        alert |= {"action": "close", "position_side": closes, "share": size / 100, "price": None}
    elif side == "buy" and unit == "percent":
        raise unsupported("percent", "of a spot buy it counts free cash, fks counts equity: use cost")
    else:
        alert |= {"action": action, unit: size, **_contract(fields)}
        alert["reduce_only"] = side.startswith("close/")
    fields.finish(KNOWN, HARMLESS)
    return alert


def _size(fields: Fields) -> tuple[str, Decimal]:
    sizes = [(ours, fields.number(theirs)) for theirs, ours in _UNITS.items()]
    found = [(ours, size) for ours, size in sizes if size is not None]
    if len(found) != 1:
        raise unsupported("amount", "POABOT's orders have exactly one of amount, cost and percent")
    return found[0]


def _contract(fields: Fields) -> dict[str, Any]:
    return {
        "stop_loss": fields.number("stop_price"),
        "take_profit": fields.number("profit_price"),
        "leverage": fields.take("leverage"),
        "margin_mode": fields.word("margin_mode", {"isolated": "isolated", "cross": "cross"}),
    }
