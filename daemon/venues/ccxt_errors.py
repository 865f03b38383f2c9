"""The one table that says what an exchange's error proves, at the one door where ccxt's errors come in.

An order is refuted only by what is listed here; whatever is not, is unknown, and is looked up. The rows
were measured on ccxt 4.5: which class a code becomes there is an accident of each exchange's module, so
single codes win over classes.
"""

import re

from ccxt.base import errors as ccxt

from fks.domain.errors import NotSent, PlacementError, Rejected, Transient, Unknown
from fks.venues.trio_ccxt import Call

# The exchange looked at the order and said no. None: unknown although a parent class is listed.
_REFUSED: dict[type[Exception], str | None] = {
    ccxt.InsufficientFunds: "insufficient_funds",
    ccxt.InvalidOrder: "invalid_order",
    ccxt.OrderImmediatelyFillable: "would_execute",
    ccxt.OrderNotFillable: "not_fillable",
    ccxt.ContractUnavailable: "contract_unavailable",
    ccxt.OrderNotFound: None,
    ccxt.OrderNotCached: None,
    ccxt.DuplicateOrderId: None,
    ccxt.AuthenticationError: "authentication",
    ccxt.PermissionDenied: "permission_denied",
    ccxt.AccountNotEnabled: "account_not_enabled",
    ccxt.AccountSuspended: "account_suspended",
    ccxt.BadSymbol: "bad_symbol",
    ccxt.MarketClosed: "market_closed",
    ccxt.RestrictedLocation: "restricted_location",
}

# The exchange refused to look: too many requests, or a timestamp outside of its window.
_NOT_TAKEN: dict[type[Exception], str | None] = {
    ccxt.RateLimitExceeded: "rate_limit",
    ccxt.DDoSProtection: "rate_limit",
    ccxt.InvalidNonce: "clock",
    ccxt.ChecksumError: None,
}

# Codes that say more than the class they become. A code of None: unknown, whatever its class says.
_CODES: dict[tuple[str, str], str | None] = {
    ("binance", "-1013"): "invalid_order",  # filter failure; a BadRequest
    (
        "binance",
        "-2015",
    ): "authentication",  # key, address or permission; a DDoSProtection after the first success
    ("kucoin", "408000"): None,
    ("bybit", "5004"): None,
    ("bybit", "10016"): None,
    ("bybit", "170032"): None,
    ("bybit", "170146"): None,  # an InvalidOrder, and yet a timeout of theirs
    ("bitget", "40015"): None,
    ("bitget", "30030"): None,
    **{("binance", str(code)): "invalid_order" for code in range(-1139, -1099) if code != -1121},
}

_CODE = re.compile(r'"(?:code|retCode|ret_code|sCode|err_code|errorCode|label)"\s*:\s*"?(-?\w+)')
_EXISTS = re.compile(r"(?i)duplicate|already exist|has been used|repeated")
_BAN_S = 120.0  # a ban that does not say how long: Binance's shortest is 2 minutes
_DETAIL = 300


def placement_error(error: Exception, exchange_id: str, call: Call) -> PlacementError:
    """What `error` proves of the placement or cancellation made within `call`.

    NotSent, Rejected (with a stable code) or Unknown; never raises.
    """
    detail = describe(error)
    if not call.sent:
        return _unsent(error, detail)
    if call.written:
        return Unknown(f"the exchange took it, then: {detail}")
    status = getattr(error, "http_status", None)
    if status is None or status >= 500 or _EXISTS.search(detail):
        return Unknown(detail)
    found = _CODE.search(detail)
    known = _CODES.get((exchange_id, found[1]), "") if found else ""
    if known is None:
        return Unknown(detail)
    if known:
        return Rejected(known, detail)
    why = _of(error, _NOT_TAKEN)
    if why == "clock" or (why and found):  # without a code a 429 is some gateway's word, which proves nothing
        return NotSent(detail, retry_after=wait_asked(error), frozen=status == 418)
    code = _of(error, _REFUSED)
    return Rejected(code, detail) if code else Unknown(detail)


def _unsent(error: Exception, detail: str) -> PlacementError:
    if isinstance(error, ccxt.OperationFailed | ccxt.ExchangeClosedByUser):
        return NotSent(detail)
    # A mistake of ours or of the order: it would be the same the next time.
    code = _of(error, _REFUSED) or "not_supported" if isinstance(error, ccxt.BaseError) else "internal"
    return Rejected(f"local.{code}", detail)


def _of(error: Exception, table: dict[type[Exception], str | None]) -> str | None:
    """The row of the error's nearest listed class."""
    return next((table[kind] for kind in type(error).__mro__ if kind in table), None)


def no_answer(error: Exception) -> Transient:
    """Any failed question. Also a refused key: one account's must be seen, and not stop the others."""
    return Transient(describe(error))


def worth_asking_again(error: Exception) -> bool:
    """Whether the same question may be answered in a moment: the network, not the exchange's opinion."""
    return isinstance(error, ccxt.OperationFailed) and not wait_asked(error)


def wait_asked(error: Exception) -> float:
    """Seconds for which the exchange wants to hear nothing; 0 when it did not complain."""
    status = getattr(error, "http_status", None)
    limited = status in (418, 429) or isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection)
    if not limited or status is None:
        return 0.0
    asked: float | None = getattr(error, "retry_after", None)
    return asked if asked is not None else _BAN_S if status == 418 else 1.0


def describe(error: Exception) -> str:
    """For a human: class and text, without a line break and not longer than a line of a log should be."""
    text = " ".join(str(error).split())[:_DETAIL]
    return f"{type(error).__name__}: {text}"
