"""What the sender of an alert is told of its outcome."""

from msgspec.structs import replace

from fks.domain.messages import IntentState
from fks.domain.orders import Leg, State
from fks.domain.outcome import AlertState
from fks.domain.replies import SETTLED, refusal, success
from makers import alert, intent, order

ENTRY = order("q1", exchange_order_id="777", state=State.OPEN, account="binance")
STOP = order("q2", Leg.STOP_LOSS, exchange_order_id="778")
REFUSED = replace(intent(), state=IntentState.REFUSED, code="risk.halted", reason="trading is halted")


def test_a_success_names_the_exchanges_own_order() -> None:
    reply = success("a1", alert(symbol="BTCUSDT"), [STOP, ENTRY])
    assert {
        name: reply[name] for name in ("status", "alert_id", "order_id", "symbol", "action", "exchange")
    } == {
        "status": "success",
        "alert_id": "a1",
        "order_id": "777",
        "symbol": "BTC/USDT",
        "action": "buy",
        "exchange": "binance",
    }
    assert [one["id"] for one in reply["orders"]] == ["q2", "q1"]


def test_a_cancel_has_no_order_of_its_own() -> None:
    reply = success("a1", alert("cancel", symbol="BTCUSDT", exchange="paper"), [])
    assert (reply["order_id"], reply["symbol"], reply["exchange"], reply["orders"]) == (
        None,
        "BTCUSDT",
        "paper",
        [],
    )


def test_a_refused_intent_tells_its_code_and_reason() -> None:
    assert refusal([intent(), REFUSED], [ENTRY]) == ("risk.halted", "trading is halted")
    assert refusal([replace(REFUSED, reason=None)], []) == ("risk.halted", "risk.halted")


def test_a_rejected_order_tells_the_exchanges_reason() -> None:
    rejected = replace(ENTRY, state=State.REJECTED, reason="InsufficientFunds: not enough USDT")
    assert refusal([intent()], [rejected]) == ("InsufficientFunds", "InsufficientFunds: not enough USDT")
    assert refusal([], [replace(rejected, reason="stale")]) == ("stale", "stale")
    wordy = "proven not placed, and now too old"
    assert refusal([], [replace(rejected, state=State.REFUSED, reason=wordy)]) == ("order.refused", wordy)


def test_a_legs_reason_is_not_the_alerts() -> None:
    assert refusal([], [replace(STOP, reason="its entry is rejected")]) == (
        "order.refused",
        "nothing was placed",
    )


def test_what_is_settled_is_no_longer_waited_for() -> None:
    assert set(AlertState) - SETTLED == {AlertState.ACCEPTED, AlertState.WORKING}
