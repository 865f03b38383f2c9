"""What the stand-ins share in reading requests and writing rows."""

from decimal import Decimal
from typing import Any

from standins.account import ZERO
from standins.orders import Reason, Refused

_UNITS = {"m": 60, "h": 3600, "d": 86_400}


def number(params: dict[str, Any], name: str) -> Decimal:
    """A decimal parameter; 0 when it is absent or empty."""
    text = str(params.get(name) or "0")
    try:
        return Decimal(text)
    except ArithmeticError:
        raise Refused(Reason.REQUEST, f"{name}={text}") from None


def plain(value: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def or_empty(value: Decimal) -> str:
    """Zero as the empty text, as exchanges write a price that is not there."""
    return plain(value) if value else ""


def digits(step: Decimal) -> int:
    """Places after the point of a step."""
    return max(0, -int(step.normalize().as_tuple().exponent))


def interval_ms(text: str) -> int:
    """Milliseconds in an interval such as 15m, 1H or, in minutes alone, 60."""
    if text.isdigit():
        return int(text) * 60_000
    unit = text[-1].lower()
    return int(text[:-1] or "1") * _UNITS[unit] * 1000


def candle_starts(interval: str, limit: int, now: int) -> list[int]:
    """The last `limit` candles, oldest first; the last one is still open."""
    step = interval_ms(interval)
    last = now // step
    return [index * step for index in range(last - limit + 1, last + 1)]


def fees(trades: Any) -> dict[str, Decimal]:
    """By currency."""
    found: dict[str, Decimal] = {}
    for one in trades:
        found[one.fee_asset] = found.get(one.fee_asset, ZERO) + one.fee
    return found
