"""The native alert: its shape and its strict reading.

`parse_json` → `parse_alert` turn bytes into an `Alert` or raise a `Refusal` that names the field at fault.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from fks.domain.errors import Refusal
from fks.domain.money import parse_decimal
from fks.domain.orders import OrderType

SECRET_FIELD = "secret"  # noqa: S105 - a field's name


class Action(StrEnum):
    BUY = "buy"
    SELL = "sell"
    CLOSE = "close"
    CANCEL = "cancel"


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a protective order goes: exactly one of price, percent or offset (both from the entry's price).

    `share` of the position, 0..1, for one of several take profits.
    """

    price: Decimal | None = None
    percent: Decimal | None = None
    offset: Decimal | None = None
    share: Decimal | None = None


class Alert(Struct, frozen=True, kw_only=True):
    """One alert in the daemon's own words. Prices are in quote units; None is not given."""

    symbol: str  # as the sender calls the market
    action: Action
    timestamp: float | None = None  # UTC epoch seconds
    confidence: Decimal | None = None  # 0..1; see `webhook.min_confidence`
    id: str | None = None  # the event's own: the same id is the same alert
    exchange: str | None = None  # an account's name
    exchanges: tuple[str, ...] = ()  # instead of it: one intent for each account
    amount: Decimal | None = None  # base units; at most one of these three
    notional: Decimal | None = None  # quote units
    percent: Decimal | None = None  # of equity
    sizing: dict[str, Any] | None = None  # keys of `[sizing]` laid over the configured ones
    order_type: OrderType = OrderType.MARKET
    price: Decimal | None = None  # of a market order: what the sender saw
    stop_price: Decimal | None = None  # what triggers a stop or stop-limit order
    trail_percent: Decimal | None = None
    take_profit: tuple[Target, ...] = ()
    stop_loss: Target | None = None
    time_in_force: str | None = None
    post_only: bool = False
    reduce_only: bool = False
    leverage: int | None = None
    margin_mode: str | None = None
    market_position: str | None = None  # long, short or flat: the strategy's, after this order
    prev_market_position: str | None = None  # and before it
    position_size: Decimal | None = None  # base units, after this order; its sign is not read
    position_side: str | None = None  # of a close or a cancel: only "long" or only "short"
    share: Decimal | None = None  # of a close: the part of the position, 0..1
    max_lag: Decimal | None = None  # seconds: shortens `webhook.max_age_s`, never lengthens it
    strategy: str | None = None
    order_id: str | None = None  # the strategy's own order name ({{strategy.order.id}})
    bar_time: str | None = None
    comment: str | None = None

    @property
    def ends_flat(self) -> bool:
        """Whether its strategy holds nothing after it: that closes everything, whatever size it names."""
        return (self.market_position or "").strip().lower() == "flat"


_TEXT_LIMIT = 200
_DEEPEST = 16  # levels of nesting; an alert has three
_MAY_BE_EMPTY = ("comment", "strategy", "order_id", "bar_time")  # a template's placeholder without a value
# Not in the schema, which stored alerts are read with as well.
_WORDS = {"time_in_force": ("gtc", "ioc", "fok"), "margin_mode": ("isolated", "cross")}
_SIZES = ("amount", "notional", "percent")
_FIELD = re.compile(r"`\$\.([a-z_]+)")


def parse_json(body: bytes) -> dict[str, Any]:
    """The body as one flat-enough JSON object, numbers exact.

    Raises Refusal for anything else: not UTF-8, byte-order mark, NaN, duplicate keys, deep nesting,
    half of a surrogate pair.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("alert.encoding", "the body is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise Refusal("alert.encoding", "the body begins with a byte-order mark")
    try:
        value = json.loads(
            text,
            parse_float=_json_number,
            parse_int=_json_number,
            parse_constant=_no_constant,
            object_pairs_hook=_no_duplicates,
        )
    except RecursionError:
        raise Refusal("alert.json", "the body is nested too deeply") from None
    except ValueError as error:
        raise Refusal("alert.json", f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refusal("alert.json", "the body is not a JSON object")
    _check_storable(value, _DEEPEST)
    return value


def _json_number(text: str) -> Decimal:
    # Decimal also for integers: int() of a very long literal is slow, and then refused anyway.
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number's exponent is out of all bounds") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number (TradingView sends it for a plot or price without a value)")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"the key {name[:80]!r} appears twice")
        result[name] = value
    return result


def _check_storable(value: Any, deeper: int) -> None:
    """Whether the body can be hashed and written down; it is walked before anybody trusts it."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refusal("alert.encoding", "the body holds half of a surrogate pair") from None
    if isinstance(value, (dict, list)):
        if deeper == 0:
            raise Refusal("alert.json", "the body is nested too deeply")
        for one in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_storable(one, deeper - 1)


def parse_alert(raw: dict[str, Any]) -> Alert:
    """The native alert in `raw`, whose unknown fields are ignored. Raises Refusal naming the field."""
    fields = {name: raw[name] for name in Alert.__struct_fields__ if raw.get(name) is not None}
    for name in _MAY_BE_EMPTY:
        if fields.get(name) == "":
            del fields[name]
    for name in ("symbol", "action"):
        if name not in fields:
            raise Refusal("alert.missing", f"the field {name!r} is required", name)
    for name, read in _READERS.items():
        if name in fields:
            fields[name] = read(name, fields[name])
    try:
        alert = msgspec.convert(fields, Alert, strict=True)
    except msgspec.ValidationError as error:
        where = _FIELD.search(str(error))
        raise Refusal("alert.schema", str(error), where[1] if where else None) from None
    _check_shape(alert)
    _check_null(raw, alert)
    return alert


def _check_null(raw: dict[str, Any], alert: Alert) -> None:
    """Null is absent, but whoever says that his order's size is null does not ask for the configured one."""
    opens = alert.action in (Action.BUY, Action.SELL) and not alert.ends_flat  # else no size is asked for
    if not opens or any(getattr(alert, name) for name in _SIZES):
        return
    for name in _SIZES:
        if name in raw:
            detail = f"{name} is null: leave it out for the configured size"
            raise Refusal("alert.number", detail, name)


def _number(name: str, value: object) -> Decimal:
    try:
        number = parse_decimal(value)
    except ValueError as error:
        raise Refusal("alert.number", f"{name}: {error}", name) from None
    return number


def _positive(name: str, value: object) -> Decimal:
    number = _number(name, value)
    if number <= 0:
        raise Refusal("alert.number", f"{name} must be above zero", name)
    return number


def _word(_name: str, value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _text(_name: str, value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value  # templates send ids as bare numbers


def _whole(name: str, value: object) -> int:
    number = _positive(name, value)
    if number != int(number):
        raise Refusal("alert.number", f"{name} must be a whole number", name)
    return int(number)


def _names(name: str, value: object) -> object:
    if value == []:  # it was narrowed to nothing: the default account is not what was meant
        raise Refusal("alert.schema", f"{name} names no account", name)
    return value


def _target(name: str, value: object) -> Target:
    if not isinstance(value, dict):
        return Target(price=_positive(name, value))
    unknown = set(value) - set(Target.__struct_fields__)
    if unknown:
        raise Refusal("alert.schema", f"{name} has the unknown key {min(unknown)[:40]!r}", name)
    numbers = {key: _positive(name, one) for key, one in value.items()}
    if len(numbers.keys() & {"price", "percent", "offset"}) != 1:
        raise Refusal("alert.schema", f"{name} needs exactly one of price, percent, offset", name)
    if "share" in numbers and numbers["share"] > 1:
        raise Refusal("alert.number", f"{name}: share is a part of 1", name)
    return Target(**numbers)


def _stop(name: str, value: object) -> Target:
    stop = _target(name, value)
    if stop.share is not None:
        raise Refusal("alert.schema", "stop_loss covers the whole position: it takes no share", name)
    return stop


def _targets(name: str, value: object) -> tuple[Target, ...]:
    return tuple(_target(name, one) for one in (value if isinstance(value, list) else [value]))


def parse_time(value: object) -> float:
    """UTC epoch seconds from ISO 8601 (without an offset: UTC), or from epoch seconds or milliseconds."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{9,14}(\.[0-9]+)?", value := value.strip()):
        try:
            moment = datetime.fromisoformat(value.upper())  # RFC 3339, 5.6: also a lower-case t and z
        except ValueError:
            raise Refusal("alert.timestamp", "timestamp is neither ISO 8601 nor epoch", "timestamp") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    number = float(_positive("timestamp", value))
    return number / 1000 if number > 1e11 else number  # 1e11 s is the year 5138


# How a field is read before the schema sees it.
_READERS: dict[str, Callable[[str, object], object]] = {
    "timestamp": lambda _name, value: parse_time(value),
    "exchanges": _names,
    "leverage": _whole,
    "stop_loss": _stop,
    "take_profit": _targets,
    **dict.fromkeys(("confidence", "position_size"), _number),
    **dict.fromkeys(
        ("amount", "notional", "percent", "price", "stop_price", "trail_percent", "share", "max_lag"),
        _positive,
    ),
    **dict.fromkeys(("action", "order_type", "time_in_force", "position_side"), _word),
    "margin_mode": lambda name, value: "cross" if _word(name, value) == "crossed" else _word(name, value),
    **dict.fromkeys(("id", "order_id", "bar_time"), _text),
}


def _check_shape(alert: Alert) -> None:
    """What the fields demand of each other."""
    for name in ("symbol", "id", "exchange", "strategy", "comment", "order_id", "bar_time"):
        text = getattr(alert, name)
        if text is not None and (not text.strip() or len(text) > _TEXT_LIMIT or not text.isprintable()):
            raise Refusal("alert.schema", f"{name} must be 1 to {_TEXT_LIMIT} printable characters", name)
    if alert.confidence is not None and not 0 <= alert.confidence <= 1:
        raise Refusal("alert.number", "confidence must be between 0 and 1", "confidence")
    sizes = [name for name in _SIZES if getattr(alert, name) is not None]
    if len(sizes) > 1:
        raise Refusal("alert.schema", f"give one of {' and '.join(sizes)}, not both", sizes[1])
    if alert.action in (Action.BUY, Action.SELL) and not alert.ends_flat:  # a way out uses none of it
        _check_words(alert)
        _check_order_shape(alert)
    _check_part(alert)


def _check_part(alert: Alert) -> None:
    """What narrows a close or a cancel."""
    if alert.share is not None and (alert.action is not Action.CLOSE or alert.share > 1):
        raise Refusal(
            "alert.schema", "share is the part of the position that a close closes, 0 to 1", "share"
        )
    if alert.action is Action.CLOSE:
        _check_close_size(alert)
    if alert.position_side is None:
        return
    if alert.position_side not in ("long", "short"):
        raise Refusal("alert.schema", "position_side is long or short", "position_side")
    if alert.action in (Action.BUY, Action.SELL):
        detail = "position_side narrows a close or a cancel; a buy or sell says its side itself"
        raise Refusal("alert.schema", detail, "position_side")


def _check_close_size(alert: Alert) -> None:
    """Of a position no other part is meant than a share or an amount of it."""
    for name in ("notional", "percent"):
        if getattr(alert, name) is not None:
            detail = f"a close takes no {name}: give share (0 to 1) or amount, or neither to close all of it"
            raise Refusal("alert.schema", detail, name)
    if alert.amount is not None and alert.share is not None:
        raise Refusal("alert.schema", "give one of amount and share, not both", "share")


def _check_words(alert: Alert) -> None:
    for name, words in _WORDS.items():
        if getattr(alert, name) not in (None, *words):
            raise Refusal("alert.schema", f"{name} is one of {', '.join(words)}", name)


def _check_order_shape(alert: Alert) -> None:
    for name in alert.order_type.needs:
        if getattr(alert, name) is None:
            raise Refusal("alert.missing", f"a {alert.order_type} order needs {name}", name)
    if alert.stop_price is not None and "stop_price" not in alert.order_type.needs:
        detail = (
            f"a {alert.order_type} order has no stop_price: say order_type stop or stop_limit, or stop_loss"
        )
        raise Refusal("alert.schema", detail, "stop_price")
    if sum((one.share or 0) for one in alert.take_profit) > 1:
        raise Refusal("alert.number", "the shares of take_profit exceed 1", "take_profit")
    if len(alert.take_profit) > 1 and any(one.share is None for one in alert.take_profit):
        raise Refusal("alert.missing", "each of several take profits needs a share", "take_profit")
    if alert.post_only and alert.order_type not in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        raise Refusal("alert.schema", "post_only needs a limit price", "post_only")
    reference = alert.price if alert.order_type is OrderType.LIMIT else None
    if reference is None:
        return
    up = 1 if alert.action is Action.BUY else -1
    if alert.stop_loss and alert.stop_loss.price and (alert.stop_loss.price - reference) * up >= 0:
        raise Refusal("alert.number", "stop_loss is on the profit side of the entry price", "stop_loss")
    for target in alert.take_profit:
        if target.price and (target.price - reference) * up <= 0:
            raise Refusal("alert.number", "take_profit is on the loss side of the entry price", "take_profit")
