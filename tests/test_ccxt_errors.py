"""What each error proves: one row for every class of ccxt's, so that a new one cannot slip in unjudged."""

import inspect

import pytest
from ccxt.base import errors as ccxt
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.errors import NotSent, PlacementError, Rejected, Unknown
from fks.venues.ccxt_errors import no_change, placement_error, wait_asked, worth_asking_again
from fks.venues.trio_ccxt import Call

UNKNOWN, NOT_SENT = "unknown", "not sent"

# Of a placement that the exchange answered with a 4xx and a code of its own. A word is the rejection's code.
ANSWERED = {
    "BaseError": UNKNOWN,
    "ExchangeError": UNKNOWN,
    "AuthenticationError": "authentication",
    "PermissionDenied": "permission_denied",
    "AccountNotEnabled": "account_not_enabled",
    "AccountSuspended": "account_suspended",
    "ArgumentsRequired": UNKNOWN,
    "BadRequest": UNKNOWN,
    "BadSymbol": "bad_symbol",
    "OperationRejected": UNKNOWN,
    "NoChange": UNKNOWN,
    "MarginModeAlreadySet": UNKNOWN,
    "MarketClosed": "market_closed",
    "ManualInteractionNeeded": UNKNOWN,
    "RestrictedLocation": "restricted_location",
    "InsufficientFunds": "insufficient_funds",
    "InvalidAddress": UNKNOWN,
    "AddressPending": UNKNOWN,
    "InvalidOrder": "invalid_order",
    "OrderNotFound": UNKNOWN,
    "OrderNotCached": UNKNOWN,
    "OrderImmediatelyFillable": "would_execute",
    "OrderNotFillable": "not_fillable",
    "DuplicateOrderId": UNKNOWN,
    "ContractUnavailable": "contract_unavailable",
    "NotSupported": UNKNOWN,
    "InvalidProxySettings": UNKNOWN,
    "ExchangeClosedByUser": UNKNOWN,
    "OperationFailed": UNKNOWN,
    "NetworkError": UNKNOWN,
    "DDoSProtection": NOT_SENT,
    "RateLimitExceeded": NOT_SENT,
    "ExchangeNotAvailable": UNKNOWN,
    "OnMaintenance": UNKNOWN,
    "InvalidNonce": NOT_SENT,
    "ChecksumError": UNKNOWN,
    "RequestTimeout": UNKNOWN,
    "BadResponse": UNKNOWN,
    "NullResponse": UNKNOWN,
    "CancelPending": UNKNOWN,
    "UnsubscribeError": UNKNOWN,
}
CLASSES = {
    name: one for name, one in vars(ccxt).items() if inspect.isclass(one) and issubclass(one, ccxt.BaseError)
}


OKX_ROW = '{"code":"1","data":[{"clOrdId":"q","ordId":"","sCode":"%s","sMsg":"%s"}],"msg":"All failed"}'


def answered(name: str, text: str = '{"code":-9,"msg":"no"}', status: int = 400) -> Exception:
    error: Exception = CLASSES[name](text)
    vars(error).update(maybe_sent=True, http_status=status, retry_after=None)
    return error


def said(error: PlacementError) -> str:
    match error:
        case Rejected(code=code):
            return code
        case NotSent():
            return NOT_SENT
        case _:
            return UNKNOWN


def test_every_class_of_ccxt_has_its_row() -> None:
    assert ANSWERED.keys() == CLASSES.keys()


@pytest.mark.parametrize("name", CLASSES)
def test_answered_placement(name: str) -> None:
    assert said(placement_error(answered(name), "kraken", Call(sent=True))) == ANSWERED[name]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
def test_server_error_proves_nothing(name: str, status: int) -> None:
    error = answered(name, status=status)
    assert isinstance(placement_error(error, "kraken", Call(sent=True)), Unknown)


@pytest.mark.parametrize("name", CLASSES)
def test_error_without_an_answer_proves_nothing_once_sent(name: str) -> None:
    assert isinstance(placement_error(CLASSES[name]("lost"), "kraken", Call(sent=True)), Unknown)


@pytest.mark.parametrize("name", CLASSES)
def test_error_after_the_exchange_took_the_order_proves_nothing(name: str) -> None:
    call = Call(sent=True, written=True)
    assert isinstance(placement_error(answered(name), "kraken", call), Unknown)


@pytest.mark.parametrize("name", CLASSES)
def test_nothing_sent_is_never_unknown(name: str) -> None:
    error = placement_error(CLASSES[name]("local"), "kraken", Call(sent=False))
    network = issubclass(CLASSES[name], ccxt.OperationFailed | ccxt.ExchangeClosedByUser)
    assert isinstance(error, NotSent) if network else said(error).startswith("local.")


def test_our_own_mistake_before_sending_is_final() -> None:
    assert said(placement_error(KeyError("x"), "binance", Call())) == "local.internal"


@pytest.mark.parametrize(
    ("exchange", "name", "text", "expected"),
    [
        ("binance", "BadRequest", '{"code":-1013,"msg":"Filter failure: NOTIONAL"}', "invalid_order"),
        ("binance", "BadRequest", '{"code":-1111,"msg":"Precision is over the maximum"}', "invalid_order"),
        ("binance", "BadSymbol", '{"code":-1121,"msg":"Invalid symbol."}', "bad_symbol"),
        ("binance", "OperationFailed", '{"code":-1006,"msg":"Execution status unknown."}', UNKNOWN),
        ("binance", "RequestTimeout", '{"code":-1007,"msg":"Send status unknown"}', UNKNOWN),
        ("binance", "DDoSProtection", '{"code":-2015,"msg":"Invalid API-key, IP"}', "authentication"),
        ("kraken", "BadRequest", '{"code":-1013,"msg":"not Binance"}', UNKNOWN),
        ("kucoin", "BadRequest", '{"code":"408000","msg":"Network timeout"}', UNKNOWN),
        ("bybit", "InvalidOrder", '{"retCode":170146,"retMsg":"Order creation timeout"}', UNKNOWN),
        ("bybit", "InvalidOrder", '{"retCode":170130,"retMsg":"Data sent is not valid"}', "invalid_order"),
        ("bybit", "ExchangeError", '{"retCode":5004,"retMsg":"Server timeout"}', UNKNOWN),
        ("bybit", "ExchangeError", '{"retCode":10016,"retMsg":"Server error"}', UNKNOWN),
        ("bybit", "ExchangeError", '{"retCode":170032,"retMsg":"Network error"}', UNKNOWN),
        ("bybit", "BadRequest", '{"retCode":10001,"retMsg":"params error"}', "invalid_order"),
        ("bybit", "RateLimitExceeded", '{"retCode":10006,"retMsg":"Too many visits."}', NOT_SENT),
        ("bybit", "InvalidNonce", '{"retCode":10002,"retMsg":"your server timestamp"}', NOT_SENT),
        ("bybit", "InsufficientFunds", '{"retCode":110007,"retMsg":"ab not enough"}', "insufficient_funds"),
        ("bitget", "ExchangeError", '{"code":"40015","msg":"System is abnormal"}', UNKNOWN),
        ("bitget", "ExchangeError", '{"code":"30030","msg":"timeout"}', UNKNOWN),
        ("okx", "InsufficientFunds", OKX_ROW % ("51008", "Insufficient balance"), "insufficient_funds"),
        ("okx", "ExchangeError", OKX_ROW % ("51169", "you don't have any positions"), "invalid_order"),
        ("okx", "BadRequest", OKX_ROW % ("51000", "Parameter posSide error"), "invalid_order"),
        ("okx", "ExchangeError", OKX_ROW % ("51149", "Order timed out"), UNKNOWN),
        ("okx", "ExchangeNotAvailable", OKX_ROW % ("51290", "The engine is updating"), UNKNOWN),
        ("okx", "RequestTimeout", '{"code":"50004","msg":"Endpoint request timeout"}', UNKNOWN),
        ("okx", "RateLimitExceeded", '{"code":"50011","msg":"Too Many Requests"}', NOT_SENT),
        ("okx", "ExchangeError", '{"code":"1","data":[],"msg":"Operation failed"}', UNKNOWN),
        (
            "binance",
            "ExchangeError",
            '{"code":-4061,"msg":"Order\'s position side does not match"}',
            "invalid_order",
        ),
        ("binance", "BadRequest", '{"code":-4116,"msg":"ClientOrderId is duplicated."}', UNKNOWN),
        ("binance", "ExchangeError", '{"code":-4999,"msg":"?"}', UNKNOWN),
        ("kraken", "RateLimitExceeded", '{"error":["EAPI:Rate limit exceeded"]}', NOT_SENT),
        ("kraken", "InvalidOrder", '{"error":["EOrder:Invalid price"]}', "invalid_order"),
        ("kraken", "ExchangeNotAvailable", '{"error":["EService:Unavailable"]}', UNKNOWN),
        ("gate", "RateLimitExceeded", '{"label":"TOO_MANY_REQUESTS","message":"slow"}', NOT_SENT),
        ("htx", "RateLimitExceeded", '{"status":"error","err-code":"too-many-requests"}', NOT_SENT),
    ],
)
def test_code_wins_over_class(exchange: str, name: str, text: str, expected: str) -> None:
    assert said(placement_error(answered(name, text), exchange, Call(sent=True))) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("InvalidOrder", "binance Duplicate order sent."),
        ("BadRequest", 'bybit {"retCode":170141,"retMsg":"Duplicate clientOrderId"}'),
        ("InvalidOrder", 'okx {"sCode":"51016","sMsg":"Client order ID already exists."}'),
        ("InvalidOrder", 'kucoin {"code":"400370","msg":"clientOid has been used"}'),
    ],
)
def test_id_that_exists_already_is_looked_up(name: str, text: str) -> None:
    assert isinstance(placement_error(answered(name, text), "binance", Call(sent=True)), Unknown)


@pytest.mark.parametrize("name", ["RateLimitExceeded", "DDoSProtection"])
def test_rate_limit_of_some_gateway_proves_nothing(name: str) -> None:
    error = answered(name, "429 <html>slow down</html>", 429)
    assert isinstance(placement_error(error, "binance", Call(sent=True)), Unknown)


@pytest.mark.parametrize(
    ("status", "header", "seconds", "frozen"),
    [(429, 7.0, 7.0, False), (429, None, 1.0, False), (418, 60.0, 60.0, True), (418, None, 120.0, True)],
)
def test_rate_limit_says_how_long(status: int, header: float | None, seconds: float, frozen: bool) -> None:
    error = answered("DDoSProtection", '{"code":-1003}', status)
    vars(error)["retry_after"] = header
    judged = placement_error(error, "binance", Call(sent=True))
    assert isinstance(judged, NotSent)
    assert (judged.retry_after, judged.frozen) == (seconds, frozen)


def test_question_is_repeated_for_the_network_only() -> None:
    assert worth_asking_again(CLASSES["RequestTimeout"]("slow"))
    assert worth_asking_again(answered("ExchangeNotAvailable", status=503))
    assert not worth_asking_again(answered("AuthenticationError"))
    assert not worth_asking_again(answered("DDoSProtection", status=429))


@given(text=st.text(), status=st.sampled_from([None, 200, 400, 401, 403, 418, 429, 500]))
def test_every_text_is_judged_and_shortened(text: str, status: int | None) -> None:
    error = CLASSES["InvalidOrder"](text)
    vars(error).update(http_status=status, retry_after=None)
    judged = placement_error(error, "binance", Call(sent=True))
    assert isinstance(judged, Unknown) or status in (200, 400, 401, 403, 418, 429)
    assert len(str(judged)) < 400
    assert "\n" not in str(judged)
    assert wait_asked(error) >= 0


@pytest.mark.parametrize(
    ("name", "text", "same"),
    [
        ("NoChange", "", True),
        ("MarginModeAlreadySet", "", True),
        ("BadRequest", '{"retCode":110043,"retMsg":"Set leverage not modified"}', True),
        ("OperationRejected", '{"code":-4046,"msg":"No need to change margin type."}', True),
        ("BadRequest", '{"code":-4028,"msg":"Leverage 900 is not valid"}', False),
        ("ExchangeNotAvailable", "503", False),
    ],
)
def test_what_is_set_already_is_no_trouble(name: str, text: str, same: bool) -> None:
    assert no_change(CLASSES[name](text)) == same
