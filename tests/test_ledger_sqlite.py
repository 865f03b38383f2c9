import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fks.domain.errors import Refusal
from fks.domain.ids import client_order_id
from fks.domain.messages import IntentState, NewAlert, Report, TradingState, Verdict
from fks.domain.orders import NEXT, IllegalTransition, Leg, Side, State
from fks.domain.outcome import AlertState
from fks.domain.protection import HELD
from fks.domain.secret import Secret
from fks.infra import journal_check
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.sqlite_schema import DERIVED, MIGRATIONS
from fks.ledger import JournalBroken, JournalBusy, JournalFull, JournalLocked, Ledger, SchemaTooNew
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
    trade,
)

D = Decimal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fks.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened_store = opened(path)
    yield opened_store
    problems = opened_store.read(journal_check.verify_journal).problems
    opened_store.close()
    assert problems == ()


def sql(path: Path, statement: str) -> list[Any]:
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


# -- alerts and intents


def test_accepted_once_then_duplicate_then_conflict(store: SqliteStore) -> None:
    new = alert(accounts=("a", "b"))
    assert do(store, lambda ledger: ledger.accept(new)).verdict is Verdict.FRESH
    assert do(store, lambda ledger: ledger.accept(new)).verdict is Verdict.DUPLICATE
    other = do(store, lambda ledger: ledger.accept(alert(digest="other")))
    assert (other.verdict, other.alert_id) == (Verdict.CONFLICT, new.id)
    assert kinds(store) == ["alert_accepted", "alert_conflict"]
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
    back = do(store, lambda ledger: ledger.retry(one.id, reason="refused", not_before=0, now=NOON, attempt=1))
    assert back.state is State.CANCELED
    assert do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5, limit=9)) == []


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
    do(store, lambda ledger: ledger.retry(one.id, reason="absent", not_before=0, now=NOON, attempt=2))
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


@settings(max_examples=15, deadline=None)
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
            lambda ledger: ledger.retry(entry.id, reason="absent", not_before=0, now=NOON, attempt=2),
        )
    assert (found(store, entry.id).attempt, found(store, leg.id).attempt) == (2, 2)
    again = do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5, limit=9))
    assert [one.id for one in again] == [entry.id, leg.id]
    assert not {one.client_order_id for one in again} & {entry.id, leg.id}


def test_retry_waits_as_long_as_it_was_told(store: SqliteStore) -> None:
    one = sent(store)
    do(store, lambda ledger: ledger.retry(one.id, reason="429", not_before=NOON + 3, now=NOON, attempt=1))
    assert do(store, lambda ledger: ledger.claim("paper", now=NOON + 2, window=5, limit=9)) == []
    assert len(do(store, lambda ledger: ledger.claim("paper", now=NOON + 3, window=5, limit=9))) == 1


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


# -- the file keeps its own rules


def test_transitions_are_also_a_trigger(path: Path) -> None:
    store = opened(path)
    one = sent(store)
    store.close()
    connection = apsw.Connection(str(path))
    for now in State:
        for to in State:
            connection.execute("BEGIN; DROP TRIGGER order_transition")
            connection.execute("UPDATE order_ SET state = ?", (now.value,))
            connection.execute(DERIVED["order_transition"][1])
            if to is now or to in NEXT[now]:
                connection.execute("UPDATE order_ SET state = ?", (to.value,))
            else:
                with pytest.raises(apsw.ConstraintError):
                    connection.execute("UPDATE order_ SET state = ?", (to.value,))
            connection.execute("ROLLBACK")
    assert connection.execute("SELECT state FROM order_ WHERE id = ?", (one.id,)).get == "sending"
    connection.close()


@pytest.mark.parametrize(
    "statement", ["DELETE FROM event", "UPDATE event SET data = '{}'", "DELETE FROM order_"]
)
def test_history_cannot_be_rewritten(store: SqliteStore, path: Path, statement: str) -> None:
    planned(store, order(alert()))
    with pytest.raises(apsw.ConstraintError):
        sql(path, statement)


def test_secret_cannot_get_into_an_event(store: SqliteStore) -> None:
    with pytest.raises(TypeError):
        do(store, lambda ledger: ledger.note("alarm", key=Secret("canary")))


# -- group commit


def test_one_failing_operation_fails_alone(store: SqliteStore) -> None:
    def broken(ledger: Any) -> None:
        ledger.note("alarm", code="lost")
        raise ZeroDivisionError

    def wrong(ledger: Any) -> None:
        ledger.note("alarm", code="lost")
        ledger.connection.execute("INSERT INTO intent(alert_id, account) VALUES ('none', 'paper')")

    new = alert()
    committed = store.commit(
        [
            lambda ledger: ledger.note("alarm", code="first"),
            broken,
            wrong,
            lambda ledger: ledger.accept(new),
        ]
    )
    kept, zero, constraint, acceptance = committed.results
    assert kept is None
    assert isinstance(zero, ZeroDivisionError)
    assert isinstance(constraint, apsw.ConstraintError)
    assert acceptance.verdict is Verdict.FRESH
    assert [event.data.get("code") for event in committed.events] == ["first", None]
    assert store.read(lambda reader: tuple(reader.events(0))) == committed.events


def test_readers_see_only_what_is_committed(store: SqliteStore) -> None:
    def look(ledger: Any) -> tuple[int, int]:
        ledger.note("alarm", code="x")
        return len(ledger.events(0)), store.read(lambda reader: len(reader.events(0)))

    assert do(store, look) == (1, 0)


@pytest.mark.real_time
def test_many_threads_read_whole_snapshots_while_one_writes(store: SqliteStore) -> None:
    def snapshot() -> bool:
        for _ in range(30):
            orders, events = store.read(lambda reader: (len(reader.orders()), len(reader.events(0))))
            if events != 4 * orders:  # accepted, decided, planned, working
                return False
        return True

    with ThreadPoolExecutor(6) as pool:
        reading = [pool.submit(snapshot) for _ in range(6)]
        for n in range(40):
            new = alert(n)

            def whole(ledger: Ledger, new: NewAlert = new) -> None:
                ledger.accept(new)
                ledger.plan(ledger.intents_of(new.id)[0], [order(new)])

            do(store, whole)
        assert all(one.result() for one in reading)


# -- faults


def test_second_daemon_is_told_who_holds_the_journal(store: SqliteStore, path: Path) -> None:
    with pytest.raises(JournalLocked, match=str(os.getpid())) as caught:
        opened(path)
    assert caught.value.exit_code == 77


def test_newer_schema_is_refused_and_kept(path: Path) -> None:
    opened(path, migrations=[*MIGRATIONS, "CREATE TABLE later(x)"]).close()
    with pytest.raises(SchemaTooNew) as caught:
        opened(path)
    assert caught.value.exit_code == 78
    assert sql(path, "SELECT count(*) FROM later") == [(0,)]


def test_older_schema_is_backed_up_and_brought_forward(path: Path) -> None:
    opened(path).close()
    later = [*MIGRATIONS, "ALTER TABLE alert ADD COLUMN later TEXT"]
    opened(path, migrations=later).close()
    assert sql(path, "PRAGMA user_version") == [(len(later),)]
    backup = path.with_name(f"fks.db.v{len(MIGRATIONS)}.bak")
    assert sql(backup, "PRAGMA user_version") == [(len(MIGRATIONS),)]


def test_failing_migration_leaves_the_old_schema(path: Path) -> None:
    opened(path).close()
    with pytest.raises(JournalBroken):
        opened(path, migrations=[*MIGRATIONS, "CREATE TABLE half(x); SELECT nonsense"])
    assert sql(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    opened(path).close()


def test_changed_view_is_made_anew_without_a_migration(path: Path) -> None:
    opened(path).close()
    sql(path, "DROP VIEW orders; CREATE VIEW orders AS SELECT 1 AS old")
    opened(path).close()
    assert sql(path, "SELECT count(client_order_id) FROM orders") == [(0,)]


@pytest.mark.parametrize("damage", [b"this is not a database at all" * 100, None])
def test_corrupt_file_is_refused_and_kept(path: Path, damage: bytes | None) -> None:
    store = opened(path)
    for n in range(30):
        accept(store, alert(n))
    store.close()
    data = bytearray(path.read_bytes())
    content = damage or bytes(data[:4096] + b"\x55" * 4096 + data[8192:])
    path.write_bytes(content)
    with pytest.raises(JournalBroken, match="kept"):
        opened(path)
    assert path.read_bytes() == content


def test_foreign_database_is_left_alone(path: Path) -> None:
    sql(path, "CREATE TABLE theirs(x)")
    before = path.read_bytes()
    with pytest.raises(JournalBroken, match="another program"):
        opened(path)
    assert path.read_bytes() == before


def test_unwritable_folder_is_named() -> None:
    with pytest.raises(JournalBroken, match="writable folder"):
        opened(Path("/proc/fks.db"))


def test_locked_database_is_busy_and_then_goes_on(store: SqliteStore, path: Path) -> None:
    intruder = apsw.Connection(str(path))
    intruder.execute("BEGIN IMMEDIATE")
    store._writer.set_busy_timeout(10)  # the wait itself is SQLite's
    with pytest.raises(JournalBusy):
        do(store, lambda ledger: ledger.accept(alert()))
    intruder.execute("ROLLBACK")
    intruder.close()
    assert do(store, lambda ledger: ledger.accept(alert())).verdict is Verdict.FRESH


def fill_the_disk(store: SqliteStore, spare_pages: int) -> None:
    pages = store._writer.pragma("page_count")
    assert isinstance(pages, int)
    store._writer.pragma("max_page_count", pages + spare_pages)


def test_full_disk_refuses_what_is_new_and_recovers(store: SqliteStore) -> None:
    fill_the_disk(store, 0)
    refused = store.commit([lambda ledger, n=n: ledger.accept(alert(n)) for n in range(200)]).results
    assert {type(one) for one in refused} == {JournalFull}
    fill_the_disk(store, 1000)
    assert do(store, lambda ledger: ledger.accept(alert(999))).verdict is Verdict.FRESH
    assert store.read(lambda reader: reader.backlog()) == 1


def test_without_any_space_the_whole_batch_is_refused(store: SqliteStore) -> None:
    fill_the_disk(store, 0)
    changes = [
        lambda ledger, n=n: ledger.set_trading(f"account{n}", TradingState.HALTED, "test", NOON)
        for n in range(500)
    ]
    with pytest.raises(JournalFull):
        store.commit(changes)
    assert kinds(store) == []
    assert store.read(lambda reader: reader.trading()) == {}


def test_reserve_is_kept_on_disk_freed_when_full_and_taken_again(store: SqliteStore, path: Path) -> None:
    reserve = path.with_name("fks.db.ballast")
    assert reserve.stat().st_size == 4096
    fill_the_disk(store, 0)
    store.commit([lambda ledger, n=n: ledger.accept(alert(n)) for n in range(200)])
    assert not reserve.exists()
    fill_the_disk(store, 1000)
    accept(store, alert())
    assert reserve.stat().st_size == 4096


def test_log_is_moved_into_the_database_now_and_then(store: SqliteStore, path: Path) -> None:
    before = path.stat().st_size
    for start in range(0, 8000, 2000):
        store.commit([lambda ledger, n=n: ledger.accept(alert(n)) for n in range(start, start + 2000)])
    assert path.stat().st_size > before


class FullOnce:
    """A disk that is full until the reserve is freed."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        fill_the_disk(store, 0)

    def free(self) -> None:
        fill_the_disk(self._store, 100)

    def fill(self) -> bool:
        return False


def test_reserve_lets_orders_under_way_go_on_while_alerts_are_refused(store: SqliteStore) -> None:
    one = sent(store)
    store._ballast = FullOnce(store)  # type: ignore[assignment]
    noise = [lambda ledger: ledger.settle(one.id, report(one, State.OPEN), NOON)]
    noise += [lambda ledger, n=n: ledger.accept(alert(n)) for n in range(2, 200)]
    settled, *refused = store.commit(noise).results
    assert settled.state is State.OPEN
    assert {type(result) for result in refused} == {JournalFull}
    assert found(store, one.id).state is State.OPEN


def test_failed_disk_stops_every_later_write(path: Path) -> None:
    store = opened(path)

    def eio(_ledger: Any) -> None:
        raise apsw.IOError("disk I/O error")

    with pytest.raises(JournalBroken):
        store.commit([lambda ledger: ledger.accept(alert()), eio])
    with pytest.raises(JournalBroken):
        do(store, lambda ledger: ledger.accept(alert()))
    store.close()
    store = opened(path)
    assert kinds(store) == []
    store.close()


def test_power_cut_keeps_what_was_acknowledged(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    one = sent(store)
    copies = []

    def cut(name: str) -> None:
        copy = tmp_path / name
        copy.mkdir()
        # Another process copies: opening the file here would drop SQLite's locks.
        subprocess.run(["cp", path, f"{path}-wal", copy], check=True)
        copies.append(copy / path.name)

    cut("before")

    def midway(ledger: Any) -> None:
        ledger.settle(one.id, report(one, State.FILLED, "1", "100"), NOON)
        ledger.connection.cache_flush()  # half of the transaction is in the files already
        cut("midway")

    do(store, midway)
    cut("after")
    store.close()
    states = []
    for copy in copies:
        survivor = opened(copy)
        states.append((found(survivor, one.id).state, len(survivor.read(lambda reader: reader.positions()))))
        assert survivor.read(journal_check.verify_journal).problems == ()
        survivor.close()
    assert states == [(State.SENDING, 0), (State.SENDING, 0), (State.FILLED, 1)]


CHILD = """
import sys
from pathlib import Path
from ledger_cases import alert, do, opened, order, planned
store = opened(Path(sys.argv[1]))
base = int(sys.argv[2])
for n in range(base, base + 100000):
    planned(store, order(alert(n)), n=n)
    sys.stdout.write(f"{n}\\n")
    sys.stdout.flush()
"""


@pytest.mark.real_time
def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    random = Random(5)
    acknowledged: set[str] = set()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    for life in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(life * 1_000_000)], stdout=subprocess.PIPE, env=env
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(random.randrange(20, 60))]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
        child.wait()
        child.stdout.close()
        acknowledged |= {alert(int(one)).id for one in lines if one.endswith(b"\n")}
    store = opened(path)
    orders = store.read(lambda reader: reader.orders(limit=100000))
    assert len(acknowledged) >= 60
    assert acknowledged <= {one.alert_id for one in orders}
    assert store.read(journal_check.verify_journal).problems == ()
    store.close()


# -- checks for the operator


def test_verify_names_what_was_changed_behind_the_journals_back(path: Path) -> None:
    store = opened(path)
    one = sent(store)
    do(store, lambda ledger: ledger.settle(one.id, report(one, State.FILLED, "1", "100"), NOON))
    store.close()
    sql(path, "UPDATE position SET amount = '2'; UPDATE order_ SET filled = '5'; DROP TRIGGER event_is_final")
    sql(path, "UPDATE event SET data = '{}' WHERE seq = 4")
    with journal_check.open_journal(path) as reader:
        problems = " | ".join(journal_check.verify_journal(reader).problems)
    assert "record 4" in problems
    assert "position of paper in BTC/USDT" in problems
    assert one.id in problems


def test_stats_and_backup_work_beside_the_daemon(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    planned(store, order(alert()))
    with journal_check.open_journal(path) as reader:
        told = journal_check.stats(reader)
        journal_check.backup(reader, tmp_path / "copy.db")
    assert told["orders"] == {"planned": 1}
    assert told["rows"]["order"] == 1
    copy = opened(tmp_path / "copy.db")
    assert kinds(copy) == kinds(store)
    copy.close()
