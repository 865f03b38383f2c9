"""OctoBot's alerts: `KEY=VALUE`, separated by new lines or `;`.

Source: octobot.cloud, "TradingView alerts format", and its order amount and order price syntaxes.
`TOKEN` authenticates; `EXCHANGE` names the fks account, in lower case.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fks.domain.dialects.fields import Fields, pairs, to_number, unsupported

_SIGNALS = {name: name for name in ("buy", "sell", "cancel")}
_SIDES = {"buy": "long", "sell": "short"}
_UNITS = {"": "amount", "q": "notional", "%": "percent"}
_SPLIT = re.compile(r"[\n\r;]|\\n")
_AMOUNT = re.compile(r"(?P<number>[^%a-z]*)(?P<unit>[a-z]?%?)", re.IGNORECASE)
_PRICE = re.compile(r"(?P<from_entry>e?)(?P<number>[+-]?[0-9.,]+)(?P<unit>[%d]?)", re.IGNORECASE)
_TARGET = re.compile(r"TAKE_PROFIT_(PRICE|VOLUME_RATIO)(?:_([0-9]{1,2}))?")
_SHARE_DIGITS = Decimal("1e-12")


def read(text: str) -> dict[str, Any] | None:
    """The parameters by name, or None when it is none of OctoBot's. Raises nothing."""
    parts = [part.partition("=") for part in _SPLIT.split(text) if part.strip()]
    fields = pairs((key.strip().upper() if equals else "", value.strip()) for key, equals, value in parts)
    return fields if {"SYMBOL", "SIGNAL"} <= fields.keys() else None


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `read` found as native fields. STOP_PRICE is a stop loss, but of a stop order what triggers it.
    Raises Refusal.
    """
    fields = Fields(given)
    signal = fields.word("SIGNAL", _SIGNALS)
    exchange = fields.text("EXCHANGE")
    alert: dict[str, Any] = {
        "action": signal,
        "symbol": fields.needed("SYMBOL"),
        "exchange": re.sub("_dly?$", "", exchange.lower()) if exchange else None,
    }
    if signal == "cancel":
        fields.refuse(["TAG"], "fks cancels by symbol and side, not by tag")
        alert["position_side"] = fields.word("PARAM_SIDE", _SIDES)
    else:
        alert |= {"comment": fields.text("TAG"), "leverage": fields.take("LEVERAGE")}
        alert |= _order(fields, given, buying=signal == "buy")
    fields.finish(strict=True)
    return alert


def _order(fields: Fields, given: Mapping[str, Any], *, buying: bool) -> dict[str, Any]:
    kind = fields.word("ORDER_TYPE", {name: name for name in ("market", "limit", "stop")})
    if kind is None and "PRICE" in given:
        raise unsupported("PRICE", "without ORDER_TYPE it is not clear whether it is a limit")
    price = _fixed(fields, "PRICE")
    order = {"order_type": kind, "price": price, "reduce_only": fields.flag("REDUCE_ONLY"), **_volume(fields)}
    market = kind in (None, "market")
    if kind == "stop":
        order |= {"stop_price": _fixed(fields, "STOP_PRICE"), "price": None}
    elif (stop := fields.text("STOP_PRICE")) is not None:
        order["stop_loss"] = _target("STOP_PRICE", stop, market=market, above=not buying)
    order["take_profit"] = _take_profits(fields, given, market=market, above=buying)
    return order


def _fixed(fields: Fields, name: str) -> Decimal | None:
    text = fields.text(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9.,eE+]+", text):
        raise unsupported(name, "fks needs a fixed price here, not one relative to the market")
    return to_number(name, text)


def _volume(fields: Fields) -> dict[str, Any]:
    text = fields.text("VOLUME")
    if text is None:
        return {}
    found = _AMOUNT.fullmatch(text)
    unit = found["unit"].lower() if found else None
    if found is None or unit not in _UNITS:
        raise unsupported(
            "VOLUME",
            f"{text[:40]!r}: fks takes base units (0.1), quote units (100q) and percent of the equity (2%)",
        )
    return {_UNITS[unit]: to_number("VOLUME", found["number"])}


def _target(name: str, text: str, *, market: bool, above: bool) -> dict[str, Decimal]:
    """A price, or a distance: from the entry's price (`e`), or from the market, which for a market order
    is the same.
    """
    found = _PRICE.fullmatch(text)
    if found is None:
        raise unsupported(name, f"{text[:40]!r} is not a price of OctoBot's syntax")
    number = to_number(name, found["number"])
    if not found["unit"] and not found["from_entry"]:
        return {"price": number}
    if not market and not found["from_entry"]:
        raise unsupported(name, "relative to the market it is only possible for a market order: use e...")
    if (number > 0) is not above or number == 0:
        raise unsupported(name, f"{text[:40]!r} is on the wrong side of the entry")
    return {"percent" if found["unit"] == "%" else "offset": abs(number)}


def _take_profits(
    fields: Fields, given: Mapping[str, Any], *, market: bool, above: bool
) -> list[dict[str, Decimal]] | None:
    names: dict[str, list[tuple[int, str]]] = {"PRICE": [], "VOLUME_RATIO": []}
    for name in given:
        if found := _TARGET.fullmatch(name):
            names[found[1]].append((int(found[2] or 0), name))
    prices = [fields.needed(name) for _, name in sorted(names["PRICE"])]
    ratios = [fields.number(name) or Decimal(0) for _, name in sorted(names["VOLUME_RATIO"])]
    if ratios and len(ratios) != len(prices):
        raise unsupported("TAKE_PROFIT_VOLUME_RATIO", "is needed for each take profit, or for none")
    targets = [_target("TAKE_PROFIT_PRICE", price, market=market, above=above) for price in prices]
    if len(targets) < 2:
        return targets or None
    shares = _shares(ratios or [Decimal(1)] * len(targets))
    return [target | {"share": share} for target, share in zip(targets, shares, strict=True)]


def _shares(ratios: list[Decimal]) -> list[Decimal]:
    """Parts of exactly 1; the last takes what the rounding of the others left."""
    shares = [(ratio / sum(ratios, start=Decimal(0))).quantize(_SHARE_DIGITS) for ratio in ratios[:-1]]
    return [*shares, 1 - sum(shares, start=Decimal(0))]
