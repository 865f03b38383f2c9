"""The native alert: what is read, and what is refused by name. No bytes raise anything but a Refusal."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alert_cases import BUY, field_at_fault, read, refused
from fks.domain.alerts import Action, Alert, Target, parse_alert, parse_json, parse_time
from fks.domain.errors import Refusal
from fks.domain.ids import digest
from fks.domain.orders import OrderType

# --- bytes to JSON


def test_the_documented_alert_is_read() -> None:
    body = b"""{"symbol": "BTC/USDT", "action": "buy", "confidence": 0.85,
        "timestamp": "2025-11-07T10:30:00Z", "exchange": "binance", "amount": 0.01,
        "order_type": "limit", "price": 50000.0, "take_profit": 52000.0, "stop_loss": 48000.0}"""
    assert parse_alert(parse_json(body)) == Alert(
        symbol="BTC/USDT",
        action=Action.BUY,
        confidence=Decimal("0.85"),
        timestamp=1762511400.0,
        exchange="binance",
        amount=Decimal("0.01"),
        order_type=OrderType.LIMIT,
        price=Decimal(50000),
        take_profit=(Target(price=Decimal(52000)),),
        stop_loss=Target(price=Decimal(48000)),
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"buy BTC",
        b"[]",
        b"7",
        b'"text"',
        b"null",
        b"{",
        b'{"symbol": "BTC/USDT", "action": "buy"} and more',
        b"\xff\xfe{}",
        "\ufeff{}".encode(),
        '{"symbol": "BTC/USDT"}'.encode("utf-16"),
        b'{"symbol": "X", "action": "buy", "action": "sell"}',
        b'{"symbol": "X", "action": "buy", "stop_loss": {"percent": 1, "percent": 2}}',
        b'{"symbol": "X", "action": "buy", "amount": NaN}',
        b'{"symbol": "X", "action": "buy", "amount": -Infinity}',
        b'{"symbol": "X", "action": "buy", "other": NaN}',
        b'{"symbol": "X", "action": "buy", "amount": 1_000}',
        b'{"symbol": "X", "action": "buy", "amount": 0x1}',
        b'{"symbol": "X", "action": "buy", "amount": 01}',
        b'{"symbol": "X", "action": "buy", "other": 1e99999999999999999999}',
        b'{"symbol": "X", "action": "buy", "other": "\\ud800"}',
        b'{"symbol": "X", "action": "buy", "\\udfff": 1}',
        b'{"symbol": "X", "action": "buy", "other": [{"a": ["\\ud800"]}]}',
        b'{"symbol": "X", "action": "buy", "other": "a\nb"}',
        b"[" * 16_384,
        b"[" * 8_192 + b"]" * 8_192,
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b'{"symbol": "X", "action": "buy", "other": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"symbol": "X", "action": "buy", "other": ' + b"[" * 17 + b"]" * 17 + b"}",
    ],
)
def test_what_is_not_one_sound_json_object_is_refused(body: bytes) -> None:
    assert refused(body).code in ("alert.json", "alert.encoding")


def test_a_duplicate_key_is_named() -> None:
    assert "'action' appears twice" in refused(b'{"symbol":"X","action":"buy","action":"sell"}').detail


def test_numbers_stay_exact() -> None:
    raw = parse_json(b'{"a": 0.1000000000000000055, "b": 123456789012345678901234567890, "c": 1e400}')
    assert raw["a"] == Decimal("0.1000000000000000055")
    assert raw["b"] == Decimal(123456789012345678901234567890)
    assert raw["c"] == Decimal("1e400")


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=150)
@given(st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
@example(b'{"symbol": "X", "action": "buy", "amount": 1e1000000}')
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    try:
        raw = parse_json(body)
        digest(raw)
        parse_alert(raw)
    except Refusal:
        pass


numberish = st.sampled_from(
    [
        "1e400",
        "1e999999",
        "-1e1000000",
        "1e-1000000",
        "0e999999",
        "1e18",
        "1e-18",
        "1" * 3000,
        "0." + "1" * 3000,
    ]
) | st.floats(allow_nan=False, allow_infinity=False).map(repr)


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(Alert.__struct_fields__), anything.map(json.dumps) | numberish, max_size=8
    )
)
def test_no_value_of_a_known_field_raises_anything_but_a_refusal(fields: dict[str, str]) -> None:
    given = {"symbol": '"X"', "action": '"buy"', **fields}
    body = "{" + ",".join(f"{json.dumps(name)}: {text}" for name, text in given.items()) + "}"
    try:
        alert = parse_alert(parse_json(body.encode()))
    except Refusal:
        return
    for name in ("amount", "notional", "percent", "price", "stop_price", "trail_percent"):
        value = getattr(alert, name)
        assert value is None or (value.is_finite() and value > 0)
    assert alert.confidence is None or 0 <= alert.confidence <= 1


# --- fields


def test_symbol_and_action_are_required() -> None:
    assert refused(b'{"action": "buy"}').field == "symbol"
    assert refused(b'{"symbol": "X", "action": null}').field == "action"


@pytest.mark.parametrize("action", ["buy", "sell", "close", "cancel", "BUY", " Sell "])
def test_the_four_actions(action: str) -> None:
    assert read(action=action).action.value == action.strip().lower()


@pytest.mark.parametrize("action", ["hold", "", "buy;sell", 1, True, ["buy"], {"a": 1}])
def test_no_other_action_is_guessed(action: Any) -> None:
    assert field_at_fault(action=action) == "action"


@pytest.mark.parametrize("value", [0.01, "0.01", "1e-2", "+0.010", " .01 "])
def test_numbers_are_json_numbers_or_decimal_strings(value: Any) -> None:
    assert read(amount=value).amount == Decimal("0.01")


def test_thousands_separators_are_removed() -> None:
    assert read(order_type="limit", price="51,234.50").price == Decimal("51234.50")


@pytest.mark.parametrize("name", ["amount", "notional", "percent", "price", "stop_price", "trail_percent"])
@pytest.mark.parametrize(
    "value",
    [
        "1_000",
        "0x1",
        "٣",
        "Infinity",
        "NaN",
        "nan",
        "",
        "abc",
        "1e400",
        True,
        False,
        [],
        {},
        0,
        0.0,
        -0.0,
        -1,
        "0",
        "-5",
        "0,125",
        1e300,
    ],
)
def test_what_is_no_amount_is_refused(name: str, value: Any) -> None:
    refusal = refused(json.dumps({**BUY, name: value}).encode())
    assert (refusal.code, refusal.field) == ("alert.number", name)


@pytest.mark.parametrize("text", [b"1e400", b"-1e400", b"1e1000000", b"1e-400"])
def test_a_json_number_beyond_all_markets_is_refused(text: bytes) -> None:
    refusal = refused(b'{"symbol": "X", "action": "buy", "amount": ' + text + b"}")
    assert (refusal.code, refusal.field) == ("alert.number", "amount")


def test_only_one_size_is_given() -> None:
    assert field_at_fault(amount=1, percent=5) == "percent"
    assert field_at_fault(notional=1, amount=5) == "notional"


def test_a_close_takes_an_amount_or_a_share_and_no_other_size() -> None:
    close = {"action": "close", "amount": None}
    assert read(**close | {"amount": "0.4"}).amount == Decimal("0.4")
    assert field_at_fault(**close, percent=50) == "percent"
    assert field_at_fault(**close, notional=50) == "notional"
    assert field_at_fault(**close | {"amount": 1}, share=0.5) == "share"


@pytest.mark.parametrize("value", [0, 1, "0.85", 0.5])
def test_confidence_is_between_0_and_1(value: Any) -> None:
    assert read(confidence=value).confidence == Decimal(str(value))


@pytest.mark.parametrize("value", [1.01, -0.1, "NaN", True, "high", "1e400"])
def test_no_other_confidence_is_taken(value: Any) -> None:
    assert field_at_fault(confidence=value) == "confidence"


def test_null_is_absent_and_unknown_fields_are_ignored() -> None:
    assert read(price=None, comment=None, whatever={"a": [1]}, market={"x": 1}) == read()


@pytest.mark.parametrize("name", ["amount", "notional", "percent"])
def test_a_size_of_null_does_not_become_the_configured_one(name: str) -> None:
    assert field_at_fault(**{name: None}) == name
    assert field_at_fault(action="sell", **{name: None}) == name
    other = "percent" if name == "amount" else "amount"
    assert read(**{name: None, other: 1}) == read(**{other: 1})
    for way_out in ({"action": "close"}, {"action": "sell", "market_position": "Flat"}, {"action": "cancel"}):
        assert read(**way_out, **{name: None}) == read(**way_out)


def test_a_placeholder_without_a_value_is_no_reason_to_lose_an_alert() -> None:
    assert read(comment="", strategy="", order_id="", bar_time="") == read()


@pytest.mark.parametrize("name", ["symbol", "id", "exchange"])
@pytest.mark.parametrize("text", ["", "  ", "a\nb", "x" * 201, "a\u0000"])
def test_what_names_something_is_short_and_printable(name: str, text: str) -> None:
    assert field_at_fault(**{name: text}) == name


def test_ids_may_be_bare_numbers() -> None:
    assert (read(id=17).id, read(order_id=5).order_id, read(bar_time=1762511400000).bar_time) == (
        "17",
        "5",
        "1762511400000",
    )


@pytest.mark.parametrize("name", ["post_only", "reduce_only"])
@pytest.mark.parametrize("value", ["false", "true", 0, 1, "no"])
def test_a_flag_is_true_or_false_and_nothing_like_it(name: str, value: Any) -> None:
    assert field_at_fault(**{name: value}) == name


def test_leverage_is_a_whole_number() -> None:
    assert read(leverage="10").leverage == 10
    for value in (1.5, 0, -1, True, "x"):
        assert field_at_fault(leverage=value) == "leverage"


def test_several_accounts() -> None:
    assert read(exchanges=["binance", "kraken"]).exchanges == ("binance", "kraken")
    for value in ("binance", [1], {"a": 1}, [None]):
        assert field_at_fault(exchanges=value) == "exchanges"


def test_what_narrows_a_close_or_a_cancel_goes_with_nothing_else() -> None:
    assert read(action="close", share="0.5", position_side="LONG").position_side == "long"
    assert read(action="cancel", position_side="short").position_side == "short"
    assert field_at_fault(action="close", share=1.01) == "share"
    assert field_at_fault(action="close", share=0) == "share"
    assert field_at_fault(action="buy", share=0.5) == "share"
    assert field_at_fault(action="cancel", share=0.5) == "share"
    assert field_at_fault(action="close", position_side="both") == "position_side"
    assert field_at_fault(action="sell", position_side="long") == "position_side"
    for value in (0, -1, "NaN", True):
        assert field_at_fault(max_lag=value) == "max_lag"


# --- time


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-11-07T10:30:00Z", 1762511400),
        ("2025-11-07T10:30:00", 1762511400),
        ("2025-11-07T10:30:00.250Z", 1762511400.25),
        ("2025-11-07T12:30:00+02:00", 1762511400),
        ("2025-11-07 10:30:00", 1762511400),
        (" 2025-11-07T10:30:00Z ", 1762511400),
        (1762511400, 1762511400),
        (1762511400.5, 1762511400.5),
        (1762511400000, 1762511400),
        (1762511400250, 1762511400.25),
        ("1762511400", 1762511400),
        (" 1762511400 ", 1762511400),
        ("1762511400.5", 1762511400.5),
        ("1762511400000", 1762511400),
    ],
)
def test_time_is_iso_8601_or_epoch_seconds_or_milliseconds(value: Any, expected: float) -> None:
    assert read(timestamp=value).timestamp == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "10:30",
        "07.11.2025",
        "2025-13-01",
        "1_762_511_400",
        "١٧٦٢٥١١٤٠٠",
        "1e9",
        True,
        0,
        -5,
        [],
        {},
        "NaN",
    ],
)
def test_no_other_time_is_guessed(value: Any) -> None:
    assert field_at_fault(timestamp=value) == "timestamp"


@given(st.text(max_size=30) | st.decimals() | st.integers())
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59-23:59")
@example("\ud800" * 10)
def test_reading_a_time_raises_nothing_but_a_refusal(value: object) -> None:
    try:
        moment = parse_time(value)
    except Refusal:
        return
    assert math.isfinite(moment)
