"""What is checked of an alert before it is accepted."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fks.domain.auth import Denied, OutOfScope, sign
from fks.domain.errors import Refusal
from fks.domain.gate import GateRules, gate_rules
from fks.domain.messages import NewAlert
from fks.domain.secret import Secret
from fks.domain.settings import (
    AccountSettings,
    KellyChanges,
    Settings,
    SizingChanges,
    StrategySettings,
    WebhookSecret,
    WebhookSettings,
)
from fks.domain.symbols import SymbolIndex
from makers import NOW, admit, market

SECRET = Secret("canary-0f1e2d3c4b5a")
INDEX = SymbolIndex({"BTC/USDT": market()}, {})
GOOD = {"symbol": "BTCUSDT", "action": "buy", "confidence": 0.85, "timestamp": NOW}


def rules(**webhook: Any) -> GateRules:
    secrets = (WebhookSecret(secret=SECRET, name="secret-1"),)
    return GateRules(secrets, WebhookSettings(**webhook), frozenset({"paper", "binance"}), "paper")


def post(body: bytes, given: GateRules | None = None, now: float = NOW) -> NewAlert:
    """Signed; the market `BTC/USDT` of `paper` is loaded, those of `binance` are not yet."""
    indexes = {"paper": INDEX}
    return admit({"x-signature": sign(SECRET, body)}, body, given or rules(), indexes.get, now)


def send(given: GateRules | None = None, **fields: Any) -> NewAlert:
    body = {name: value for name, value in {**GOOD, **fields}.items() if value is not None}
    return post(json.dumps(body).encode(), given)


def refused(given: GateRules | None = None, **fields: Any) -> tuple[str, str | None]:
    with pytest.raises(Refusal) as caught:
        send(given, **fields)
    return caught.value.code, caught.value.field


def test_an_accepted_alert_is_named_and_dated() -> None:
    new = send(timestamp=NOW - 10)
    assert (new.source, new.accounts, new.received_at) == ("secret-1", ("paper",), NOW)
    assert new.good_until == NOW - 10 + 300
    assert (new.id, new.key, new.digest) == (send(timestamp=NOW - 10).id, new.key, new.digest)


def test_the_secret_of_the_body_is_neither_stored_nor_hashed() -> None:
    body = json.dumps({**GOOD, "secret": SECRET.reveal(), "note": "kept"}).encode()
    new = admit({}, body, rules(), {"paper": INDEX}.get, NOW)
    assert "canary" not in repr(new)
    assert "secret" not in new.body
    assert new.body["note"] == "kept"
    assert (new.key, new.digest) == (send(note="kept").key, send(note="kept").digest)


def test_unknown_fields_are_kept_and_ignored() -> None:
    new = send(volume=[1, {"x": "1e400"}])
    assert new.body["volume"] == [Decimal(1), {"x": "1e400"}]
    assert new.alert == send().alert


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 16_000, b'{"a":1,"a":2}', b'{"symbol": 5}', b"{}"]
)
def test_a_stranger_is_not_told_what_is_wrong_with_his_body(body: bytes) -> None:
    with pytest.raises(Denied) as caught:
        admit({}, body, rules(), {"paper": INDEX}.get, NOW)
    assert str(caught.value) == "authentication failed"
    with pytest.raises(Refusal):
        post(body)


@pytest.mark.parametrize("secret", ["wrong", "", 5, True, None, [SECRET.reveal()], {"a": 1}, "\u00e9"])
def test_no_other_secret_opens(secret: Any) -> None:
    with pytest.raises(Denied):
        admit({}, json.dumps({**GOOD, "secret": secret}).encode(), rules(), {"paper": INDEX}.get, NOW)


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (0, None),
        (300, None),
        (300.001, "gate.stale"),
        (-30, None),
        (-30.001, "gate.future"),
        (1e9, "gate.stale"),
    ],
)
@pytest.mark.fault(28, 29)
def test_an_alert_is_fresh_up_to_and_with_its_limits(age: float, code: str | None) -> None:
    body = json.dumps({**GOOD, "timestamp": NOW - age}).encode()
    if code is None:
        assert post(body).good_until == pytest.approx(NOW - age + 300)
        return
    with pytest.raises(Refusal) as caught:
        post(body)
    assert (caught.value.code, caught.value.field) == (code, "timestamp")


@pytest.mark.parametrize(
    "stamp",
    [str(int(NOW)), str(int(NOW * 1000)), int(NOW * 1000), "2025-11-07T10:30:00Z", "2025-11-07t10:30:00z"],
)
def test_every_spelling_of_the_time_is_judged_alike(stamp: Any) -> None:
    assert send(timestamp=stamp).good_until == NOW + 300


def test_without_a_time_of_its_own_the_signed_one_counts() -> None:
    assert refused(timestamp=None) == ("alert.missing", "timestamp")


def test_the_time_of_standard_webhooks_counts_and_its_id_is_the_key() -> None:
    import base64
    import hashlib
    import hmac

    body = json.dumps({**GOOD, "timestamp": None}).encode()
    signed = b"msg_1.%d." % int(NOW) + body
    mac = base64.b64encode(hmac.new(SECRET.reveal().encode(), signed, hashlib.sha256).digest()).decode()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW)),
        "webhook-signature": f"v1,AAAA v1,{mac}",
    }
    new = admit(headers, body, rules(), {"paper": INDEX}.get, NOW + 20)
    assert new.good_until == NOW + 300
    assert new.key.startswith("wh:")


def test_confidence_is_required_while_a_minimum_is_set() -> None:
    assert refused(confidence=None) == ("alert.missing", "confidence")
    assert refused(confidence=0.59) == ("gate.confidence", "confidence")
    assert send(confidence="0.6").alert.confidence == Decimal("0.6")
    assert send(confidence=1)
    relaxed = rules(min_confidence=Decimal(0))
    assert send(relaxed, confidence=None).alert.confidence is None
    assert send(relaxed, confidence=0)


def test_accounts() -> None:
    assert send(exchange="binance").accounts == ("binance",)
    assert send(exchanges=["paper", "binance", "paper"]).accounts == ("paper", "binance")
    assert refused(exchange="kraken") == ("alert.account", "exchange")
    assert refused(exchanges=["paper", "kraken"]) == ("alert.account", "exchanges")
    assert refused(exchange="PAPER") == ("alert.account", "exchange")


@pytest.mark.parametrize("names", [["paper"], ["binance"], ["paper", "binance"]])
def test_exchange_and_exchanges_together_are_refused_whatever_they_say(names: list[str]) -> None:
    assert refused(exchange="paper", exchanges=names) == ("alert.schema", "exchanges")


def test_exchanges_that_name_no_account_do_not_mean_the_default_one() -> None:
    assert refused(exchanges=[]) == ("alert.schema", "exchanges")
    assert refused(exchange="binance", exchanges=[]) == ("alert.schema", "exchanges")


def test_an_alert_just_beyond_a_limit_of_time_is_told_both_figures() -> None:
    with pytest.raises(Refusal, match=r"30\.5 s in the future.* 30 s \(webhook\.max_future_s\)"):
        send(timestamp=NOW + 30.5)
    with pytest.raises(Refusal, match=r"300\.4 s old.* 300 s "):
        send(timestamp=NOW - 300.4)


def test_a_symbol_is_resolved_as_soon_as_the_markets_are_known() -> None:
    assert refused(symbol="DOGEUSDT") == ("alert.symbol", "symbol")
    assert refused(symbol="BTCUSDT.P") == ("alert.symbol", "symbol")
    assert send(symbol="DOGEUSDT", exchange="binance").accounts == ("binance",)
    assert refused(symbol="DOGEUSDT", exchanges=["binance", "paper"]) == ("alert.symbol", "symbol")


@pytest.mark.parametrize(
    ("sizing", "code"),
    [
        ({"method": "all_in"}, "alert.schema"),
        ({"methd": "kelly"}, "alert.schema"),
        ({"atr_timeframe": "7x"}, "alert.schema"),
        ({"nan": "zero"}, "alert.schema"),
        ({"pct": 5}, "alert.number"),
        ({"kelly": {"win_rate": "NaN"}}, "alert.number"),
    ],
)
def test_a_size_that_cannot_be_meant_is_refused_before_it_is_accepted(
    sizing: dict[str, Any], code: str
) -> None:
    assert refused(sizing=sizing) == (code, "sizing")
    assert send(sizing={"method": "kelly", "pct": "0.01", "kelly": {"estimate": True}})


@pytest.mark.parametrize("name", ["symbol", "action", "amount", "timestamp", "comment", "stop_loss"])
def test_a_placeholder_that_nobody_filled_in_is_named(name: str) -> None:
    assert refused(None, **{name: "{{strategy.order.action}}"}) == ("alert.placeholder", name)


def test_a_re_sent_alert_is_the_same_and_an_edited_one_conflicts() -> None:
    first, again = send(id="x"), send(id="x")
    assert (first.id, first.key, first.digest) == (again.id, again.key, again.digest)
    edited = send(id="x", amount=5)
    assert (edited.id, edited.key) == (first.id, first.key)
    assert edited.digest != first.digest


@pytest.mark.parametrize(
    "change", [{"exchange": "binance"}, {"exchanges": ["paper", "binance"]}, {"strategy": "s1"}]
)
def test_an_id_that_comes_again_for_another_account_or_strategy_conflicts(change: dict[str, Any]) -> None:
    first, other = send(id="x"), send(id="x", **change)
    assert other.key == first.key
    assert other.digest != first.digest


json_like: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12) | st.just([[]])
)
fields = st.sampled_from(
    ["symbol", "action", "id", "exchange", "exchanges", "timestamp", "confidence", "sizing", "x"]
)
sizes = st.dictionaries(
    st.sampled_from([*SizingChanges.__struct_fields__, "x"]),
    json_like | st.dictionaries(st.sampled_from([*KellyChanges.__struct_fields__, "x"]), json_like),
)


@settings(max_examples=150)
@given(st.dictionaries(fields, json_like | sizes, max_size=5))
def test_an_authentic_alert_raises_nothing_but_a_refusal(given: dict[str, Any]) -> None:
    try:
        new = post(json.dumps({**GOOD, **given}).encode())
    except Refusal:
        return
    assert NOW - 300 <= new.good_until - 300 <= NOW + 30
    assert set(new.accounts) <= {"paper", "binance"}


# --- who may trade what, and where it goes

TREND = StrategySettings(exchanges=("binance", "paper"), secret=Secret("canary-of-the-trend"))


def routed(**strategies: StrategySettings) -> GateRules:
    made = gate_rules(
        Settings(
            exchanges={"paper": AccountSettings(), "binance": AccountSettings()},
            strategies=strategies or {"trend": TREND, "grid": StrategySettings()},
        ),
        lambda: SECRET,
    )
    assert "canary" not in repr(made)
    return made


def test_an_alert_goes_where_it_says_within_what_its_strategy_may() -> None:
    assert send(routed(), strategy="trend").accounts == ("binance", "paper")
    assert send(routed(), strategy="trend", exchange="paper").accounts == ("paper",)
    assert send(routed(), strategy="grid").accounts == ("paper",)
    assert send(routed(), strategy="grid", exchange="binance").accounts == ("binance",)
    assert send(routed()).accounts == ("paper",)
    only = routed(trend=StrategySettings(exchanges=("binance",)))
    assert refused(only, strategy="trend", exchange="paper") == ("alert.account", "exchange")
    assert refused(only, strategy="trend", exchanges=["binance", "paper"]) == ("alert.account", "exchanges")


def test_an_unknown_strategy_is_refused_with_the_nearest_name_once_some_are_configured() -> None:
    with pytest.raises(Refusal, match="did you mean trend") as caught:
        send(routed(), strategy="trned")
    assert (caught.value.code, caught.value.field) == ("alert.strategy", "strategy")
    assert send(strategy="trned").alert.strategy == "trned"  # a free label


def test_a_strategys_own_secret_trades_it_alone_and_need_not_name_it() -> None:
    def by_own(**fields: Any) -> NewAlert:
        body = json.dumps({**GOOD, **fields, "secret": "canary-of-the-trend"}).encode()
        return admit({}, body, routed(), {"paper": INDEX}.get, NOW)

    new = by_own()
    assert (new.source, new.alert.strategy, new.accounts) == ("strategy-trend", "trend", ("binance", "paper"))
    assert (by_own(strategy="trend").key, by_own(strategy="trend").id) == (new.key, new.id)
    with pytest.raises(OutOfScope, match="may not trade the strategy 'grid'"):
        by_own(strategy="grid")


def test_a_secret_of_some_accounts_may_not_trade_on_others() -> None:
    mine = (WebhookSecret(secret=SECRET, name="tv", accounts=("paper",)),)
    limited = replace(rules(), secrets=mine)
    assert send(limited).source == "tv"
    with pytest.raises(OutOfScope, match="'tv' may not trade on 'binance'"):
        send(limited, exchanges=["paper", "binance"])


@pytest.mark.parametrize("state", [("long", "short"), ("short", "flat"), ("up", None)])
def test_a_strategys_state_that_no_order_makes_is_refused_at_the_door(state: tuple[str, str | None]) -> None:
    now, before = state
    action = "buy" if now == "short" else "sell"
    code = "alert.schema" if now == "up" else "strategy.contradiction"
    told = {"action": action, "market_position": now, "prev_market_position": before}
    assert refused(**told) == (code, "market_position")


# --- the key

identifying: dict[str, st.SearchStrategy[Any]] = {
    "strategy": st.sampled_from(["a", "b"]),
    "order_id": st.sampled_from(["Long", "Short", "3"]),
    "action": st.sampled_from(["buy", "sell"]),
    "symbol": st.sampled_from(["BTCUSDT", "BTC/USDT"]),
    "bar_time": st.sampled_from(["1762511400", "1762511460"]),
    "timestamp": st.sampled_from([NOW, NOW - 1]),
    "position_size": st.sampled_from([1, 2, -1]),
    "amount": st.sampled_from([1, 2, "1.5"]),
    "price": st.sampled_from([50_000, 50_001]),
    "exchange": st.sampled_from(["paper", "binance"]),
}


@given(st.fixed_dictionaries(identifying), st.data())
def test_two_real_fills_are_never_merged(one: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(identifying)))
    other = one | {name: data.draw(identifying[name].filter(lambda value: value != one[name]))}
    assert send(**one).key != send(**other).key


@given(st.fixed_dictionaries(identifying), st.randoms(use_true_random=False))
def test_a_re_send_is_never_split_however_its_json_is_laid_out(one: dict[str, Any], chance: Any) -> None:
    fields = list({**GOOD, **one}.items())
    chance.shuffle(fields)
    new, again = send(**one), post(json.dumps(dict(fields), indent=chance.choice([None, 2])).encode())
    assert (new.key, new.id, new.digest) == (again.key, again.id, again.digest)
