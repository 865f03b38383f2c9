"""Names are functions of what they name: stable, distinct, and of a shape that every exchange takes."""

import hashlib
import re
import string
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fks.domain.ids import alert_id, alert_key, as_uuid, client_order_id, digest
from makers import alert, dec

words = st.text(max_size=12)
orders = st.tuples(words, words, words, st.integers(1, 9))


@given(orders)
def test_a_client_order_id_is_q_and_seventeen_of_a_z_0_9(parts: tuple[str, str, str, int]) -> None:
    assert re.fullmatch(r"q[a-z0-9]{17}", client_order_id(*parts))
    assert re.fullmatch(r"a[a-z0-9]{17}", alert_id(parts[0]))


@given(orders, orders)
def test_the_same_order_has_the_same_id_and_another_has_another(
    one: tuple[str, str, str, int], other: tuple[str, str, str, int]
) -> None:
    assert (client_order_id(*one) == client_order_id(*other)) == (one == other)


def test_ids_do_not_change_between_versions() -> None:
    """An id that changes with an upgrade would place the open orders of an earlier life again."""
    number = int(hashlib.sha256(b"2:a17:binance5:entry1:1").hexdigest(), 16)
    digits = [string.printable[number // 36**place % 36] for place in range(17)]
    assert client_order_id("a1", "binance", "entry", 1) == "q" + "".join(digits) == "q9qnvdelz0156shjjl"


def test_parts_are_never_glued_together() -> None:
    assert client_order_id("a1", "b", "entry", 1) != client_order_id("a", "1b", "entry", 1)
    assert client_order_id("a1", "b", "entry", 11) != client_order_id("a1", "b", "entry1", 1)


def test_many_orders_have_many_ids() -> None:
    made = {
        client_order_id(f"a{n}", account, leg, attempt)
        for n in range(200)
        for account in ("binance", "kraken")
        for leg in ("entry", "stop_loss", "take_profit", "take_profit-1", "close")
        for attempt in (1, 2)
    }
    assert len(made) == 200 * 2 * 5 * 2


def test_the_uuid_of_an_id_is_stable_and_valid() -> None:
    assert as_uuid("q1") == as_uuid("q1") != as_uuid("q2")
    assert uuid.UUID(as_uuid("q1")).version == 4


ACCOUNTS = ("paper",)
EVENT = alert(
    timestamp=1.0, amount=dec(1), price=dec(2), position_size=dec(3), order_id="L", bar_time="9", strategy="s"
)


def test_a_senders_id_is_the_key_whatever_else_the_alert_says() -> None:
    one = alert_key(alert(id="x", amount=dec(1)), ACCOUNTS)
    assert one == alert_key(alert("sell", id="x", amount=dec(2), comment="again"), ACCOUNTS, "msg")
    assert one != alert_key(alert(id="y", amount=dec(1)), ACCOUNTS)
    assert one == alert_key(alert(id="x", strategy="other"), ("binance",))


def test_a_message_id_is_the_key_of_an_alert_without_an_id() -> None:
    assert alert_key(alert(), ACCOUNTS, "m1") == alert_key(alert("sell"), ACCOUNTS, "m1")
    assert alert_key(alert(), ACCOUNTS, "m1") == alert_key(alert(strategy="s"), ("binance",), "m1")
    assert alert_key(alert(), ACCOUNTS, "m1") != alert_key(alert(), ACCOUNTS, "m2")
    assert alert_key(alert(id="m1"), ACCOUNTS) != alert_key(alert(), ACCOUNTS, "m1")


def test_a_re_sent_event_is_the_same_whatever_its_comment_says() -> None:
    assert alert_key(EVENT, ACCOUNTS) == alert_key(replace(EVENT, comment="x", confidence=dec(1)), ACCOUNTS)


@pytest.mark.fault(31)
def test_two_fills_within_one_second_differ_in_one_field_and_so_in_their_key() -> None:
    changes: list[dict[str, Any]] = [
        {"order_id": "S"},
        {"symbol": "ETH/USDT"},
        {"bar_time": "10"},
        {"timestamp": 2.0},
        {"position_size": dec(4)},
        {"market_position": "long"},
        {"amount": dec(9)},
        {"notional": dec(9)},
        {"percent": dec(9)},
        {"price": dec(9)},
        {"strategy": "t"},
    ]
    keys = {alert_key(replace(EVENT, **change), ACCOUNTS) for change in changes}
    assert len(keys | {alert_key(EVENT, ACCOUNTS)}) == len(changes) + 1
    assert alert_key(EVENT, ("a", "b")) == alert_key(EVENT, ("b", "a")) != alert_key(EVENT, ("a",))


numbers = st.decimals(allow_nan=False, allow_infinity=False)
bodies = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(words, bodies, max_size=4))
def test_the_order_of_keys_does_not_matter(body: dict[str, Any]) -> None:
    assert digest(body) == digest(dict(reversed(body.items())))


@given(numbers, numbers)
def test_a_numbers_spelling_does_not_matter_its_value_does(one: Decimal, other: Decimal) -> None:
    assert (digest({"a": one}) == digest({"a": other})) == (
        one == other and one.is_signed() == other.is_signed()
    )


def test_numbers_beyond_arithmetic_have_a_digest() -> None:
    huge = ["1e400", "1e1000000", "1e-1000000", "1e999999999999999999", "1." + "1" * 5000, "1." + "1" * 4999]
    assert len({digest({"a": dec(text)}) for text in huge}) == len(huge)


def test_values_of_different_kinds_differ() -> None:
    values: list[Any] = ["1", dec(1), True, None, "None", [], {}, [dec(1)], ["1"], {"1": None}, ""]
    assert len({digest({"a": value}) for value in values}) == len(values)
    assert digest({"a": "1", "b": "2"}) != digest({"a": "2", "b": "1"})
    assert digest({"a": ["1", "2"]}) != digest({"a": ["12"]})
