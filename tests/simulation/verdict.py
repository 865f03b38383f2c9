"""What must hold when all has come to rest, and what rest is.

The exchange's book is the truth: what it executed is compared with what the ledger says of it.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from decimal import Decimal

from fks.domain.events import Kind
from fks.domain.messages import IntentState, Order
from fks.domain.money import ZERO
from fks.domain.orders import LIVE, Leg, Side, State
from fks.domain.outcome import AlertState
from fks.domain.protection import is_held
from fks.infra.sqlite_reader import SqliteReader
from simulation.book import Book
from simulation.tradingview import Sender
from simulation.world import Rule, World

ENDED = frozenset({AlertState.PLACED, AlertState.DONE, AlertState.REFUSED})
TOO_OLD = frozenset({"stale", "proven not placed, and now too old"})
MOST = 1000  # of orders and alerts: more than a run can make


def owed(ledger: SqliteReader, books: Mapping[str, Book]) -> list[str]:
    """What the daemon still has to do."""
    found = [f"{one.alert_id} is undecided" for name in books for one in ledger.unsized(name, MOST)]
    for order in ledger.live_orders():
        rests = order.state in LIVE and not order.cancel_requested
        if not rests and not (is_held(order) and order.leg.protective):
            canceling = ", to be canceled" if order.cancel_requested else ""
            found.append(f"{order.leg} {order.id} is {order.state}{canceling}")
    return found


def differences(ledger: SqliteReader, books: Mapping[str, Book]) -> list[str]:
    """Where ledger and exchange do not say the same of positions and of each order."""
    found = []
    for name, book in books.items():
        booked = {one.symbol: one.amount for one in ledger.positions(name)}.get(book.market.symbol, ZERO)
        if booked != book.position:
            found.append(f"{name}: the ledger holds {booked}, the exchange {book.position}")
        found += _order_differences(ledger, book)
    return found


def _order_differences(ledger: SqliteReader, book: Book) -> list[str]:
    states: dict[str, list[State]] = defaultdict(list)
    filled: dict[str, Decimal] = defaultdict(Decimal)
    fees: dict[str, Decimal] = defaultdict(Decimal)
    for record in book.records:
        states[record.order.id].append(record.state)
        filled[record.order.id] += record.filled
        fees[record.order.id] += sum((trade.fee for trade in record.trades), start=ZERO)
    found = []
    for order in ledger.orders(limit=MOST, account=book.name):
        there = states.pop(order.id, [])
        if order.filled != filled[order.id]:
            found.append(f"{order.leg} {order.id}: {order.filled} filled, on the exchange {filled[order.id]}")
        elif (paid := sum((fill.fee for fill in ledger.fills_of(order.id)), start=ZERO)) != fees[order.id]:
            found.append(f"{order.leg} {order.id}: {paid} paid, on the exchange {fees[order.id]}")
        if any(state in LIVE for state in there) != (order.state in LIVE):
            found.append(f"{order.leg} {order.id} is {order.state}, on the exchange {[*map(str, there)]}")
    return found + [f"{book.name}: the exchange has {order_id}, the ledger does not" for order_id in states]


def unprotected(ledger: SqliteReader, books: Mapping[str, Book]) -> list[str]:
    """Where the stops that rest do not cover what entries with a stop loss have left of the position.

    Only where that can be told from the orders: see `_way`.
    """
    found = []
    for name, book in books.items():
        orders = ledger.orders(limit=MOST, account=name)
        stops = [one for one in orders if one.leg is Leg.STOP_LOSS]
        if (way := _way(book, orders)) is None:
            continue
        covered = sum((one.remaining for one in stops if one.state in LIVE), start=ZERO)
        late = {record.order.id: record.shown_late for record in book.records if record.late}
        wanted = _guarded(orders, {one.parent for one in stops}, abs(book.position), way, late)
        if covered < wanted:
            found.append(f"{name}: {covered} of {wanted}, position {book.position}")
    return found


def _way(book: Book, orders: Sequence[Order]) -> Side | None:
    """Which way all entries went, if what is left belongs to the newest of them and nobody else has ended
    a stop.

    A stop that the exchange ended is not put back behind its back, and legs that it links are its own
    business. Where there is no fence a human may have ended stops. Entries of both ways mix up whose coins
    are left.
    """
    way = Side.BUY if book.lowest >= ZERO else Side.SELL
    if book.attached or not book.fenced or (way is Side.SELL and (book.highest > ZERO or not book.swap)):
        return None
    for order in orders:
        if order.leg is Leg.STOP_LOSS and order.state in (State.REJECTED, State.EXPIRED, State.REFUSED):
            return None
        if order.leg is Leg.ENTRY and order.side is not way and order.filled > ZERO:
            return None
    return way


def _guarded(
    orders: Sequence[Order],
    with_stop: Container[str | None],
    held: Decimal,
    way: Side,
    late: Mapping[str, Decimal],
) -> Decimal:
    """How much of the position is due to entries with a stop loss. The newest are the last to be left.

    A close ends what was there to be seen: if no more than showed later is left then, it is that (`late`, by
    order).
    """
    room, guarded, shown_late = held, ZERO, False
    for index, entry in enumerate(orders):  # newest first
        if entry.leg is Leg.CLOSE and entry.filled > ZERO and not shown_late:
            older = (one for one in orders[index:] if one.leg is Leg.ENTRY and one.side is way)
            shown_late = room <= sum((late.get(one.id, ZERO) for one in older), start=ZERO)
        if entry.leg is Leg.ENTRY and entry.side is way:
            ended = sum((leg.filled for leg in orders if leg.parent == entry.id), start=ZERO)
            left = min(room, max(ZERO, entry.filled - ended))
            if shown_late:
                left = min(left, late.get(entry.id, ZERO))
            room -= left
            guarded += left if entry.id in with_stop else ZERO
    return guarded


def judge(world: World, ledger: SqliteReader, books: Mapping[str, Book], sender: Sender) -> None:
    """The invariants at the end."""
    for detail in owed(ledger, books):
        world.violation(Rule.RESTLESS, detail)
    for detail in differences(ledger, books):
        world.violation(Rule.DIFFERS, detail)
    for alert_id, event in sender.promised.items():
        if (state := ledger.alert_state(alert_id)) is None:
            world.violation(Rule.LOST, f"{event} {alert_id}")
        elif alert_id in sender.refused and state is not AlertState.REFUSED:
            world.violation(Rule.BROKEN_WORD, f"{event} {alert_id} is {state}")
    _outcomes(world, ledger)
    _refusals(world, ledger, books)
    _executions(world, ledger, books)
    for detail in unprotected(ledger, books):
        world.violation(Rule.BARE, detail)


def _outcomes(world: World, ledger: SqliteReader) -> None:
    for alert in ledger.alerts(limit=MOST):
        state = AlertState(alert["state"])
        undecided = any(one.state is IntentState.ACCEPTED for one in ledger.intents_of(alert["id"]))
        executed = [one.id for one in ledger.orders_of(alert["id"]) if one.filled > ZERO]
        if state not in ENDED or undecided or (state is AlertState.REFUSED and executed):
            world.violation(Rule.OUTCOME, f"{alert['id']} is {state}; executed: {executed}")


def _refusals(world: World, ledger: SqliteReader, books: Mapping[str, Book]) -> None:
    """Nothing that was accepted is refused without a reason: it was too old, or somebody has barred it."""
    alarmed = {event.order_id for event in ledger.events(0, MOST * 10) if event.kind == Kind.ALARM}
    for order in (one for name in books for one in ledger.orders(limit=MOST, account=name)):
        reason = order.reason or ""
        if order.leg is Leg.CLOSE and reason.startswith("close.nothing"):  # nobody else trades here
            world.violation(Rule.REFUSED, f"{order.id}: {reason}")
        if order.leg is not Leg.ENTRY or order.state is not State.REFUSED:
            continue
        if old := reason in TOO_OLD:
            fair = order.updated_at > order.good_until
        else:
            fair = order.cancel_requested or reason.startswith("its close is")
            fair = fair or (world.operated and reason.startswith("risk."))
        if not fair:
            world.violation(Rule.REFUSED, f"{order.id}: {reason}")
        elif old and order.id not in alarmed:
            world.violation(Rule.SILENT, order.id)


def _executions(world: World, ledger: SqliteReader, books: Mapping[str, Book]) -> None:
    """At most one for each event, account and leg, over all attempts and all alerts that tell of it."""
    events = {alert["id"]: str(alert["body"]["comment"]) for alert in ledger.alerts(limit=MOST)}
    for name, book in books.items():
        effects: Counter[tuple[str, str]] = Counter()
        for record in book.records:
            if record.alive or record.filled > ZERO:
                order = record.order
                # An entry may have several stops, one after the other; each is an order of its own.
                leg = str(order.leg) if order.leg in (Leg.ENTRY, Leg.CLOSE) else order.id
                effects[events.get(order.alert_id, order.alert_id), leg] += 1
        for (event, leg), count in effects.items():
            if count > 1:
                world.violation(Rule.TWICE, f"{event}, {leg} on {name}: {count} times")
