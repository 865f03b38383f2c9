"""Which planned orders may be sent now, and in which order. Pure: the ledger asks it inside `claim`."""

import math
from collections.abc import Sequence

from fks.domain.messages import Order
from fks.domain.orders import IN_FLIGHT, Leg, Side, State


def is_exit(order: Order) -> bool:
    """Whether the order can only make a position smaller."""
    return order.reduce_only or order.leg in (Leg.CLOSE, Leg.STOP_LOSS, Leg.TAKE_PROFIT)


def dispatchable(live: Sequence[Order], now: float) -> list[Order]:
    """The planned orders of one account's `live` ones that may be sent now, exits first.

    An order waits for an earlier one of the same symbol that is not settled on the exchange when
    either of the two is an exit or they look opposite ways: close before open, never overtaking. Two
    entries of the same side are independent. A protective leg waits for nobody but another exit; it
    is held (`not_before` infinite) until its entry has a fill, and an attached one never goes alone.
    `live` is oldest first: the ledger's own order, which a step of the wall clock does not change.
    """
    ready: list[Order] = []
    ahead: dict[str, set[str]] = {}  # by symbol: the kinds of unsettled orders seen so far
    for order in live:
        kinds = ahead.setdefault(order.symbol, set())
        if order.state is State.PLANNED:
            # A clock that was set back cannot measure the pause: the venue's own silence still holds.
            due = order.not_before <= now or (now < order.updated_at and order.not_before < math.inf)
            free = due and not order.attached and not order.cancel_requested
            if free and not kinds & _conflicts(order):
                ready.append(order)
            if order.leg.protective:
                continue  # nobody waits for a leg that is not on its way
        unsettled = order.state is State.PLANNED or order.state in IN_FLIGHT
        if unsettled or order.cancel_requested or (order.leg is Leg.CLOSE and not order.at_rest):
            # a cancel under way holds the coins that an exit wants to sell; a close must be through
            kinds.add(_EXIT if is_exit(order) else order.side)
    return sorted(ready, key=lambda one: not is_exit(one))


_EXIT = "exit"


def _conflicts(order: Order) -> set[str]:
    """The kinds of earlier orders that this one must wait for."""
    if order.leg.protective:
        return {_EXIT}
    if is_exit(order):
        return {_EXIT, Side.BUY, Side.SELL}
    return {_EXIT, order.side.opposite}
