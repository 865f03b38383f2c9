"""What must hold of the rows of a journal, whoever wrote them: one outcome an alert, one execution a leg, no
placement without a claim, every order's state the last word of its events.

Each check reads the journal once, in pages or in order, and tells where it does not hold.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import groupby

from fks.domain import book
from fks.domain.events import ALERT_STATES, ORDER_STATES
from fks.domain.messages import Intent, Order
from fks.domain.money import ZERO, plain
from fks.domain.orders import NEXT, Leg, State
from fks.domain.outcome import AlertState, alert_state
from fks.infra import sqlite_codec as codec
from fks.infra.sqlite_reader import SqliteReader
from fks.infra.sqlite_sound import Finding

Check = Callable[[SqliteReader], Iterator[Finding]]

_PAGE = 500
_MEAN = Decimal("0.01")  # exchanges round their averages; a share of the price
_UNFILLED = frozenset({State.PLANNED, State.SENDING, State.UNKNOWN, State.REJECTED, State.REFUSED})
_LOOK = "look at the order on the exchange"
_REPORT = "keep a copy of the journal, and report it as a defect"


def outcomes(reader: SqliteReader) -> Iterator[Finding]:
    """An alert has an intent for each account and one state, which is what its intents and orders say."""
    after = 0
    while page := reader.rows("SELECT n, id, state FROM alert WHERE n > ? ORDER BY n LIMIT ?", after, _PAGE):
        after = page[-1][0]
        names = json.dumps([row[1] for row in page])
        intents, orders = _intents(reader, names), _orders(reader, names)
        for _, alert_id, state in page:
            where = f"alert {alert_id}"
            if not intents[alert_id]:
                yield Finding(where, "it was accepted and no account has an intent of it", _REPORT)
                continue
            due = alert_state(intents[alert_id], orders[alert_id])
            if state != due:
                yield Finding(where, f"it is {state}, its intents and orders say {due}", _REPORT)
            accounts = {one.account for one in intents[alert_id]}
            for order in orders[alert_id]:
                if order.account not in accounts:
                    what = f"it belongs to no intent of alert {alert_id} for {order.account}"
                    yield Finding(f"order {order.id}", what, _LOOK)
            yield from _once(orders[alert_id])


def _intents(reader: SqliteReader, names: str) -> defaultdict[str, list[Intent]]:
    found: defaultdict[str, list[Intent]] = defaultdict(list)
    sql = (
        f"SELECT {codec.INTENT} FROM intent i JOIN alert a ON a.id = i.alert_id"  # noqa: S608 - our own constants
        " WHERE i.alert_id IN (SELECT value FROM json_each(?))"
    )
    for row in reader.rows(sql, names):
        found[row[0]].append(codec.intent(row))
    return found


def _orders(reader: SqliteReader, names: str) -> defaultdict[str, list[Order]]:
    found: defaultdict[str, list[Order]] = defaultdict(list)
    sql = f"SELECT {codec.ORDER} FROM order_ WHERE alert_id IN (SELECT value FROM json_each(?)) ORDER BY n"  # noqa: S608 - our own constants
    for row in reader.rows(sql, names):
        order = codec.order(row)
        found[order.alert_id].append(order)
    return found


def _once(orders: list[Order]) -> Iterator[Finding]:
    """An entry may have several stops and targets, one after the other; an account has one entry an alert."""
    first: dict[str, str] = {}
    for order in orders:
        if order.leg is Leg.ENTRY:
            other = first.setdefault(order.account, order.id)
            if other != order.id:
                what = f"it is a second entry of alert {order.alert_id} for {order.account}, beside {other}"
                yield Finding(f"order {order.id}", what, "look whether the exchange has executed both")


def placements(reader: SqliteReader) -> Iterator[Finding]:
    """Nothing is on an exchange that was not claimed before, and no exchange id is that of two entries."""
    sql = f"SELECT {codec.ORDER} FROM order_ ORDER BY n"  # noqa: S608 - our own constants
    attempts = "SELECT 1 FROM attempt WHERE client_order_id = ? AND order_id = ? AND attempt = ?"
    entries: dict[tuple[str, str, str], str] = {}
    for row in reader.connection.execute(sql):
        order = codec.order(row)
        where = f"order {order.id}"
        if order.exchange_order_id and order.send_by is None:
            what = f"it has the exchange's id {order.exchange_order_id}, and was never claimed for sending"
            yield Finding(where, what, _LOOK)
        if not reader.first(attempts, order.client_order_id, order.id, order.attempt):
            yield Finding(where, f"its attempt {order.attempt} is not recorded", _LOOK)
        if order.state in _UNFILLED and order.filled:
            yield Finding(where, f"it is {order.state}, and has {plain(order.filled)} filled", _LOOK)
        if order.state is State.FILLED and not order.filled:
            yield Finding(where, "it is filled, and nothing of it is", _LOOK)
        if order.exchange_order_id and order.leg is Leg.ENTRY:
            key = (order.account, order.symbol, order.exchange_order_id)
            other = entries.setdefault(key, order.id)
            if other != order.id:
                yield Finding(where, f"its exchange's id {key[2]} is also that of {other}", _LOOK)


def filled(reader: SqliteReader) -> Iterator[Finding]:
    """An order's amount and price are those of its fills."""
    without = "SELECT id, filled FROM order_ WHERE filled <> '0' AND id NOT IN (SELECT order_id FROM fill)"
    for order_id, amount in reader.connection.execute(without):
        yield Finding(f"order {order_id}", f"{amount} filled, and no fill tells of it", _LOOK)
    by_order = f"SELECT {codec.FILL} FROM fill ORDER BY order_id, n"  # noqa: S608 - our own constants
    fills = (codec.fill(row) for row in reader.connection.execute(by_order))
    for order_id, group in groupby(fills, key=lambda fill: fill.order_id):
        own = list(group)
        where = f"order {order_id}"
        row = reader.first("SELECT filled, average FROM order_ WHERE id = ?", order_id) or ("0", None)
        amount, average = Decimal(row[0]), row[1] and Decimal(row[1])
        sum_, mean = book.total(one.amount for one in own), book.mean_price(own)
        if sum_ != amount:
            yield Finding(where, f"{amount} filled, but its fills add up to {sum_}", _LOOK)
        elif average is None:
            yield Finding(where, "it is filled without a price", _LOOK)
        elif mean and abs(average - mean) > _MEAN * mean:
            yield Finding(where, f"its average price is {average:f}, that of its fills {mean:f}", _LOOK)
        if any(one.amount <= ZERO or one.price < ZERO for one in own):
            yield Finding(where, "a fill of it has no amount, or a price below zero", _LOOK)


def histories(reader: SqliteReader) -> Iterator[Finding]:
    """The events of each order are a way through the table of states, and end where the order is.

    What was trimmed of the chain is no longer to be seen: then the first one that is left begins the way.
    """
    orders: dict[str, State] = {}
    alerts: dict[str, AlertState] = {}
    trimmed = reader.chain_start() is not None
    for alert_id, order_id, kind in reader.connection.execute(
        "SELECT alert_id, order_id, kind FROM event WHERE kind LIKE 'order~_%' ESCAPE '~'"
        " OR kind LIKE 'alert~_%' ESCAPE '~' ORDER BY seq"
    ):
        if order_id is not None and (state := ORDER_STATES.get(kind)) is not None:
            before = orders.get(order_id)
            illegal = state not in NEXT[before] if before else not trimmed and state is not State.PLANNED
            if illegal:
                told = f"{before or 'nothing'} was followed by {state}"
                yield Finding(f"order {order_id}", f"its events are impossible: {told}", _LOOK)
            orders[order_id] = state
        elif kind in ALERT_STATES:
            alerts[alert_id] = ALERT_STATES[kind]
    yield from _ends(reader, "order_", orders, trimmed=trimmed)
    yield from _ends(reader, "alert", alerts, trimmed=trimmed)


def _ends(
    reader: SqliteReader, table: str, last: dict[str, State] | dict[str, AlertState], *, trimmed: bool
) -> Iterator[Finding]:
    for name, state in reader.connection.execute(f"SELECT id, state FROM {table} ORDER BY n"):  # noqa: S608 - our own names
        where, told = f"{table.rstrip('_')} {name}", last.get(name)
        if told is None and not trimmed:
            yield Finding(where, "no event tells of it", _REPORT)
        elif told is not None and told != state:
            yield Finding(where, f"it is {state}, its last event says {told}", _LOOK)


CHECKS: tuple[Check, ...] = (outcomes, placements, filled, histories)
