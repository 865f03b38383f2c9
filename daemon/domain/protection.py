"""What the stop loss and take profits of one entry need now. Pure: the exchange actor carries it out.

Where the exchange links the legs itself (`attached`, OCO) there is little to do. Elsewhere the stop
rests on the exchange, the take profits are held here until the mark reaches them, and whichever
fills first ends the others.
"""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from fks.domain.messages import Order
from fks.domain.money import ZERO, floor_to
from fks.domain.orders import Leg, Side, State

HELD = float("inf")


class Steps(Struct, frozen=True):
    """Ids of legs to `cancel`, and of held ones to `release` with the amount that they must cover."""

    cancel: tuple[str, ...] = ()
    release: tuple[tuple[str, Decimal], ...] = ()


def next_steps(
    entry: Order, legs: Sequence[Order], *, step: Decimal, position: Decimal, mark: Decimal | None, oco: bool
) -> Steps:
    """For one entry with all its legs. `step` is the market's amount step.

    `position` is what is held of it, signed: a spot exchange that takes its fee in the base currency
    leaves less than was filled, and a leg for more than there is would be rejected. A position that
    has turned to the other side is not the entry's any more.
    """
    waiting = [leg for leg in legs if not leg.at_rest and not leg.attached]
    if not waiting or not entry.at_rest:
        return Steps()
    closed = sum((leg.filled for leg in legs), start=ZERO)
    ours = position if entry.side is Side.BUY else -position
    left = floor_to(min(entry.filled - closed, ours), step)
    if left <= 0:  # nothing to protect: never filled, or the other leg has closed it
        return Steps(cancel=tuple(leg.id for leg in waiting if not leg.cancel_requested))
    held = [leg for leg in waiting if _is_held(leg)]
    stops = [leg for leg in waiting if leg.leg is Leg.STOP_LOSS]
    if oco or not stops:
        return Steps(release=_sized(held, entry, left, step))
    if any(_is_held(stop) for stop in stops):
        return Steps(release=_sized(stops, entry, left, step))
    if not any(mark is not None and _reached(leg, mark) for leg in held):
        return Steps()
    # Only when the stop is known to be gone, and how much of it was filled, may anything else be sold:
    # the next look finds no stop left and releases the take profit for the rest.
    return Steps(cancel=tuple(stop.id for stop in stops if not stop.cancel_requested))


def needs_mark(legs: Sequence[Order]) -> bool:
    """Whether a held take profit waits for the price, so that somebody must watch it."""
    return any(_is_held(leg) and leg.leg is Leg.TAKE_PROFIT for leg in legs)


def _is_held(leg: Order) -> bool:
    return leg.state is State.PLANNED and leg.not_before == HELD and not leg.attached


def _sized(
    legs: Sequence[Order], entry: Order, left: Decimal, step: Decimal
) -> tuple[tuple[str, Decimal], ...]:
    """Planned for the whole entry, a leg covers the same share of what was really filled; all take
    profits together cover no more than what is left.
    """
    sized = []
    for leg in legs:
        share = leg.amount * entry.filled / entry.amount if entry.filled < entry.amount else leg.amount
        amount = min(left, floor_to(share, step))
        if amount > 0:
            sized.append((leg.id, amount))
            left -= amount if leg.leg is Leg.TAKE_PROFIT else 0
    return tuple(sized)


def _reached(leg: Order, mark: Decimal) -> bool:
    price = leg.price or ZERO
    return mark >= price if leg.side is Side.SELL else mark <= price
