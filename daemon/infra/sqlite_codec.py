"""Rows to facts and back: decimals are TEXT, flags are 0 and 1, enumerations their names."""

import json
import math
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from fks.domain.alerts import Alert
from fks.domain.messages import Event, Fill, Intent, Order, Position
from fks.domain.money import plain

Row = tuple[Any, ...]

_FLAGS = frozenset({"post_only", "reduce_only", "attached", "cancel_requested", "waived"})
_exact = msgspec.json.Encoder(decimal_format="number")
_alert = msgspec.json.Decoder(Alert, float_hook=Decimal)

ORDER = ", ".join(Order.__struct_fields__)
FILL = ", ".join(Fill.__struct_fields__)
POSITION = ", ".join(Position.__struct_fields__)
EVENT = ", ".join(Event.__struct_fields__)
INTENT = "i.alert_id, i.account, a.alert, a.received_at, a.good_until, i.state, i.reason, i.code"
ALERT = "id, key, digest, source, state, symbol, action, strategy, body, received_at, good_until, updated_at"


def value(of: object) -> str | int | float | None:
    """What SQLite stores. Raises TypeError for a kind of value that no column has."""
    match of:
        case Decimal():
            return plain(of)
        case bool():
            return int(of)
        case str():
            return str(of)
        case int() | float() | None:
            return of
    raise TypeError(f"no column for {type(of).__name__}")


def order_values(order: Order) -> list[str | int | float | None]:
    """In the order of `ORDER`."""
    return [value(getattr(order, name)) for name in Order.__struct_fields__]


@lru_cache(4096)
def order(row: Row) -> Order:
    """Every look at the live orders reads all of them, mostly as they were: a hit costs a tenth."""
    fields = {
        name: bool(one) if name in _FLAGS else one
        for name, one in zip(Order.__struct_fields__, row, strict=True)
    }
    return msgspec.convert(fields, Order)


def fill(row: Row) -> Fill:
    return msgspec.convert(dict(zip(Fill.__struct_fields__, row, strict=True)), Fill)


def position(row: Row) -> Position:
    return msgspec.convert(dict(zip(Position.__struct_fields__, row, strict=True)), Position)


def event(row: Row) -> Event:
    seq, time, kind, alert_id, order_id, account, data = row
    return Event(
        seq=seq,
        time=time,
        kind=kind,
        alert_id=alert_id,
        order_id=order_id,
        account=account,
        data=msgspec.json.decode(data),
    )


def intent(row: Row) -> Intent:
    alert_id, account, alert, received_at, good_until, state, reason, code = row
    fields = {
        "alert_id": alert_id,
        "account": account,
        "alert": _alert.decode(alert),
        "received_at": received_at,
        "good_until": good_until,
        "state": state,
        "reason": reason,
        "code": code,
    }
    return msgspec.convert(fields, Intent)


def alert_text(alert: Alert) -> str:
    """The validated alert, numbers exact: what `intent` reads back."""
    return _exact.encode(alert).decode()


def body_text(body: dict[str, Any]) -> str:
    """The body as it was sent, numbers exact."""
    return _exact.encode(body).decode()


def alert_row(row: Row) -> dict[str, Any]:
    """JSON-ready: times as epoch seconds, the body as it was sent."""
    fields = dict(zip(ALERT.split(", "), row, strict=True))
    fields["body"] = json.loads(fields["body"], parse_float=_number, parse_int=_number)
    return fields


def _number(text: str) -> int | float | str:
    """As JSON can say it without loss, else as a string: `1e400` and 5,000 digits are legal JSON."""
    if text.lstrip("-").isdigit() and len(text) < 18:
        return int(text)
    number = float(text)
    return number if math.isfinite(number) and Decimal(repr(number)) == Decimal(text) else text
