"""OKX' signal bot: the form for Pine strategies and the universal one.

Source: okx.com/help, "Trading Signal Bot Alert Message 2.0 Specifications". `signalToken` authenticates.
`id` is the strategy's order name, not the alert's. What counts in the bot's own margin or contracts is
refused: fks has neither.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fks.domain.dialects.fields import Fields, unsupported

KNOWN = frozenset(
    (
        "id", "action", "marketPosition", "prevMarketPosition", "instrument", "timestamp", "maxLag",
        "investmentType", "amount", "orderType", "orderPriceOffset",
    )
)  # fmt: skip

_MAX_LAG_S = Decimal(60)  # the vendor's default
_SIDES = {name: name for name in ("long", "short", "flat")}
_ENTRIES = {"buy": "buy", "sell": "sell", "enter_long": "buy", "enter_short": "sell"}
_EXITS = {"exit_long": "long", "exit_short": "short"}
_INVESTMENTS = {
    name: name
    for name in (
        "margin", "contract", "percentage_balance", "percentage_investment", "percentage_position", "base",
    )
}  # fmt: skip


def fits(given: Mapping[str, Any]) -> bool:
    """Whether it is OKX': no other format has these two names."""
    return "instrument" in given or "signalToken" in given


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """The native fields. Without `maxLag` an alert is good for 60 s, as the vendor has it. Raises Refusal."""
    fields = Fields(given)
    action = fields.word("action", {name: name for name in (*_ENTRIES, *_EXITS)})
    alert: dict[str, Any] = {
        "symbol": fields.needed("instrument"),
        "order_id": fields.text("id"),
        "timestamp": fields.take("timestamp"),
        "max_lag": fields.number("maxLag") or _MAX_LAG_S,
        "market_position": fields.word("marketPosition", _SIDES),
        "prev_market_position": fields.word("prevMarketPosition", _SIDES),
    }
    if fields.word("orderType", {"market": False, "limit": True}):
        raise unsupported("orderType", "a limit at an offset from the market is not possible: use market")
    fields.take("orderPriceOffset")  # of a market order: without meaning
    size = _size(fields)
    if action in _EXITS:
        alert |= _exit(_EXITS[action], size)
    elif "share" in size:
        raise unsupported("investmentType", "percentage_position is for EXIT_LONG and EXIT_SHORT")
    else:
        alert |= {"action": _ENTRIES.get(action or ""), **size}
    fields.finish(KNOWN)
    return alert


def _size(fields: Fields) -> dict[str, Any]:
    kind, amount = fields.word("investmentType", _INVESTMENTS), fields.number("amount")
    if amount is None:
        return {}
    match kind:
        case "base":
            return {"amount": amount}
        case "percentage_position":
            return {"share": amount / 100}
        case None:
            raise unsupported("amount", "needs an investmentType, else its unit would be a guess")
    raise unsupported(
        "investmentType", f"{kind} counts in the bot's own funds: use base, or let fks size the order"
    )


def _exit(side: str, size: dict[str, Any]) -> dict[str, Any]:
    if "amount" in size:
        return {"action": "sell" if side == "long" else "buy", "reduce_only": True, **size}
    return {"action": "close", "position_side": side, **size}
