"""A small world for tests of the journal: one alert, its orders, and an exchange's reports of them."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import apsw

from fks.domain.alerts import Action, Alert
from fks.domain.ids import client_order_id
from fks.domain.messages import Intent, NewAlert, Order, Report, Trade
from fks.domain.orders import Leg, OrderType, Side, State
from fks.infra.ledger_sqlite import SqliteStore
from fks.ledger import Ledger

R = TypeVar("R")

NOON = 1_800_014_400.0  # 2027-01-15 12:00:00 UTC
SYMBOL = "BTC/USDT"


def opened(path: Path, **more: Any) -> SqliteStore:
    return SqliteStore.open(path, wall=lambda: NOON, **{"ballast_bytes": 4096, **more})


def do(store: SqliteStore, operation: Callable[[Ledger], R]) -> R:
    """One change, committed; raises what it raised."""
    (result,) = store.commit([operation]).results
    if isinstance(result, Exception):
        raise result
    return result  # type: ignore[no-any-return]


def alert(
    n: int = 1, *, accounts: tuple[str, ...] = ("paper",), digest: str = "d", **fields: Any
) -> NewAlert:
    fields = {"symbol": "BTCUSDT", "action": Action.BUY, "amount": Decimal(1), **fields}
    return NewAlert(
        id=f"a{n:017d}",
        key=f"key{n}",
        digest=digest,
        source="webhook",
        alert=Alert(**fields),
        body={"symbol": "BTCUSDT", "amount": Decimal("1.50"), "odd": Decimal("1e400")},
        accounts=accounts,
        received_at=NOON,
        good_until=NOON + 300,
    )


def order(new: NewAlert, leg: Leg = Leg.ENTRY, *, account: str = "paper", **fields: Any) -> Order:
    id_ = client_order_id(new.id, account, str(leg), 1)
    fields = {
        "id": id_,
        "client_order_id": id_,
        "alert_id": new.id,
        "account": account,
        "leg": leg,
        "symbol": SYMBOL,
        "side": Side.SELL if leg.protective else Side.BUY,
        "type": OrderType.MARKET,
        "amount": Decimal(1),
        "reference_price": Decimal(100),
        "good_until": new.good_until,
        "created_at": NOON,
        "updated_at": NOON,
        **fields,
    }
    return Order(**fields)


def accept(store: SqliteStore, new: NewAlert) -> Intent:
    do(store, lambda ledger: ledger.accept(new))
    return store.read(lambda reader: reader.intents_of(new.id))[0]


def planned(store: SqliteStore, *orders: Order, n: int = 1) -> None:
    """The alert `n` accepted, and decided to be these orders."""
    intent = accept(store, alert(n))
    do(store, lambda ledger: ledger.plan(intent, orders))


def claimed(store: SqliteStore, *orders: Order, n: int = 1) -> list[Order]:
    planned(store, *orders, n=n)
    return do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5.0, limit=10))


def sent(store: SqliteStore, n: int = 1, **fields: Any) -> Order:
    """An entry that is in state SENDING."""
    return claimed(store, order(alert(n), **fields), n=n)[0]


def found(store: SqliteStore, any_id: str) -> Order:
    one = store.read(lambda reader: reader.order(any_id))
    assert one is not None
    return one


def report(of: Order, state: State, filled: str = "0", average: str | None = None, **fields: Any) -> Report:
    return Report(
        client_order_id=of.client_order_id,
        exchange_order_id=f"X{of.id[-6:]}",
        state=state,
        filled=Decimal(filled),
        average=None if average is None else Decimal(average),
        time=NOON,
        **fields,
    )


def trade(id_: str, amount: str, price: str, fee: str = "0", currency: str | None = None) -> Trade:
    return Trade(
        id=id_,
        time=NOON,
        price=Decimal(price),
        amount=Decimal(amount),
        fee=Decimal(fee),
        fee_currency=currency,
    )


def kinds(store: SqliteStore, after: int = 0) -> list[str]:
    return [event.kind for event in store.read(lambda reader: reader.events(after))]


def sql(path: Path, statement: str) -> list[Any]:
    """What another program sees in the file, or does to it."""
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()
