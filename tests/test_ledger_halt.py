"""A change of the trading state holds for what was decided before it and has not been sent."""

from decimal import Decimal

from fks.domain.messages import Order, TradingState
from fks.domain.orders import Leg, Side, State
from fks.domain.outcome import AlertState
from fks.infra.ledger_sqlite import SqliteStore
from ledger_cases import NOON, alert, do, found, order, planned, report, sent
from ledger_fixtures import fixture_path, fixture_store  # noqa: F401 - fixtures


def set_trading(store: SqliteStore, state: TradingState, account: str | None = None) -> None:
    do(store, lambda ledger: ledger.set_trading(account, state, "desk", NOON))


def claim(store: SqliteStore) -> list[Order]:
    return do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5.0, limit=10))


def held(store: SqliteStore, amount: str) -> None:
    """A position of that much, bought."""
    one = sent(store, 90, amount=Decimal(amount))
    do(store, lambda ledger: ledger.settle(one.id, report(one, State.FILLED, amount, "100"), NOON))


def test_a_halt_refuses_an_entry_that_was_planned_before_it(store: SqliteStore) -> None:
    entry = order(alert())
    stop = order(alert(), Leg.STOP_LOSS, parent=entry.id, not_before=float("inf"))
    planned(store, entry, stop)
    set_trading(store, TradingState.HALTED)
    assert claim(store) == []
    refused = found(store, entry.id)
    assert (refused.state, found(store, stop.id).state) == (State.REFUSED, State.REFUSED)
    assert refused.reason is not None
    assert refused.reason.startswith("risk.halted: ")
    assert store.read(lambda reader: reader.alert_state(entry.alert_id)) is AlertState.REFUSED


def test_a_halt_lets_a_planned_exit_go(store: SqliteStore) -> None:
    held(store, "1")
    close = order(alert(), Leg.CLOSE, side=Side.SELL)
    planned(store, close)
    set_trading(store, TradingState.HALTED)
    assert [one.id for one in claim(store)] == [close.id]


def test_a_halt_of_another_account_changes_nothing(store: SqliteStore) -> None:
    entry = order(alert())
    planned(store, entry)
    set_trading(store, TradingState.HALTED, "other")
    assert [one.id for one in claim(store)] == [entry.id]


def test_reduce_only_lets_planned_sales_go_as_far_as_they_reduce(store: SqliteStore) -> None:
    held(store, "1.5")
    first, second = (order(alert(n), side=Side.SELL) for n in (1, 2))
    buy = order(alert(3))
    for n, one in enumerate((first, second, buy), start=1):
        planned(store, one, n=n)
    set_trading(store, TradingState.REDUCE)
    assert [one.id for one in claim(store)] == [first.id]
    assert {found(store, one.id).state for one in (second, buy)} == {State.REFUSED}
