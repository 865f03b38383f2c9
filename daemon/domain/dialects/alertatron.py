"""Alertatron's scripts: `Keys(SYMBOL) { market(side=buy, amount=1); }`.

Source: alertatron.com/docs, "Automated Trading". `Keys` names the fks account. The vendor authenticates
by the webhook's URL, so here a line `secret=...` outside of the braces does. One entry with its stop and
its take profits is one alert; any other sequence is refused.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fks.domain.dialects.fields import Fields, pairs, several, to_number, unsupported

_HEAD = re.compile(r"(?<![\w-])(?P<keys>[\w-]{1,64})\((?P<symbol>[^()\n]{1,64})\)\s{0,64}\{")
_SECRET = re.compile(r"\bsecret\s{0,9}=\s{0,9}(\S+)", re.IGNORECASE)
_COMMENT = re.compile(r"#[^\n]*")
_COMMAND = re.compile(r"(?P<name>[A-Za-z]{1,40})\s{0,9}\((?P<values>[^(){};]*)\)")
_OFFSET = re.compile(r"(?P<from_entry>e?)(?P<number>[0-9.,]+)(?P<percent>%?)")

_ENTRIES = {"market": "market", "marketorder": "market", "limit": "limit", "limitorder": "limit"}
_STOPS = ("stoporder", "stopmarketorder", "stoploss")
_PROFITS = ("takeprofit", "takeprofitorder")
_SILENT = ("notify", "sms", "slack", "account", "balance")  # they tell somebody, and trade nothing
_SIDES = {"buy": "buy", "sell": "sell"}


def read(text: str) -> dict[str, Any] | None:
    """Keys, symbol and commands, or None when it is none of Alertatron's. Raises nothing."""
    secrets, text = _SECRET.findall(text), _SECRET.sub("", text)
    head = _HEAD.search(text)
    if head is None:
        return None
    commands, _, after = text[head.end() :].partition("}")
    fields = [("keys", head["keys"]), ("symbol", head["symbol"].strip()), ("commands", commands)]
    fields += [("secret", secret) for secret in secrets]
    fields += [("note", f"{text[: head.start()]} {after}".strip())]  # tags, a time: it tells events apart
    return pairs(fields + ([("commands", after)] if _HEAD.search(after) else []))


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `read` found as native fields. A stop or take profit names the other side, and as its amount the
    entry's or a share of the position (`50%p`). Raises Refusal.
    """
    fields = Fields(given)
    alert: dict[str, Any] = {"exchange": fields.needed("keys"), "symbol": fields.needed("symbol")}
    commands = [one for one in _commands(fields.needed("commands")) if one[0] not in _SILENT]
    fields.take("note")
    fields.finish(strict=True)
    if not commands:
        raise unsupported("commands", "there is none that trades")
    (name, values), rest = commands[0], commands[1:]
    if name in ("cancel", "cancelorders"):
        alert |= _cancel(values)
    elif name not in _ENTRIES:
        raise unsupported(name, "fks reads market, limit, stopOrder, takeProfit and cancel")
    elif position := values.text("position"):
        if position != "0" or _ENTRIES[name] != "market":
            raise unsupported(f"{name}.position", "fks knows market(position=0), which closes")
        alert |= {"action": "close"}
    else:
        entry, size = _entry(name, values, alert["symbol"])
        alert |= entry | _protection(rest, entry["action"], size, market=entry["order_type"] == "market")
        rest = []
    values.finish(("tag",), ("tag",), strict=True)
    if rest:
        raise several(f"{name} comes with {rest[0][0]}")
    return alert


def _commands(text: str) -> list[tuple[str, Fields]]:
    text = _COMMENT.sub("", text)
    if _COMMAND.sub("", text).strip(" \t\r\n;"):
        raise unsupported("commands", "between the braces there is something that is no command")
    return [(found["name"].lower(), _values(found)) for found in _COMMAND.finditer(text)]


def _values(command: re.Match[str]) -> Fields:
    parts = [part.partition("=") for part in command["values"].split(",") if part.strip()]
    named = [
        (key.strip() if equals else "", (value if equals else key).strip()) for key, equals, value in parts
    ]
    return Fields(pairs(named), command["name"].lower())


def _cancel(values: Fields) -> dict[str, Any]:
    """Without `which` the vendor cancels what the same script opened, which here is nothing."""
    sides = {"all": None, "buy": "long", "sell": "short"}
    which = values.needed("which").lower()
    if which not in sides:
        raise unsupported("cancel.which", f"{which[:40]!r} is not one of all, buy, sell")
    return {"action": "cancel", "position_side": sides[which]}


def _entry(name: str, values: Fields, symbol: str) -> tuple[dict[str, Any], str]:
    """The order without its protection, and its amount as it is written."""
    size = values.needed("amount")
    entry: dict[str, Any] = {"action": values.word("side", _SIDES), "order_type": _ENTRIES[name]}
    if entry["order_type"] == "limit":
        at = values.needed("offset")
        if not at.startswith("@"):
            raise unsupported(f"{name}.offset", "a limit needs a fixed price (@50000): fks follows no offset")
        entry["price"] = to_number(f"{name}.offset", at[1:])
    if values.flag("reduceOnly"):
        entry["reduce_only"] = True
    return entry | _amount(f"{name}.amount", size, symbol), size


def _amount(field: str, text: str, symbol: str) -> dict[str, Decimal]:
    if re.fullmatch(r"[0-9.]+%", text):
        return {"percent": to_number(field, text[:-1])}
    if "%" in text or not text[-1:].isdigit():
        raise unsupported(field, f"{text[:40]!r}: fks takes base units (0.1) or percent of the equity (5%)")
    if symbol.upper().endswith(("USD", "PERPETUAL")):
        raise unsupported(field, f"of {symbol} it may count contracts: say percent of the equity (5%)")
    return {"amount": to_number(field, text)}


def _protection(
    commands: list[tuple[str, Fields]], action: str | None, size: str, *, market: bool
) -> dict[str, Any]:
    """What follows the entry, when all of it protects that entry."""
    stops: list[dict[str, Any]] = []
    profits: list[dict[str, Any]] = []
    for name, values in commands:
        legs = stops if name in _STOPS else profits if name in (*_PROFITS, *_ENTRIES) else None
        side = values.word("side", _SIDES)
        if legs is None or _ENTRIES.get(name) == "market" or side in (None, action):
            raise several(f"{name} after an entry is no stop loss or take profit of it")
        values.flag("reduceOnly")  # protection always is
        share = _share(name, values.needed("amount"), size)
        legs.append(_target(f"{name}.offset", values.needed("offset"), market=market) | share)
        values.finish(("tag",), ("tag",), strict=True)
    if len(stops) > 1 or any("share" in stop for stop in stops):
        raise several("a stop loss is one, for the whole position")
    return {"stop_loss": stops[0] if stops else None, "take_profit": profits or None}


def _share(name: str, text: str, size: str) -> dict[str, Decimal]:
    if text in ("100%p", size):
        return {}
    if not text.endswith("%p"):
        raise unsupported(f"{name}.amount", "of a stop or take profit is a percent of the position (100%p)")
    return {"share": to_number(f"{name}.amount", text[:-2]) / 100}


def _target(field: str, text: str, *, market: bool) -> dict[str, Decimal]:
    """A price (`@`), or a distance: from the entry (`e`), or from the market, which is where a market order
    enters.
    """
    if text.startswith("@"):
        return {"price": to_number(field, text[1:])}
    found = _OFFSET.fullmatch(text)
    if found is None or not (market or found["from_entry"]):
        raise unsupported(field, f"{text[:40]!r}: after a limit entry say e..., the distance from its price")
    unit = "percent" if found["percent"] else "offset"
    return {unit: to_number(field, found["number"])}
