"""What must hold of a journal and of the exchange's own book, at any moment and at rest. Pure but for
`recorded`, which reads the journal; each violation is a sentence that names what it is about.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from crash.sender import Acknowledged
from fks.domain.dispatch import is_exit
from fks.domain.messages import Order
from fks.domain.orders import State
from fks.domain.outcome import AlertState
from fks.domain.protection import is_held
from fks.infra import journal_check

ENDED = {"PLACED", "DONE", "REFUSED"}
# The exchange's word for an order: the states in which the journal may have it.
STANDINGS = {
    "NEW": {State.OPEN},
    "PARTIALLY_FILLED": {State.PARTIAL},
    "FILLED": {State.FILLED},
    "CANCELED": {State.CANCELED},
    "EXPIRED": {State.EXPIRED, State.CANCELED},
}
NOWHERE = {State.REFUSED, State.REJECTED, State.CANCELED}


@dataclass(frozen=True)
class Journal:
    """What the daemon has written down."""

    alerts: Mapping[str, str]  # id: state
    outcomes: Mapping[str, frozenset[str]]  # id: the ends that its events tell of
    intents: Mapping[tuple[str, str], str]  # (alert, account): state
    orders: Mapping[str, Order]  # by id
    attempts: Mapping[str, tuple[str, bool]]  # client order id: order id, whether it may have been sent
    positions: Mapping[tuple[str, str], Decimal]
    problems: tuple[str, ...]  # its own check of itself


@dataclass(frozen=True)
class Book:
    """What the exchange has seen and done."""

    sent: Collection[str]  # client ids of every order request
    executions: Mapping[str, int]
    rows: Mapping[str, Mapping[str, Any]]  # by client id
    gained: Mapping[str, Decimal]  # by currency, since the beginning


def recorded(path: Path, *, thorough: bool) -> Journal:
    """`thorough`: with the check of the whole file."""
    with journal_check.open_journal(path) as reader, reader.connection:
        events = reader.rows("SELECT alert_id, kind FROM event WHERE kind IN ('alert_done', 'alert_refused')")
        ends: dict[str, set[str]] = {}
        for alert_id, kind in events:
            ends.setdefault(alert_id, set()).add(kind)
        attempts = reader.rows("SELECT client_order_id, order_id, sent_at IS NOT NULL FROM attempt")
        intents = reader.rows("SELECT alert_id, account, state FROM intent")
        journal = Journal(
            alerts=dict(reader.rows("SELECT id, state FROM alert")),
            outcomes={alert_id: frozenset(kinds) for alert_id, kinds in ends.items()},
            intents={(alert_id, account): state for alert_id, account, state in intents},
            orders={one.id: one for one in reader.orders(limit=1_000_000)},
            attempts={client_id: (order_id, bool(sent)) for client_id, order_id, sent in attempts},
            positions={(one.account, one.symbol): one.amount for one in reader.positions()},
            problems=(),
        )
    if not thorough:
        return journal
    with journal_check.open_journal(path) as reader:
        problems = journal_check.verify_journal(reader).problems
    return Journal(**{**vars(journal), "problems": problems})


def lost(journal: Journal, acknowledged: Iterable[Acknowledged]) -> set[str]:
    """Alerts that were acknowledged and are not there."""
    return {one.alert_id for one in acknowledged} - journal.alerts.keys()


def doubled(journal: Journal, book: Book) -> set[str]:
    """Orders of the journal that the exchange has executed more than once, over all their attempts."""
    counts: dict[str, int] = {}
    for client_id, count in book.executions.items():
        order_id, _ = journal.attempts.get(client_id, (client_id, False))
        counts[order_id] = counts.get(order_id, 0) + count
    return {order_id for order_id, count in counts.items() if count > 1}


def always(journal: Journal, book: Book) -> Iterator[str]:
    """Besides `lost` and `doubled`: no placement without a durable intent, one order for each wish."""
    yield from journal.problems
    for client_id in set(book.sent):
        if not journal.attempts.get(client_id, ("", False))[1]:
            yield f"{client_id} was sent and the journal does not know that"
    wishes: dict[tuple[str, str, str], list[str]] = {}
    for order in journal.orders.values():
        if not order.leg.protective:
            wishes.setdefault((order.alert_id, order.account, order.leg), []).append(order.id)
        if order.filled > order.amount:
            yield f"{order.id} has filled {order.filled} of {order.amount}"
    for wish, ids in wishes.items():
        if len(ids) > 1:
            yield f"{wish} became {ids}"
    for alert_id, ends in journal.outcomes.items():
        if len(ends) > 1:
            yield f"{alert_id} has more than one outcome: {sorted(ends)}"


def at_rest(journal: Journal, book: Book, acknowledged: Iterable[Acknowledged]) -> Iterator[str]:
    """Every alert has its outcome, and the journal says of every order what the exchange says."""
    ended = {AlertState[name] for name in ENDED}
    for alert_id, state in journal.alerts.items():
        if state not in ended:
            yield f"alert {alert_id} is still {state}"
    for wish, state in journal.intents.items():
        if state == "accepted":
            yield f"the intent {wish} was never decided"
    by_order = {journal.attempts[name][0]: row for name, row in book.rows.items() if name in journal.attempts}
    for order in journal.orders.values():
        yield from _settled(order, by_order.get(order.id), on_exchange=order.account == "binance")
    for symbol, base in (("BTC/USDT", "BTC"), ("ETH/USDT", "ETH")):
        booked = journal.positions.get(("binance", symbol), Decimal(0))
        if booked != book.gained.get(base, Decimal(0)):
            yield f"the position in {symbol} is {booked}, the exchange's is {book.gained.get(base)}"
    yield from _promises(journal, book, acknowledged)


def _settled(order: Order, row: Mapping[str, Any] | None, *, on_exchange: bool) -> Iterator[str]:
    if order.state is State.PLANNED and is_held(order):
        if row is not None:
            yield f"{order.id} is held, and on the exchange: {row['status']}"
    elif order.state in (State.PLANNED, State.SENDING, State.UNKNOWN):
        yield f"{order.id} ({order.leg}, exit: {is_exit(order)}) is still {order.state}: {order.reason}"
    elif on_exchange and row is None:
        if order.state not in NOWHERE or order.filled:
            yield f"{order.id} is {order.state} and not on the exchange"
    elif on_exchange and row is not None:
        filled = Decimal(row["executedQty"])
        if order.state not in STANDINGS[row["status"]] or order.filled != filled:
            yield f"{order.id} is {order.state} with {order.filled}, there {row['status']} with {filled}"


def _promises(journal: Journal, book: Book, acknowledged: Iterable[Acknowledged]) -> Iterator[str]:
    """What senders were told is true in the end."""
    placed = {str(row["orderId"]) for row in book.rows.values()}
    for one in acknowledged:
        state, body = journal.alerts.get(one.alert_id), one.body
        if one.status == 422 and state != AlertState.REFUSED:
            yield f"{one.alert_id} was told to be refused and is {state}"
        order_id = body.get("order_id")  # None: canceled before it was sent
        if body.get("exchange") == "binance" and order_id and order_id not in placed:
            yield f"{one.alert_id} was told to be order {order_id}, which does not exist"
