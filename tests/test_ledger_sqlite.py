"""Alerts, intents, claims and questions: what the journal keeps and what it answers."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fks.domain.errors import Refusal
from fks.domain.messages import IntentState, Report, TradingState, Verdict
from fks.domain.orders import IllegalTransition, Leg, Side, State
from fks.domain.outcome import AlertState
from fks.domain.protection import HELD
from fks.infra.ledger_sqlite import SqliteStore
from ledger_cases import (
    NOON,
    SYMBOL,
    accept,
    alert,
    claimed,
    do,
    found,
    kinds,
    opened,
    order,
    planned,
    report,
    sent,
    sql,
)
from ledger_fixtures import fixture_path, fixture_store  # noqa: F401 - fixtures

D = Decimal


# -- alerts and intents


def test_accepted_once_then_duplicate_then_conflict(store: SqliteStore) -> None:
    new = alert(accounts=("a", "b"))
    assert do(store, lambda ledger: ledger.accept(new)).verdict is Verdict.FRESH
    assert do(store, lambda ledger: ledger.accept(new)).verdict is Verdict.DUPLICATE
    other = do(store, lambda ledger: ledger.accept(alert(digest="other")))
    assert (other.verdict, other.alert_id) == (Verdict.CONFLICT, new.id)
    assert kinds(store) == ["alert_accepted", "alert_conflict", "alarm"]
    assert [one.account for one in store.read(lambda reader: reader.intents_of(new.id))] == ["a", "b"]


def test_alert_survives_the_round_trip_exactly(store: SqliteStore) -> None:
    new = alert(amount=D("0.100000000000000000123"), sizing={"pct": D("0.02"), "atr_period": D(14)})
    intent = accept(store, new)
    assert intent.alert == new.alert
    assert (intent.received_at, intent.good_until) == (new.received_at, new.good_until)
    row = store.read(lambda reader: reader.alert(new.id))
    assert row is not None
    assert row["body"] == {"symbol": "BTCUSDT", "amount": 1.5, "odd": "1E+400"}


def test_order_survives_the_round_trip_exactly(store: SqliteStore) -> None:
    one = order(
        alert(),
        price=D("50000.10"),
        leverage=3,
        post_only=True,
        not_before=HELD,
        send_by=None,
        attached=False,
    )
    planned(store, one)
    assert found(store, one.id) == one


def test_an_intent_is_decided_once(store: SqliteStore) -> None:
    intent = accept(store, alert())
    do(store, lambda ledger: ledger.plan(intent, [order(alert())]))
    with pytest.raises(IllegalTransition):
        do(store, lambda ledger: ledger.plan(intent, [order(alert(), id="q2", client_order_id="q2")]))
    with pytest.raises(IllegalTransition):
        do(store, lambda ledger: ledger.refuse(intent, Refusal("risk.limit", "too much")))
    assert len(store.read(lambda reader: reader.orders_of(intent.alert_id))) == 1


def test_refused_intent_refuses_the_alert(store: SqliteStore) -> None:
    intent = accept(store, alert())
    do(store, lambda ledger: ledger.refuse(intent, Refusal("risk.limit", "too much")))
    (after,) = store.read(lambda reader: reader.intents_of(intent.alert_id))
    assert (after.state, after.code, after.reason) == (IntentState.REFUSED, "risk.limit", "too much")
    assert kinds(store, 1) == ["intent_refused", "alert_refused"]
    assert store.read(lambda reader: reader.unsized("paper", 10)) == []


def test_cancel_alert_is_done_without_orders(store: SqliteStore) -> None:
    planned(store)
    assert store.read(lambda reader: reader.alert_state(alert().id)) is AlertState.DONE


def test_unsized_intents_are_listed_by_account_oldest_first(store: SqliteStore) -> None:
    for n in (2, 1, 3):
        accept(store, alert(n))
    accept(store, alert(4, accounts=("other",)))
    ids = [one.alert_id for one in store.read(lambda reader: reader.unsized("paper", 2))]
    assert ids == [alert(2).id, alert(1).id]
    behind = store.read(lambda reader: reader.unsized("paper", 2, ids[-1]))
    assert [one.alert_id for one in behind] == [alert(3).id]
    assert store.read(lambda reader: reader.backlog()) == 4


# -- claiming


def test_claim_is_on_disk_with_its_fence_and_happens_once(store: SqliteStore) -> None:
    (one,) = claimed(store, order(alert()))
    assert (one.state, one.send_by) == (State.SENDING, NOON + 5)
    assert found(store, one.id) == one
    assert do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5, limit=10)) == []


def test_attached_legs_are_claimed_with_their_entry(store: SqliteStore) -> None:
    entry = order(alert())
    stop = order(alert(), Leg.STOP_LOSS, parent=entry.id, attached=True)
    other = order(alert(2))
    accept(store, alert(2))
    planned(store, stop, entry)  # a leg before its entry is no obstacle
    do(store, lambda ledger: ledger.plan(ledger.intents_of(alert(2).id)[0], [other]))
    claimed = do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5, limit=1))
    assert [one.id for one in claimed] == [entry.id, stop.id]


def test_only_exits_are_claimed_without_entries(store: SqliteStore) -> None:
    planned(store, order(alert()))
    close = order(alert(2), Leg.CLOSE, symbol="ETH/USDT", side=Side.SELL)
    planned(store, close, n=2)
    ready = do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5, limit=9, entries=False))
    assert [one.id for one in ready] == [close.id]


def test_stale_entry_is_refused_with_its_legs_and_an_alarm(store: SqliteStore) -> None:
    entry = order(alert())
    stop = order(alert(), Leg.STOP_LOSS, parent=entry.id, not_before=HELD)
    planned(store, entry, stop)
    late = entry.good_until + 1
    assert do(store, lambda ledger: ledger.claim("paper", now=late, window=5, limit=9)) == []
    assert (found(store, entry.id).state, found(store, entry.id).reason) == (State.REFUSED, "stale")
    assert found(store, stop.id).state is State.REFUSED
    assert {"alarm", "alert_refused"} <= set(kinds(store))


def test_exits_do_not_go_stale(store: SqliteStore) -> None:
    close = order(alert(), Leg.CLOSE, side=Side.SELL)
    planned(store, close)
    (one,) = do(store, lambda ledger: ledger.claim("paper", now=close.good_until + 9e6, window=5, limit=9))
    assert one.id == close.id


def test_order_to_be_canceled_is_never_claimed(store: SqliteStore) -> None:
    one = sent(store)
    do(store, lambda ledger: ledger.request_cancel([one.id], NOON, "operator"))
    back = do(
        store,
        lambda ledger: ledger.retry(
            one.id, reason="refused", not_before=0, now=NOON, attempt=1, send_by=None
        ),
    )
    assert back.state is State.CANCELED
    assert do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5, limit=9)) == []


# -- questions


def test_exposure_counts_today_and_the_last_minute(store: SqliteStore) -> None:
    for n, (side, price, at) in enumerate(
        [(Side.BUY, "100", NOON - 90_000), (Side.SELL, "90", NOON - 50_000), (Side.SELL, "70", NOON)], start=1
    ):
        one = sent(store, n, side=side, amount=D(2 if side is Side.BUY else 1), symbol=SYMBOL)
        fee = {"fee": D("0.5"), "fee_currency": "USDT"}
        told = report(one, State.FILLED, str(one.amount), price, **fee)
        told = Report(**{name: getattr(told, name) for name in told.__struct_fields__} | {"time": at})
        do(store, lambda ledger, one=one, told=told: ledger.settle(one.id, told, NOON))
    open_ = sent(store, 9)
    now = store.read(lambda reader: reader.exposure("paper", NOON))
    assert now.realized_today == D("-30.5")  # of three fills one is of today; its fee counts
    assert now.placed_last_minute == 4
    assert [one.id for one in now.live] == [open_.id]
    assert now.positions[SYMBOL].realized == D(-40)
    assert store.read(lambda reader: reader.exposure("paper", NOON + 61)).placed_last_minute == 0


def test_pages_are_newest_first(store: SqliteStore) -> None:
    for n in range(1, 5):
        planned(store, order(alert(n)), n=n)
    read = store.read
    newest = read(lambda reader: reader.orders(limit=2))
    assert [one.alert_id for one in newest] == [alert(4).id, alert(3).id]
    assert [one.alert_id for one in read(lambda reader: reader.orders(before=newest[-1].id))] == [
        alert(2).id,
        alert(1).id,
    ]
    assert [row["id"] for row in read(lambda reader: reader.alerts(limit=1, before=alert(3).id))] == [
        alert(2).id
    ]
    assert read(lambda reader: reader.orders(state="filled")) == []
    assert read(lambda reader: reader.alerts(state="refused")) == []
    assert len(read(lambda reader: reader.orders(account="paper", state="planned"))) == 4


def test_trading_state_survives_a_restart(path: Path) -> None:
    store = opened(path)
    do(store, lambda ledger: ledger.set_trading(None, TradingState.HALTED, "operator", NOON))
    do(store, lambda ledger: ledger.set_trading("paper", TradingState.REDUCE, "operator", NOON))
    store.close()
    store = opened(path)
    expected = {None: TradingState.HALTED, "paper": TradingState.REDUCE}
    assert store.read(lambda reader: reader.trading()) == expected
    store.close()


@pytest.mark.parametrize(
    "query",
    [
        lambda reader: reader.live_orders(),
        lambda reader: reader.live_orders("paper"),
        lambda reader: reader.unsized("paper", 10),
        lambda reader: reader.unsized("paper", 10, "a1"),
        lambda reader: reader.backlog(),
    ],
)
def test_recovery_reads_only_what_is_unfinished(store: SqliteStore, query: Callable[[Any], Any]) -> None:
    def plan(reader: Any) -> str:
        asked: list[tuple[str, Any]] = []
        reader.connection.exec_trace = lambda _cursor, *query: [asked.append(query)] == [None]
        query(reader)
        reader.connection.exec_trace = None
        return " ".join(
            str(step)
            for text, values in asked
            for step in reader.connection.execute(f"EXPLAIN QUERY PLAN {text}", values)
        )

    plans = store.read(plan)
    assert "order_unfinished" in plans or "intent_unsized" in plans
    for table in ("order_by_account", "order_by_state", "SCAN order_ '", "SCAN intent '"):
        assert table not in plans


def test_views_are_readable_by_users(store: SqliteStore, path: Path) -> None:
    one = sent(store)
    do(store, lambda ledger: ledger.settle(one.id, report(one, State.FILLED, "1", "100"), NOON))
    assert sql(path, "SELECT id, state, filled, created_at FROM orders") == [
        (one.id, "filled", "1", "2027-01-15T12:00:00.000Z")
    ]
    for view in ("alerts", "fills", "positions", "events"):
        assert sql(path, f"SELECT * FROM {view}")
