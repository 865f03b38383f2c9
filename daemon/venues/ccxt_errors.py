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
    ("binance", "-1006"): None,
    ("binance", "-1007"): None,
    ("binance", "-1013"): "invalid_order",  # filter failure; a BadRequest
    # Key, address or permission; ccxt makes it a DDoSProtection after the first success.
    ("binance", "-2015"): "authentication",
    ("kucoin", "408000"): None,
    ("bybit", "5004"): None,
    ("bybit", "10001"): "invalid_order",  # a parameter, as below for okx; a BadRequest
    ("bybit", "10016"): None,
    ("bybit", "170032"): None,
    ("bybit", "170146"): None,  # an InvalidOrder, and yet a timeout of theirs
    ("okx", "50004"): None,  # "does not mean that the request was successful or failed, please check"
    ("okx", "51000"): "invalid_order",
    ("okx", "51149"): None,  # order timed out
    ("bitget", "40015"): None,
    ("bitget", "30030"): None,
    **{("binance", str(code)): "invalid_order" for code in range(-1139, -1099) if code != -1121},
}

# Families of codes about orders that were never made, some of them in classes that prove nothing. They
# count where neither a single code nor the class says more.
_NEVER_MADE = {
    "binance": re.compile(r"-4[01]\d\d"),  # "filters and other issues" of its derivatives
    "okx": re.compile(r"51\d{3}"),  # "trade": its checks of an order
}

# The exchange's own code within its answer, wherever it puts it; kraken's is a word in a list.
_CODE = re.compile(
    r'"(?:code|retCode|ret_code|sCode|err_code|err-code|errorCode|label)"\s*:\s*"?(-?\w+)'
    r'|"error"\s*:\s*\[\s*"(E\w+:[^"]+)'
)
_EXISTS = re.compile(r"(?i)duplicate|already exist|has been used|repeated")
_SAME = re.compile(r"(?i)not (been )?modified|no need to change|already set|-4046\b|-4059\b|\b110043\b")
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
    if status is None or status >= 500 or _EXISTS.search(str(error)):
        return Unknown(detail)
    codes = [code or word for code, word in _CODE.findall(str(error))]
    known = {_CODES[exchange_id, code] for code in codes if (exchange_id, code) in _CODES}
    if None in known:
        return Unknown(detail)
    if known:
        return Rejected(str(known.pop()), detail)
    why = _of(error, _NOT_TAKEN)
    if why == "clock" or (why and codes):  # without a code a 429 is some gateway's word, which proves nothing
        return NotSent(detail, retry_after=wait_asked(error), frozen=status == 418)
    never_made = None if isinstance(error, ccxt.OperationFailed) else _NEVER_MADE.get(exchange_id)
    by_code = never_made is not None and any(map(never_made.fullmatch, codes))
    refusal = _of(error, _REFUSED) or ("invalid_order" if by_code else None)
    return Rejected(refusal, detail) if refusal else Unknown(detail)


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


def is_answer(error: Exception) -> bool:
    """Whether the exchange itself said it, or ccxt before sending: not the network, not some gateway."""
    return not isinstance(error, ccxt.OperationFailed)


def no_change(error: Exception) -> bool:
    """Whether the exchange refused to set what is set already."""
    return isinstance(error, ccxt.NoChange) or bool(_SAME.search(str(error)))


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
