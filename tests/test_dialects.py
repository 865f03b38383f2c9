"""What holds for every format: who sent it, nothing secret is kept, no bytes raise but a Refusal."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dialect_cases import body
from fks.domain.alerts import parse_alert
from fks.domain.dialects import BY_NAME, NAMES, recognise, secret_in
from fks.domain.errors import Refusal
from fks.domain.ids import digest

CANARY = "canary-0f1e2d3c4b5a"
TIME = "2025-11-07T10:30:00Z"

EXAMPLES: dict[str, str | dict[str, Any]] = {
    "native": {"symbol": "BTC/USDT", "action": "buy", "secret": CANARY},
    "traderspost": {
        "ticker": "BTCUSDT", "action": "buy", "quantity": 1, "orderType": "limit", "limitPrice": 5,
        "takeProfit": {"percent": 10}, "stopLoss": {"type": "stop", "percent": 5}, "secret": CANARY,
    },
    "3commas": {
        "secret": CANARY, "bot_uuid": CANARY, "max_lag": "300", "timestamp": TIME, "tv_exchange": "BINANCE",
        "tv_instrument": "BTCUSDT", "action": "enter_long", "order": {"amount": "1", "currency_type": "base"},
        "strategy_info": {"market_position": "long", "market_position_size": "2"},
        "take_profit": {"enabled": True, "steps": [{"price_percent": 1, "volume_percent": 50}]},
        "stop_loss": {"enabled": True, "trigger_price_percent": 1},
    },
    "okx": {
        "id": "Long", "action": "buy", "marketPosition": "long", "instrument": "BTCUSDT.P",
        "signalToken": CANARY, "timestamp": TIME, "maxLag": "60", "investmentType": "base", "amount": "1",
    },
    "poabot": {
        "password": CANARY, "exchange": "BINANCE", "base": "BTC", "quote": "USDT", "side": "entry/buy",
        "amount": "1", "stop_price": 5, "profit_price": 7, "leverage": 3,
    },
    "pineconnector": f"{CANARY},buylimit,BTCUSD,entry_price=5,vol_lots=1,sl_pct=1,tp_price=7,secret={CANARY}",
    "octobot": f"EXCHANGE=binance\nSYMBOL=BTCUSDT\nSIGNAL=BUY\nVOLUME=1%\nSTOP_PRICE=-2%\nTOKEN={CANARY}",
    "alertatron": "keys(BTCUSDT) { market(side=buy, amount=1); stopOrder(side=sell, amount=1, offset=2%); }"
    f" secret={CANARY} #bot",
}  # fmt: skip


def test_there_is_an_example_of_every_format() -> None:
    assert set(EXAMPLES) == set(NAMES) == {"native", *BY_NAME}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_credential_is_found_and_nothing_of_it_is_kept(name: str) -> None:
    found = recognise(body(EXAMPLES[name]))
    assert found.dialect == name
    assert found.secret is not None
    assert found.secret.reveal() == CANARY
    assert CANARY not in repr(found)
    assert CANARY not in repr(found.alert())


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_refused_tells_nothing_of_the_credential(name: str) -> None:
    message = EXAMPLES[name]
    spoilt = (
        message.replace("BTCUS", "{{ticker}}") if isinstance(message, str) else message | {"action": "{{x}}"}
    )
    found = recognise(body(spoilt))
    assert found.secret is not None
    with pytest.raises(Refusal) as caught:
        found.alert()
    assert caught.value.code == "alert.placeholder"
    assert CANARY not in caught.value.detail


def test_a_credential_that_is_there_twice_or_no_text_is_none() -> None:
    assert recognise(f"SYMBOL=X;SIGNAL=BUY;TOKEN={CANARY};TOKEN=b".encode()).secret is None
    assert recognise(b'{"symbol": "X", "secret": ["a"]}').secret is None
    assert recognise(b'{"symbol": "X", "secret": ""}').fields == {"symbol": "X"}


@pytest.mark.parametrize(
    "broken",
    [
        '{"secret": "%s", "symbol": "X", "action": "buy", "price": NaN}',
        '{"secret" : "%s", "symbol": "X", "action": "buy", "price": {{plot_0}}}',
        '{"signalToken":"%s", "action": buy}',
        '{"password":"%s",',
        "SYMBOL=BTCUSDT;TOKEN=%s",
        "buy BTCUSDT secret=%s",
    ],
)
def test_who_sent_a_broken_body_is_found_too(broken: str) -> None:
    text = (broken % CANARY).encode()
    secret = secret_in(text)
    assert secret is not None
    assert secret.reveal() == CANARY
    with pytest.raises(Refusal) as caught:
        recognise(text)
    assert CANARY not in caught.value.detail


@pytest.mark.parametrize(
    ("placeholder", "hint"),
    [
        ("{{strategy.order.action}}", "of a strategy"),
        ("{{plot_3}}", "no such plot"),
        ("{{tiker}}", "did you mean {{ticker}}?"),
        ("{{moon_phase}}", "has no such placeholder"),
        ("{{ timenow }}", "when an alert fires"),
    ],
)
def test_a_placeholder_that_is_left_is_named_with_its_reason(placeholder: str, hint: str) -> None:
    for message in (
        {"symbol": "X", "action": "buy", "stop_loss": {"price": placeholder}},
        f'{{"symbol": "X", "action": "buy", "price": {placeholder}}}',
        {"ticker": "X", "action": "buy", "takeProfit": {"limitPrice": placeholder}},
        f"1,buy,{placeholder}",
    ):
        with pytest.raises(Refusal) as caught:
            recognise(body(message)).alert()
        assert caught.value.code == "alert.placeholder"
        assert placeholder.strip("{ }") in caught.value.detail
        assert hint in caught.value.detail


def test_a_native_message_keeps_what_it_does_not_know() -> None:
    message = {"symbol": "X", "action": "buy", "ticker": "{{ticker}}", "dialect": "okx"}
    assert recognise(body(message)).alert() == message


def test_a_foreign_message_is_kept_as_it_was_said() -> None:
    alert = recognise(body({"ticker": "X", "action": "buy", "somebodys": "own"})).alert()
    assert alert["dialect"] == "traderspost"
    assert alert["original"] == {"ticker": "X", "action": "buy", "somebodys": "own"}


# --- no bytes raise anything but a Refusal


def try_to_read(raw: bytes) -> None:
    secret_in(raw)
    told = "read"
    try:
        alert = recognise(raw).alert()
        digest(alert)
        parse_alert(alert)
    except Refusal as refusal:
        told = refusal.detail
    assert told
    assert told.isprintable()


pieces = st.sampled_from(
    ["=", ",", ";", "\n", "(", ")", "{", "}", "%", "p", "e", "@", "-", "1", "NaN", "é", "{{x}}", '"']
)
TEXT_EXAMPLES = [message for message in EXAMPLES.values() if isinstance(message, str)]
OBJECT_EXAMPLES = [message for message in EXAMPLES.values() if isinstance(message, dict)]


@settings(max_examples=60)
@given(st.sampled_from(TEXT_EXAMPLES), st.data())
def test_near_misses_of_texts(message: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(message)))
        cut = data.draw(st.integers(0, 3))
        message = message[:at] + data.draw(pieces | st.text(max_size=3)) + message[at + cut :]
    try_to_read(message.encode("utf-8", "surrogatepass"))


values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["buy", "exit_long", "1e400", "1e18", "1e-18", "NaN", "base", "percent_of_position", "true"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=60)
@given(st.sampled_from(OBJECT_EXAMPLES), st.data())
def test_near_misses_of_objects(message: dict[str, Any], data: st.DataObject) -> None:
    spoilt = json.loads(json.dumps(message))
    inner = [one for one in spoilt.values() if isinstance(one, dict)]
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.sampled_from([spoilt, *inner]))
        name = data.draw(st.sampled_from(sorted(where) or ["x"]) | st.text(max_size=5))
        if data.draw(st.booleans()):
            where.pop(name, None)
        else:
            where[name] = data.draw(values)
    try_to_read(json.dumps(spoilt).encode())


@settings(max_examples=60)
@given(
    st.binary(max_size=120) | st.text(max_size=120).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
@example(b"\xff\xfe")
@example(b"1,buy," + b"," * 16_000)
@example(b"a-" * 8_000 + b"(){")
@example(b"=;" * 8_000)
def test_any_bytes(raw: bytes) -> None:
    try_to_read(raw)
