"""PineConnector's lines: `LicenseID,command,symbol,key=value,...`.

Source: docs.pineconnector.com, "Syntax". `secret=` authenticates, and where there is none the license id
does. A lot is one unit of the base currency, as with crypto CFDs. What `risk=`, `sl=`, `tp=` and `price=`
mean is a setting of the vendor's terminal, so they are refused in favour of the explicit keys.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fks.domain.dialects.fields import Fields, pairs, risked, unsupported

_ENTRIES: dict[str, dict[str, Any]] = {
    **{word: {"action": "buy"} for word in ("buy", "long", "bull", "bullish")},
    **{word: {"action": "sell"} for word in ("sell", "short", "bear", "bearish")},
    "buystop": {"action": "buy", "order_type": "stop"},
    "buylimit": {"action": "buy", "order_type": "limit"},
    "sellstop": {"action": "sell", "order_type": "stop"},
    "selllimit": {"action": "sell", "order_type": "limit"},
    "closelongopenshort": {"action": "sell", "prev_market_position": "long", "market_position": "short"},
    "closeshortopenlong": {"action": "buy", "prev_market_position": "short", "market_position": "long"},
}
_OTHERS: dict[str, dict[str, Any]] = {
    "closelong": {"action": "close", "position_side": "long"},
    "closeshort": {"action": "close", "position_side": "short"},
    "closelongshort": {"action": "close"},
    "cancellong": {"action": "cancel", "position_side": "long"},
    "cancelshort": {"action": "cancel", "position_side": "short"},
}
_REFUSED = {
    **dict.fromkeys(("newsltplong", "newsltpshort"), "fks does not move the targets of a running position"),
    **dict.fromkeys(("closeall", "eaon", "eaoff", "closealleaoff"), "use `fks halt` or `fks reduce`"),
}
_SETTINGS = {
    "risk": "vol_lots (units of the base currency), vol_dollar or vol_pct_bal_loss",
    "sl": "sl_price or sl_pct",
    "tp": "tp_price or tp_pct",
    "price": "entry_price",
}


def read(text: str) -> dict[str, Any] | None:
    """The line's parts by name, or None when it is none of PineConnector's. Raises nothing."""
    lines = [line for line in text.splitlines() if line.strip()]
    parts = [part.strip() for part in lines[0].split(",")] if lines else []
    if len(parts) < 3 or "=" in parts[0] or not _COMMAND.fullmatch(parts[1]):
        return None
    head = [("license", parts[0]), ("command", parts[1]), ("symbol", parts[2])]
    rest = [part.partition("=") for part in parts[3:]]
    named = [(key.strip().lower() if equals else "", value.strip().strip('"')) for key, equals, value in rest]
    more = [("command", "") for _ in lines[1:]]
    return pairs([*head, *named, *more])


_COMMAND = re.compile(
    "|".join((*_ENTRIES, *_OTHERS, *_REFUSED)) + "|(?:close|cancel|newsltp)[a-z]{1,40}", re.IGNORECASE
)


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `read` found as native fields. `vol_dollar` and `vol_pct_bal_loss` are what the stop loss may
    cost, not what is bought. Raises Refusal.
    """
    fields = Fields(given)
    command = fields.needed("command").lower()
    if command in _REFUSED:
        raise unsupported("command", f"{command}: {_REFUSED[command]}")
    known = _ENTRIES.get(command) or _OTHERS.get(command)
    if known is None:
        raise unsupported("command", f"{command!r} does several things at once: send one alert for each")
    for name, instead in _SETTINGS.items():
        fields.refuse([name], f"what it means is a setting of the vendor's terminal: say {instead}")
    alert = {**known, "symbol": fields.needed("symbol"), "comment": fields.text("comment")}
    if command in _ENTRIES:
        alert |= _entry(fields, known.get("order_type"))
    fields.finish(strict=True)
    return alert


def _entry(fields: Fields, order_type: str | None) -> dict[str, Any]:
    fields.refuse(["sl_pips", "tp_pips", "entry_pips"], "a pip has no fixed size here: use _price or _pct")
    stop = _target(fields, "sl")
    price = fields.number("entry_price") if order_type else None
    at = {"stop": "stop_price", "limit": "price"}.get(order_type or "")
    return {
        **({at: price} if at else {}),
        "stop_loss": stop or None,
        "take_profit": _target(fields, "tp") or None,
        **_size(fields, stop, price),
    }


def _target(fields: Fields, kind: str) -> dict[str, Decimal]:
    values = {"price": fields.number(f"{kind}_price"), "percent": fields.number(f"{kind}_pct")}
    return {name: value for name, value in values.items() if value is not None}


def _size(fields: Fields, stop: dict[str, Decimal], price: Decimal | None) -> dict[str, Any]:
    lots, dollars = fields.number("vol_lots"), fields.number("vol_dollar")
    lost = fields.number("vol_pct_bal_loss")
    if sum(one is not None for one in (lots, dollars, lost)) > 1:
        raise unsupported("vol_lots", "give one volume, not several")
    if lots is not None:
        return {"amount": lots}
    if lost is not None:
        return {"sizing": {"method": "risk_based", "risk_pct": lost / 100}}
    if dollars is None:
        return {}
    if size := risked(dollars, stop, price):
        return size
    raise unsupported("vol_dollar", "is what the stop loss may cost: it needs sl_pct (or a pending order)")
