"""Foreign formats at the gate and in the ledger: who may send them, and which are the same alert."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialect_cases import body
from fks.domain.auth import Denied, sign
from fks.domain.errors import Refusal
from fks.domain.gate import GateRules
from fks.domain.ids import RESEND_S
from fks.domain.messages import NewAlert, Verdict
from fks.domain.secret import Secret
from fks.domain.settings import WebhookSecret, WebhookSettings
from fks.infra.ledger_sqlite import SqliteStore
from ledger_cases import do
from ledger_fixtures import fixture_path, fixture_store  # noqa: F401 - fixtures
from makers import NOW, admit

SECRET = Secret("canary-0f1e2d3c4b5a")
ACCOUNTS = frozenset({"paper", "binance"})
RULES = GateRules((WebhookSecret(secret=SECRET, name="secret-1"),), WebhookSettings(), ACCOUNTS, "paper")
TIMELESS = f"{SECRET.reveal()},buy,BTCUSDT,vol_lots=1"
TIMED = {"ticker": "BTCUSDT", "action": "buy", "time": "2025-11-07T10:30:00Z", "secret": SECRET.reveal()}


def admitted(message: str | dict[str, Any], now: float = NOW) -> NewAlert:
    return admit({}, body(message), RULES, lambda _account: None, now)


def test_a_foreign_message_is_admitted_by_its_own_credential() -> None:
    new = admitted(TIMELESS)
    assert (new.source, new.accounts, new.good_until) == ("secret-1", ("paper",), NOW + 300)
    assert new.body["dialect"] == "pineconnector"
    assert "canary" not in repr(new)
    assert admitted(TIMED).body["original"] == {key: TIMED[key] for key in ("ticker", "action", "time")}


@pytest.mark.parametrize(
    "message",
    [
        "guess,buy,BTCUSDT,vol_lots=1",
        "guess,buy,BTCUSDT,risk=1",
        "keys(X) { nonsense }",
        "SYMBOL=X;SIGNAL=BUY;TOKEN=guess",
        {**TIMED, "secret": "guess"},
        {"ticker": "X", "action": "moon"},
        '{"secret": "guess", NaN}',
        "nonsense",
    ],
)
def test_a_stranger_is_told_nothing_whatever_the_format(message: str | dict[str, Any]) -> None:
    with pytest.raises(Denied):
        admitted(message)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (TIMELESS + ",risk=1", "dialect.unsupported"),
        ({**TIMED, "cancel": True}, "dialect.unsupported"),
        ({**TIMED, "time": "2025-11-07T09:30:00Z"}, "gate.stale"),
        ({**TIMED, "exchange": "kraken"}, "alert.account"),
        ('{"secret": "canary-0f1e2d3c4b5a", "symbol": "X", "price": NaN}', "alert.json"),
        ('{"secret": "canary-0f1e2d3c4b5a", "symbol": {{ticker}}}', "alert.placeholder"),
    ],
)
def test_an_authentic_sender_is_told_what_is_wrong(message: str | dict[str, Any], code: str) -> None:
    with pytest.raises(Refusal) as caught:
        admitted(message)
    assert caught.value.code == code
    assert "canary" not in caught.value.detail


def test_a_signature_does_for_any_format() -> None:
    raw = b"SYMBOL=BTCUSDT;SIGNAL=BUY"
    new = admit({"x-signature": sign(SECRET, raw)}, raw, RULES, lambda _account: None, NOW)
    assert new.alert.symbol == "BTCUSDT"


def test_the_senders_own_lag_only_shortens_the_age() -> None:
    okx = {"instrument": "BTCUSDT", "action": "ENTER_LONG", "timestamp": NOW, "signalToken": SECRET.reveal()}
    assert admitted(okx).good_until == NOW + 60
    assert admitted(okx | {"maxLag": "10"}).good_until == NOW + 10
    assert admitted(okx | {"maxLag": "9000"}).good_until == NOW + 300
    with pytest.raises(Refusal, match=r"61\.0 s old"):
        admitted(okx, NOW + 61)


def test_a_native_alert_needs_its_time() -> None:
    with pytest.raises(Refusal, match="timestamp"):
        admitted(
            {"symbol": "X", "action": "buy", "confidence": 1, "dialect": "okx", "secret": SECRET.reveal()}
        )


def test_exits_of_both_sides_in_one_second_are_two_alerts() -> None:
    common = {"instrument": "BTCUSDT", "timestamp": NOW, "signalToken": SECRET.reveal()}
    both = [admitted(common | {"action": action}) for action in ("EXIT_LONG", "EXIT_SHORT")]
    half = admitted(common | {"action": "EXIT_LONG", "investmentType": "percentage_position", "amount": 50})
    assert len({new.key for new in (*both, half)}) == 3


# --- without time and id, only the moment tells a re-send from a new alert


def verdicts(store: SqliteStore, *sent: tuple[str, float]) -> list[Verdict]:
    alerts = [admitted(message, now) for message, now in sent]
    return [do(store, lambda ledger, new=new: ledger.accept(new)).verdict for new in alerts]  # type: ignore[misc]


@settings(max_examples=30)
@given(st.floats(0, 200), st.floats(0, RESEND_S - 0.001))
def test_a_re_send_has_the_key_of_the_first_among_its_own(start: float, later: float) -> None:
    first, again = admitted(TIMELESS, NOW + start), admitted(TIMELESS, NOW + start + later)
    assert first.key in (again.key, *again.resend_keys)
    assert again.digest == first.digest


def test_tradingviews_four_tries_are_one_alert(store: SqliteStore) -> None:
    for start in (NOW, NOW + 44):  # also where a span ends in between
        message = TIMELESS + f",comment=at {start}"
        tries = [(message, start + after) for after in (0.0, 8.0, 16.0, 27.0)]
        assert verdicts(store, *tries) == [Verdict.FRESH, *[Verdict.DUPLICATE] * 3]


def test_the_same_text_at_the_next_bar_is_a_new_alert(store: SqliteStore) -> None:
    bars = [(TIMELESS, NOW + 60 * bar + jitter) for bar, jitter in enumerate((0.0, -5.0, 9.0, 0.0))]
    assert verdicts(store, *bars) == [Verdict.FRESH] * 4


def test_another_text_in_the_same_second_is_another_alert(store: SqliteStore) -> None:
    assert verdicts(store, (TIMELESS, NOW), (TIMELESS + ",sl_pct=1", NOW)) == [Verdict.FRESH] * 2


def test_a_clock_that_steps_back_a_little_does_not_split(store: SqliteStore) -> None:
    assert verdicts(store, (TIMELESS, NOW), (TIMELESS, NOW - 20)) == [Verdict.FRESH, Verdict.DUPLICATE]


def test_with_a_time_of_its_own_the_moment_does_not_matter(store: SqliteStore) -> None:
    timed = json.dumps(TIMED)
    assert verdicts(store, (timed, NOW), (timed, NOW + 200)) == [Verdict.FRESH, Verdict.DUPLICATE]
