"""How an exchange's reports and the daemon's own marks change orders, fills and positions."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fks.domain.ids import client_order_id
from fks.domain.messages import Event, Order, Report
from fks.domain.orders import IllegalTransition, Leg, OrderType, Side, State
from fks.domain.outcome import AlertState
from fks.domain.protection import HELD
from fks.infra import journal_check
from fks.infra.ledger_sqlite import SqliteStore
from ledger_cases import NOON, alert, claimed, do, found, kinds, opened, order, planned, report, sent, trade
from ledger_fixtures import fixture_path, fixture_store  # noqa: F401 - fixtures

D = Decimal


def claim(store: SqliteStore, now: float) -> list[Order]:
    taken: list[Order] = do(store, lambda ledger: ledger.claim("paper", now=now, window=5, limit=9))
    return taken


def alarms(store: SqliteStore) -> list[Event]:
    return [one for one in store.read(lambda reader: reader.events(0)) if one.kind == "alarm"]


# -- settling


def test_fill_moves_order_position_and_alert_in_one_change(store: SqliteStore) -> None:
    one = sent(store)
    told = report(one, State.FILLED, "1", "100", trades=(trade("t1", "1", "100", "0.1", "USDT"),))
    after = do(store, lambda ledger: ledger.settle(one.id, told, NOON))
    assert (after.state, after.filled, after.average) == (State.FILLED, 1, 100)
    (position,) = store.read(lambda reader: reader.positions("paper"))
    assert (position.amount, position.average, position.fees) == (1, 100, D("0.1"))
    assert store.read(lambda reader: reader.alert_state(one.alert_id)) is AlertState.DONE
    assert kinds(store)[-3:] == ["order_filled", "fill", "alert_done"]
    assert store.read(lambda reader: reader.account_fills("paper"))[0][0] == after


def test_every_id_finds_the_order(store: SqliteStore) -> None:
    one = sent(store)
    do(store, lambda ledger: ledger.mark(one.id, State.UNKNOWN, "timeout", NOON))
    do(
        store,
        lambda ledger: ledger.retry(one.id, reason="absent", not_before=0, now=NOON, attempt=2, send_by=None),
    )
    do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5, limit=9))
    after = do(store, lambda ledger: ledger.settle(one.id, report(one, State.OPEN), NOON))
    assert after.client_order_id == client_order_id(one.alert_id, "paper", one.id, 2) != one.client_order_id
    for any_id in (one.id, one.client_order_id, after.client_order_id, after.exchange_order_id):
        assert store.read(lambda reader, any_id=any_id: reader.order(any_id)) == after


def test_same_report_twice_changes_nothing(store: SqliteStore) -> None:
    one = sent(store)
    told = report(one, State.PARTIAL, "0.4", "100")
    first = do(store, lambda ledger: ledger.settle(one.id, told, NOON))
    before = kinds(store)
    assert do(store, lambda ledger: ledger.settle(one.id, told, NOON + 9)) == first
    assert kinds(store) == before


def test_a_trade_id_of_another_order_loses_no_amount(store: SqliteStore) -> None:
    first, second = sent(store), sent(store, 2, symbol="ETH/USDT")
    for one in (first, second):  # some exchanges count trades by market
        told = report(one, State.FILLED, "1", "100", trades=(trade("7", "1", "100"),))
        do(store, lambda ledger, one=one, told=told: ledger.settle(one.id, told, NOON))
    assert [one.amount for one in store.read(lambda reader: reader.positions())] == [1, 1]


def test_report_of_an_order_proven_absent_is_refused(store: SqliteStore) -> None:
    one = sent(store)
    do(store, lambda ledger: ledger.mark(one.id, State.REJECTED, "no money", NOON))
    with pytest.raises(IllegalTransition):
        do(store, lambda ledger: ledger.settle(one.id, report(one, State.OPEN), NOON))


def reports_of_one_life(one: Any) -> list[Report]:
    trades = tuple(trade(f"t{n}", "0.25", str(100 + n)) for n in range(4))
    return [
        report(one, State.OPEN),
        report(one, State.PARTIAL, "0.25", "100", trades=trades[:1]),
        report(one, State.PARTIAL, "0.5", "100.5"),
        report(one, State.PARTIAL, "0.75", "101", trades=trades[:3]),
        report(one, State.FILLED, "1", "101.5", trades=trades),
    ]


@settings(max_examples=15)
@given(st.lists(st.integers(0, 4), max_size=8))
def test_reports_in_any_order_and_number_come_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, picked: list[int]
) -> None:
    store = opened(tmp_path_factory.mktemp("journal") / "fks.db")
    try:
        one = sent(store)
        told = reports_of_one_life(one)
        for number in [*picked, 4]:
            do(store, lambda ledger, number=number: ledger.settle(one.id, told[number], NOON))
        after = found(store, one.id)
        (position,) = store.read(lambda reader: reader.positions())
        fills = store.read(lambda reader: reader.fills_of(one.id))
        assert (after.state, after.filled, after.average) == (State.FILLED, 1, D("101.5"))
        assert sum(fill.amount for fill in fills) == position.amount == 1
        assert sum(fill.amount * fill.price for fill in fills) == position.average == D("101.5")
        assert store.read(journal_check.verify_journal).problems == ()
    finally:
        store.close()


# -- marks, retries, releases, cancels


def test_rejected_entry_takes_its_legs_with_it(store: SqliteStore) -> None:
    entry = order(alert())
    attached = order(alert(), Leg.STOP_LOSS, parent=entry.id, attached=True)
    held = order(alert(), Leg.TAKE_PROFIT, parent=entry.id, not_before=HELD)
    claimed(store, entry, attached, held)
    do(store, lambda ledger: ledger.mark(entry.id, State.REJECTED, "no money", NOON))
    assert found(store, attached.id).state is State.REJECTED
    assert found(store, held.id).state is State.REFUSED
    assert store.read(lambda reader: reader.live_orders()) == []
    assert store.read(lambda reader: reader.alert_state(entry.alert_id)) is AlertState.REFUSED
    alarms = [one.order_id for one in store.read(lambda reader: reader.events(0)) if one.kind == "alarm"]
    assert alarms == [entry.id], "one rejection is one alarm"


def test_partly_filled_entry_keeps_its_legs(store: SqliteStore) -> None:
    entry = order(alert())
    held = order(alert(), Leg.STOP_LOSS, parent=entry.id, not_before=HELD)
    claimed(store, entry, held)
    do(store, lambda ledger: ledger.settle(entry.id, report(entry, State.CANCELED, "0.4", "100"), NOON))
    assert found(store, held.id).state is State.PLANNED
    assert store.read(lambda reader: reader.backlog()) == 0
    after = do(store, lambda ledger: ledger.release(held.id, D("0.4"), NOON))
    assert (after.amount, after.not_before) == (D("0.4"), 0)
    assert do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5, limit=9))[0].id == held.id
    with pytest.raises(IllegalTransition):
        do(store, lambda ledger: ledger.release(held.id, D("0.4"), NOON))


def test_unknown_and_retried_entry_takes_attached_legs_along(store: SqliteStore) -> None:
    entry = order(alert())
    leg = order(alert(), Leg.STOP_LOSS, parent=entry.id, attached=True)
    claimed(store, entry, leg)
    do(store, lambda ledger: ledger.mark(entry.id, State.UNKNOWN, "timeout", NOON))
    assert found(store, leg.id).state is State.UNKNOWN
    for _ in range(2):  # asked twice, done once
        do(
            store,
            lambda ledger: ledger.retry(
                entry.id, reason="absent", not_before=0, now=NOON, attempt=2, send_by=None
            ),
        )
    assert (found(store, entry.id).attempt, found(store, leg.id).attempt) == (2, 2)
    again = do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5, limit=9))
    assert [one.id for one in again] == [entry.id, leg.id]
    assert not {one.client_order_id for one in again} & {entry.id, leg.id}


def test_retry_waits_as_long_as_it_was_told(store: SqliteStore) -> None:
    one = sent(store)
    do(
        store,
        lambda ledger: ledger.retry(
            one.id, reason="429", not_before=NOON + 3, now=NOON, attempt=1, send_by=None
        ),
    )
    assert do(store, lambda ledger: ledger.claim("paper", now=NOON + 2, window=5, limit=9)) == []
    assert len(do(store, lambda ledger: ledger.claim("paper", now=NOON + 3, window=5, limit=9))) == 1


@pytest.mark.parametrize(("leg", "only"), [(Leg.CLOSE, False), (Leg.ENTRY, True)])
def test_a_close_or_part_goes_at_any_age_and_a_late_one_is_an_alarm_once(
    store: SqliteStore, leg: Leg, only: bool
) -> None:
    planned(store, order(alert(1), leg, side=Side.SELL, reduce_only=only))
    (first,) = claim(store, NOON + 1500)
    do(
        store,
        lambda ledger: ledger.retry(first.id, reason="?", not_before=0, now=NOON, attempt=1, send_by=None),
    )
    assert len(claim(store, NOON + 1560)) == 1
    (told,) = alarms(store)
    assert (told.order_id, told.data["code"]) == (first.id, "order.late")
    assert told.data["detail"].startswith("sell of 1 BTC/USDT is sent 1200 s after its time")


def test_a_close_that_was_sent_in_time_and_then_late_is_an_alarm(store: SqliteStore) -> None:
    (one,) = claimed(store, order(alert(1), Leg.CLOSE, side=Side.SELL))
    do(
        store,
        lambda ledger: ledger.retry(one.id, reason="?", not_before=0, now=NOON, attempt=2, send_by=None),
    )
    assert alarms(store) == []
    claim(store, one.good_until + 1)
    assert [told.data["code"] for told in alarms(store)] == ["order.late"]


def test_what_has_no_time_of_its_own_is_never_late(store: SqliteStore) -> None:
    forced = order(alert(1), Leg.CLOSE, side=Side.SELL, good_until=NOON)  # as a limit makes it
    stop = order(alert(2), Leg.STOP_LOSS, symbol="ETH/USDT")  # it goes when its entry is filled
    planned(store, forced)
    planned(store, stop, n=2)
    assert len(claim(store, stop.good_until + 1)) == 2
    assert alarms(store) == []


def test_cancel_ends_what_was_not_sent_and_marks_the_rest(store: SqliteStore) -> None:
    live = sent(store)
    waiting = order(alert(2), symbol="ETH/USDT")
    planned(store, waiting, n=2)
    for _ in range(2):
        left = do(store, lambda ledger: ledger.request_cancel([live.id, waiting.id], NOON, "operator"))
        assert [(one.id, one.cancel_requested) for one in left] == [(live.id, True)]
    assert found(store, waiting.id).state is State.CANCELED
    assert kinds(store).count("cancel_requested") == 1


def test_unknown_order_id_is_named(store: SqliteStore) -> None:
    with pytest.raises(KeyError, match="no order q404"):
        do(store, lambda ledger: ledger.mark("q404", State.UNKNOWN, "?", NOON))


def test_an_order_of_the_exchange_s_own_making_is_adopted_once(store: SqliteStore) -> None:
    one = sent(store)
    trades = (trade("t1", "1", "100", "0.1", "USDT"),)
    do(
        store,
        lambda ledger: ledger.settle(one.id, report(one, State.FILLED, "1", "100", trades=trades), NOON),
    )
    forced = order(alert(1), Leg.CLOSE, side=Side.SELL)
    told = report(
        forced, State.FILLED, "1", "80", trades=(trade("t2", "1", "80", "0.1", "USDT"),), reason="gone"
    )
    for _ in range(2):
        do(store, lambda ledger: ledger.adopt(forced, told, NOON))
    after = found(store, forced.id)
    assert (after.state, after.average, after.reason) == (State.FILLED, 80, "gone")
    (position,) = store.read(lambda reader: reader.positions("paper"))
    assert (position.amount, position.realized) == (0, -20)
    assert kinds(store).count("fill") == 2


def test_a_reduce_only_limit_grows_stale(store: SqliteStore) -> None:
    """Its price was meant for the moment."""
    resting = order(alert(1), side=Side.SELL, reduce_only=True, type=OrderType.LIMIT, price=Decimal(5))
    planned(store, resting)
    assert claim(store, resting.good_until + 1) == []
    assert found(store, resting.id).reason == "stale"
