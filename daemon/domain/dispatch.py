"""Which planned orders may be sent now, and in which order. Pure: the ledger asks it inside `claim`."""

from collections.abc import Sequence

from fks.domain.messages import Order
from fks.domain.orders import IN_FLIGHT, LIVE, Leg, State


def is_exit(order: Order) -> bool:
    """Whether the order can only make a position smaller."""
    return order.reduce_only or order.leg in (Leg.CLOSE, Leg.STOP_LOSS, Leg.TAKE_PROFIT)


def dispatchable(live: Sequence[Order], now: float) -> list[Order]:
    """The planned orders of one account's `live` ones that may be sent now, exits first.

    An order waits for an earlier one of the same symbol that is not settled on the exchange when
    either of the two is an exit or they look opposite ways: close before open, never overtaking. Two
    entries of the same side are independent. A protective leg is sent with its entry or, when it is
    not attached, once the entry has come to rest with a fill.
    """
    ready: list[Order] = []
    ahead: dict[str, list[Order]] = {}
    entries = {order.id: order for order in live}
    for order in sorted(live, key=lambda one: (one.created_at, one.leg is not Leg.CLOSE, one.id)):
        queue = ahead.setdefault(order.symbol, [])
        if order.state is State.PLANNED and not order.cancel_requested:
            waits = order.not_before > now or _waits_for_entry(order, entries)
            if not waits and not any(_conflict(order, earlier) for earlier in queue):
                ready.append(order)
            if order.leg.protective:
                continue  # it waits for its own entry; nobody waits for it
        if order.state is State.PLANNED or order.state in IN_FLIGHT:
            queue.append(order)
    ready.sort(key=lambda one: (not is_exit(one), one.created_at))
    return ready


def _conflict(order: Order, earlier: Order) -> bool:
    if order.parent == earlier.id:
        return False
    return is_exit(order) or is_exit(earlier) or order.side is not earlier.side


def _waits_for_entry(order: Order, live: dict[str, Order]) -> bool:
    if not order.leg.protective:
        return False
    if order.attached:
        return True  # claimed with its entry, never alone
    entry = live.get(order.parent or "")
    return entry is not None and (entry.state in LIVE or not entry.at_rest)
