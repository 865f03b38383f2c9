"""What a human is told of the journal's events: once, in plain words, without a secret."""

from pathlib import Path
from typing import Any

import pytest

from fakes import FakeVenue
from fks.domain import notices
from fks.domain.errors import Rejected
from fks.domain.limits import BreakerState
from fks.domain.messages import Event
from fks.domain.notices import NAMES, Notice
from fks.domain.orders import State
from rig import Rig, until

ORDER = {
    "leg": "entry", "symbol": "BTC/USDT", "side": "buy", "type": "market", "amount": "0.01", "filled": "0",
}  # fmt: skip


def event(kind: str, **fields: Any) -> Event:
    ids = {name: fields.pop(name) for name in ("alert_id", "order_id", "account") if name in fields}
    return Event(seq=1, time=0.0, kind=kind, data=fields, **ids)


def told(kind: str, **fields: Any) -> Notice:
    notice = notices.of(event(kind, **fields))
    assert notice is not None
    assert notice.names[0] in NAMES
    assert kind in notices.kinds(notice.names[:1])
    return notice


@pytest.mark.parametrize(
    ("kind", "more", "title"),
    [
        ("order_filled", {"filled": "0.01", "average": "50010"}, "main: bought 0.01 BTC/USDT at 50010"),
        ("order_filled", {"filled": "0.01", "average": "1", "side": "sell"}, "main: sold 0.01 BTC/USDT at 1"),
        ("order_partial", {"filled": "0.004"}, "main: bought 0.004 of 0.01 BTC/USDT so far"),
        ("order_rejected", {}, "main: rejected by the exchange: buy 0.01 BTC/USDT"),
        ("order_unknown", {"price": "49000"}, "main: outcome unknown: buy 0.01 BTC/USDT at 49000"),
        ("order_open", {"stop_price": "48000"}, "main: on the exchange: buy 0.01 BTC/USDT from 48000"),
        ("order_refused", {}, "main: not sent: buy 0.01 BTC/USDT"),
    ],
)  # fmt: skip
def test_an_order_is_told_with_account_side_amount_symbol_and_price(
    kind: str, more: dict[str, str], title: str
) -> None:
    fields = {**ORDER, **more, "account": "main", "order_id": "q1", "alert_id": "a1", "reason": "because"}
    notice = told(kind, **fields)
    assert notice.title == title
    for word in ("entry, market", "because", "order q1", "alert a1"):
        assert word in notice.text


@pytest.mark.parametrize("state", list(State))
def test_every_state_of_an_order_has_words(state: State) -> None:
    assert told(f"order_{state}", **ORDER).names[0] == state.value


@pytest.mark.parametrize(
    ("kind", "fields", "names"),
    [
        ("alarm", {"code": "position.unprotected", "alert_id": "a1"}, ("unprotected", "alarm")),
        ("alarm", {"code": "drift"}, ("drift", "alarm")),
        ("alarm", {"code": "strategy.drift", "alert_id": "a1"}, ("drift", "alarm")),
        ("alarm", {"code": "account.failed"}, ("failed", "alarm")),
        ("alarm", {"code": "position.liquidated"}, ("alarm",)),
        # a reversal that only closed; and an alert that was refused before it was accepted
        ("alarm", {"code": "risk.max_order_notional", "alert_id": "a1"}, ("alarm",)),
        ("alarm", {"code": "alert.symbol"}, ("alarm",)),
        ("order_rejected", ORDER, ("rejected", "alarm")),
        ("order_refused", {**ORDER, "reason": "stale"}, ("refused", "alarm")),
        ("order_refused", ORDER, ("refused",)),
        ("intent_refused", {"code": "risk.max_order_notional", "reason": "too much"}, ("refused",)),
        ("intent_refused", {"code": "alert.symbol"}, ("refused", "alarm")),
        ("trading_state", {"state": "halted", "by": "admin"}, ("halted",)),
        ("trading_state", {"state": "active", "by": "admin"}, ("halted",)),
        ("trading_state", {"state": "reduce", "by": "risk.x", "why": "lost"}, ("halted", "alarm")),
        ("strategy_drift", {"detail": "x"}, ("drift",)),
        ("daemon_started", {}, ("started",)),
    ],
)  # fmt: skip
def test_what_asks_for_it(kind: str, fields: dict[str, Any], names: tuple[str, ...]) -> None:
    assert told(kind, **fields).names == names


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("alarm", {"code": "order.rejected", "alert_id": "a1"}),
        ("alarm", {"code": "stale", "alert_id": "a1"}),
        ("alarm", {"code": "alert.symbol", "alert_id": "a1"}),
        ("alarm", {"code": "gate.stale", "alert_id": "a1"}),
        ("alarm", {"code": "risk.max_daily_loss"}),
        ("fill", ORDER),
        ("webhook_denied", {}),
        ("something_new", {}),
    ],
)
def test_what_another_event_tells_is_not_told_twice(kind: str, fields: dict[str, Any]) -> None:
    assert notices.of(event(kind, **fields)) is None


def test_a_senders_text_stays_on_one_line_and_short() -> None:
    notice = told("intent_refused", code="alert.symbol", reason="a\nb\x1b[31m" + "x" * 1000, symbol="S\r\nT")
    assert notice.title == "refused: an alert for S T"
    assert "a b[31mx" in notice.text
    assert len(notice.text) < 400
    assert notice.text.isprintable()


def test_kinds_are_only_those_that_somebody_may_want() -> None:
    assert "order_sending" not in notices.kinds(["filled", "alarm"])
    assert {"order_filled", "alarm"} <= notices.kinds(["filled"])
    assert {"order_rejected", "order_refused"} <= notices.kinds(["alarm"])


def test_a_breaker_says_what_it_means() -> None:
    assert notices.breaker("main", BreakerState.OPEN).title == "main: the exchange fails: entries wait"
    assert notices.breaker("main", BreakerState.CLOSED).title == "main: the exchange answers again"


async def test_a_rejection_as_the_ledger_records_it_makes_one_notice(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue(Rejected("order.rejected", "insufficient funds"))).running() as rig:
        alert = await rig.send()

        async def rejected() -> bool:
            return [order.state for order in await rig.orders()] == [State.REJECTED]

        await until(rejected)
        wanted = [notices.of(one) for one in rig.journal.events]
        of_alarm = [one for one in wanted if one is not None and "alarm" in one.names]
        (notice,) = of_alarm
        assert notice.title.startswith("main: rejected by the exchange: buy 0.01 BTC/USDT")
        assert "insufficient funds" in notice.text
        assert f"alert {alert}" in notice.text
