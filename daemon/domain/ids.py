"""Names that are functions of what they name: the same alert always gives the same ids.

So a re-send, or the daemon after a crash, meets its own earlier work instead of doubling it.
"""

import hashlib
import uuid
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

from fks.domain.alerts import Alert

# JSON allows 1e400 and 5,000 digits; two such numbers must neither overflow nor look alike.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
# TradingView's last try starts 27 s after its first; two alerts of one bar each are 60 s apart.
RESEND_S = 45.0
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _base36(data: bytes, length: int) -> str:
    number = int.from_bytes(hashlib.sha256(data).digest())
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 36)
        digits.append(_DIGITS[rest])
    return "".join(digits)


def _join(*parts: object) -> bytes:
    # Length-prefixed, so that no two lists of parts give the same bytes.
    return b"".join(b"%d:%s" % (len(raw), raw) for raw in (str(part).encode() for part in parts))


def alert_key(alert: Alert, accounts: tuple[str, ...], message_id: str | None = None) -> str:
    """What makes an alert that event and no other: the sender's id, or the fields that tell fills apart.

    An id is the key by itself: used again for another account or strategy it is a conflict, no further order.
    Two real fills within TradingView's one-second clock differ in position size, order name, contracts
    or price; a re-send differs in none. The body's hash would also split on a changed comment.
    """
    if alert.id is not None:
        return "id:" + hashlib.sha256(_join(alert.id)).hexdigest()
    if message_id is not None:
        return "wh:" + hashlib.sha256(_join(message_id)).hexdigest()
    event = (
        ",".join(sorted(accounts)), alert.strategy or "",
        alert.order_id, alert.action, alert.symbol, alert.bar_time, alert.timestamp,
        alert.position_size, alert.market_position, alert.amount, alert.notional, alert.percent,
        alert.price, alert.order_type,
    )  # fmt: skip
    narrowed = [part for part in (alert.position_side, alert.share) if part is not None]
    return "ev:" + hashlib.sha256(_join(*event, *narrowed)).hexdigest()


def timeless_keys(digest: str, accounts: tuple[str, ...], now: float) -> tuple[str, tuple[str, str]]:
    """The key of a body that carries neither a time nor an id, and its keys in the spans beside this one.

    What was received under one of the three within `RESEND_S` is the same alert sent again; later, the
    same body is a new one.
    """
    span = int(now // RESEND_S)
    scope = ",".join(sorted(accounts))
    own, before, after = (
        "tl:" + hashlib.sha256(_join(scope, digest, n)).hexdigest() for n in (span, span - 1, span + 1)
    )
    return own, (before, after)


def alert_id(key: str) -> str:
    """The public name of the alert with that key: `a` and 17 of [a-z0-9]."""
    return "a" + _base36(_join("alert", key), 17)


def client_order_id(alert_id: str, account: str, leg: str, attempt: int) -> str:
    """`q` and 17 of [a-z0-9] (88 bits): sent as it is, or in the shape that `venues.ccxt_dialects`
    names for the exchange.
    """
    return "q" + _base36(_join(alert_id, account, leg, attempt), 17)


def as_uuid(client_id: str) -> str:
    """The same id in the shape that exchanges with UUIDs demand."""
    return str(uuid.UUID(bytes=hashlib.sha256(client_id.encode()).digest()[:16], version=4))


def as_hex(client_id: str) -> str:
    """The same id as `0x` and 32 hexadecimal digits."""
    return "0x" + hashlib.sha256(client_id.encode()).hexdigest()[:32]


def as_digits(client_id: str) -> str:
    """The same id as 15 decimal digits (50 bits), the first not 0: exact even where it becomes a float."""
    number = int.from_bytes(hashlib.sha256(client_id.encode()).digest())
    return str(10**14 + number % (9 * 10**14))


def digest(body: dict[str, Any]) -> str:
    """SHA-256 of the body's meaning: key order, white space and a number's spelling do not matter."""
    return hashlib.sha256(_canonical(body)).hexdigest()


def _canonical(value: Any) -> bytes:
    match value:
        case dict():
            return b"{" + b"".join(_canonical(k) + _canonical(value[k]) for k in sorted(value)) + b"}"
        case list():
            return b"[" + b"".join(_canonical(one) for one in value) + b"]"
        case Decimal():
            return _join("n", *_EXACT.normalize(value).as_tuple())
        case _:
            return _join(type(value).__name__, value)
