"""What waits for what on one symbol: a close for its cancels, a reversal's entry for its close, stop
losses and take profits for their entry's fill. Pure: the follower carries it out.

Whatever waits is *held* (planned, `not_before` infinite), so nothing but a `release` can send it. Where
the exchange links the legs itself (`attached`) there is nothing to do here. Elsewhere:

- A stop rests on the exchange for what its entry has filled, grows with further fills by further stops,
  and gives way when the position shrinks.
- Take profits rest beside it where holding both is safe (`oco`: reduce-only orders never sell more than
  there is). Where both would sell the same coins they are held back until the price is there; then the
  stop is canceled first, and only when it is known to be gone is the take profit sent.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from fks.domain.ids import client_order_id
from fks.domain.messages import Order
from fks.domain.money import ZERO, floor_to
from fks.domain.orders import LIVE, Leg, OrderType, Side, State

HELD = float("inf")
_TOP_UP = Decimal("0.1")  # share of the entry: smaller partial fills wait for company


class Steps(Struct, frozen=True):
    """`release`: held orders with the amount to send; `cancel`: ids; `add`: new held legs; `refuse`: a close
    that the book has something for and the exchange has not.
    """

    cancel: tuple[str, ...] = ()
    release: tuple[tuple[str, Decimal], ...] = ()
    add: tuple[Order, ...] = ()
    refuse: Order | None = None

    def __bool__(self) -> bool:
        return bool(self.cancel or self.release or self.add or self.refuse)

    def __add__(self, more: "Steps") -> "Steps":
        """Both; a refusal is always alone."""
        return Steps(self.cancel + more.cancel, self.release + more.release, self.add + more.add)


class Family(Struct, frozen=True):
    """An entry with all the protective legs that it ever had, oldest first: the ledger's own order."""

    entry: Order
    legs: tuple[Order, ...]


class Ground(Struct, frozen=True, kw_only=True):
    """What the steps stand on: the market's numbers, the last price, the signed position and the named
    strategies' shares in it (none: it is all one). `position` is what is to be closed where a close is next
    (`due_close`), so far as the exchange shows it; else it is what is `booked`.
    """

    step: Decimal
    minimum: Decimal
    booked: Decimal
    position: Decimal
    mark: Decimal | None
    oco: bool
    shares: Mapping[str, Decimal] | None = None

    def held_by(self, strategy: str) -> Decimal:
        """Its part of the position, never more than there is; of "" what no strategy has."""
        if self.shares is None:
            return self.position
        nobodys = self.position - sum(self.shares.values(), start=ZERO)
        share = self.shares.get(strategy, ZERO) if strategy else nobodys
        if share * self.position <= 0:
            return ZERO
        return min(share, self.position, key=abs)


def is_held(order: Order) -> bool:
    """Whether only a `release` can send it. An attached leg is not held: it travels with its entry."""
    return order.state is State.PLANNED and order.not_before == HELD and not order.attached


def needs_mark(orders: Iterable[Order]) -> bool:
    """Whether a held take profit waits for the price, so that somebody must watch it."""
    return any(is_held(order) and order.leg is Leg.TAKE_PROFIT for order in orders)


def next_steps(
    live: Sequence[Order], families: Sequence[Family], parents: Mapping[str, Order], ground: Ground
) -> Steps:
    """For one symbol: its live orders, oldest first, the families that have a live leg, the live
    orders' parents.
    """
    if closes := [order for order in live if order.leg is Leg.CLOSE]:
        return _close_steps(closes, live, ground)
    freed = [one for one in live if one.leg is Leg.ENTRY and is_held(one) and one.parent in parents]
    total = Steps(release=tuple((entry.id, entry.amount) for entry in freed))
    for name in dict.fromkeys(family.entry.strategy for family in families):
        own = [order for order in live if ground.shares is None or order.strategy == name]
        kin = [family for family in families if family.entry.strategy == name]
        total += _protect(own, kin, replace(ground, position=ground.held_by(name)))
    return total


def _protect(live: Sequence[Order], families: Sequence[Family], ground: Ground) -> Steps:
    """Of the families that share `ground.position`."""
    total = Steps()
    firm = all(leg.reduce_only for family in families for leg in family.legs)
    exiting = sum(
        (order.remaining for order in live if _takes_room(order, ground.position, firm)), start=ZERO
    )
    held = abs(ground.position)
    room = max(ZERO, held - exiting)
    way = Side.BUY if ground.position > 0 else Side.SELL
    # A position shrinks from its oldest part: what is left belongs to the newest entries, of two made at once
    # always to the same one, or their stops would take turns forever. An entry of the other way has nothing
    # left in it: its stop would only open what nobody asked for.
    for family in sorted(families, key=lambda one: (one.entry.created_at, one.entry.id), reverse=True):
        own = min(held, _open_amount(family)) if family.entry.side is way else ZERO
        left = min(room, own)
        held, room = held - own, room - left
        if left <= 0 < own:
            total += _await_sale(family)
        else:
            total += _family_steps(family, floor_to(left, ground.step), ground)
    return total


def _takes_room(order: Order, position: Decimal, firm: bool) -> bool:
    """Whether it sells what a stop would sell too. Where stops are reduce-only (`firm`) they sell no more
    than there is; then only what is about to be executed counts, not what rests at its price: the price may
    well go to the stop instead.
    """
    if order.leg.protective or position == 0 or is_held(order):
        return False
    rests = order.state in LIVE and order.type is not OrderType.MARKET
    return order.side is (Side.SELL if position > 0 else Side.BUY) and not (firm and rests)


def _open_amount(family: Family) -> Decimal:
    return max(ZERO, family.entry.filled - sum((leg.filled for leg in family.legs), start=ZERO))


def _close_steps(closes: Sequence[Order], live: Sequence[Order], ground: Ground) -> Steps:
    """A close goes when all that was live before it is gone, for what there is then; of both, a strategy's
    own close minds only what is its own.
    """
    if not all(is_held(close) for close in closes):
        return Steps()  # one is on its way: what it leaves is not known yet
    first = closes[0]
    if others := _ahead(first, live):
        return Steps(cancel=tuple(order.id for order in others if not order.cancel_requested))
    if amount := to_close(first, ground):
        return Steps(release=((first.id, amount),))
    if to_close(first, replace(ground, position=ground.booked)):
        return Steps(refuse=first)
    return Steps(cancel=(first.id,))  # what was canceled had closed it already


def due_close(live: Sequence[Order]) -> Order | None:
    """The close that goes next, for what there is now: all that was to end before it has ended."""
    closes = [order for order in live if order.leg is Leg.CLOSE]
    due = bool(closes) and all(is_held(close) for close in closes) and not _ahead(closes[0], live)
    return closes[0] if due else None


def _ahead(close: Order, live: Sequence[Order]) -> list[Order]:
    """Only what came before it: a later entry waits behind the close (`dispatch`) and is not its business.
    So does a later close: one at a time, or it would be released and wait for one that nobody ends.
    """
    whose = close.strategy
    return [one for one in live[: live.index(close)] if not whose or one.strategy == whose]


def to_close(close: Order, ground: Ground) -> Decimal:
    """How much of the position the close is for; 0 also of one that looks the other way."""
    position = ground.held_by(close.strategy) if close.strategy else ground.position
    way = Side.SELL if position > 0 else Side.BUY
    return floor_to(abs(position), ground.step) if close.side is way else ZERO


def _await_sale(family: Family) -> Steps:
    """All that is left is about to be sold, by an order that may yet fail. What would sell the same coins
    gives way until it is known; a reduce-only stop stays.
    """
    resting = [leg for leg in family.legs if not leg.at_rest and not leg.attached and not is_held(leg)]
    stops = [leg for leg in resting if leg.leg is Leg.STOP_LOSS and not leg.reduce_only]
    return make_way([stop for stop in stops if not stop.cancel_requested])


def _family_steps(family: Family, left: Decimal, ground: Ground) -> Steps:
    """`left`: how much of the entry's fill is still held, and so to be protected."""
    waiting = [leg for leg in family.legs if not leg.at_rest and not leg.attached]
    if left <= 0:
        over = waiting if family.entry.at_rest else ()
        return Steps(cancel=tuple(leg.id for leg in over if not leg.cancel_requested))
    targets = [leg for leg in waiting if leg.leg is Leg.TAKE_PROFIT]
    stops = [leg for leg in waiting if leg.leg is Leg.STOP_LOSS]
    if ground.oco or not _wants_stop(family):
        released = _sized([leg for leg in targets if is_held(leg)], family.entry, left, ground)
        return _stop_steps(family, stops, left, ground) + Steps(release=released)
    reached = [leg for leg in targets if is_held(leg) and _reached(leg, ground.mark)]
    if reached:
        # The stop first: only when it is known to be gone, and how much of it was filled, is the
        # take profit sent. A held stop stays, for what the take profit leaves.
        resting = [stop for stop in stops if not is_held(stop)]
        if resting:
            return make_way([stop for stop in resting if not stop.cancel_requested])
        return Steps(release=_sized(reached, family.entry, left, ground))
    selling = sum((leg.remaining for leg in targets if not is_held(leg)), start=ZERO)
    rest = max(ZERO, left - selling)  # a sale beside the take profit may have left less than it is selling
    return _stop_steps(family, stops, floor_to(rest, ground.step), ground)


def _stop_steps(family: Family, stops: Sequence[Order], target: Decimal, ground: Ground) -> Steps:
    """Stops that cover `target`, not more and not less, as far as the market's minimum lets them."""
    if not _wants_stop(family):
        return Steps()
    resting = [stop for stop in stops if not is_held(stop) and not stop.cancel_requested]
    missing = target - sum((stop.remaining for stop in resting), start=ZERO)
    if missing < 0:
        # Reduce-only stops never sell more than there is; of the others the newest give way.
        newest = resting[-1]
        return Steps() if newest.reduce_only and target > 0 else make_way([newest])
    if any(stop.cancel_requested for stop in stops) or missing < ground.minimum or missing == 0:
        return Steps()
    if not family.entry.at_rest and resting and missing < family.entry.amount * _TOP_UP:
        return Steps()
    held = [stop for stop in stops if is_held(stop)]
    if held:
        return Steps(release=((held[0].id, missing),))
    if not _was_ours_to_end(family):
        return Steps()
    return Steps(add=(successor(_stops(family)[-1], missing),))


def renewed(family: Family) -> tuple[Order, ...]:
    """A held stop where all have ended and some of the entry is still unsold; else nothing.

    An entry may fill on after its stop has filled: the ledger asks with every fill, so that no fill is
    without a stop that waits for it.
    """
    stops = _stops(family)
    ended = bool(stops) and all(stop.at_rest for stop in stops)
    if not ended or not _was_ours_to_end(family) or _open_amount(family) <= 0:
        return ()
    return (successor(stops[-1], _open_amount(family)),)


def restored(family: Family) -> tuple[Order, ...]:
    """After a close that has not sold all: the stops that it canceled, or is canceling, once more, held."""
    leaving = [stop for stop in _stops(family) if stop.cancel_requested and not stop.at_rest]
    if leaving and _was_ours_to_end(family):
        return tuple(successor(stop, stop.amount) for stop in leaving if not stop.waived)
    return renewed(family)


def _stops(family: Family) -> list[Order]:
    return [leg for leg in family.legs if leg.leg is Leg.STOP_LOSS and not leg.attached]


def _wants_stop(family: Family) -> bool:
    return bool(_stops(family))


def _was_ours_to_end(family: Family) -> bool:
    """A stop that the exchange or a human ended is not put back behind their back: that is an alarm's
    business. What was filled, or canceled by us to make room, is.
    """
    ended = [leg for leg in family.legs if leg.leg is Leg.STOP_LOSS and leg.at_rest]
    return all(leg.state is State.FILLED or (leg.cancel_requested and not leg.waived) for leg in ended)


def make_way(stops: Sequence[Order]) -> Steps:
    """Cancel stops, and hold a successor of each, so that what is left of the position gets its stop back."""
    return Steps(
        cancel=tuple(stop.id for stop in stops), add=tuple(successor(stop, stop.amount) for stop in stops)
    )


def successor(stop: Order, amount: Decimal) -> Order:
    """The held stop after that one. Its id is a function of the other's: made twice, it is the same, and a
    stop that was followed already has no other (`Ledger.extend` goes on to the last of them).
    """
    id_ = client_order_id(stop.alert_id, stop.account, stop.id, 1)
    return replace(
        stop,
        id=id_,
        client_order_id=id_,
        attempt=1,
        amount=amount,
        state=State.PLANNED,
        not_before=HELD,
        exchange_order_id=None,
        filled=ZERO,
        average=None,
        reason=None,
        cancel_requested=False,
        waived=False,
        send_by=None,
    )


def _sized(
    legs: Sequence[Order], entry: Order, left: Decimal, ground: Ground
) -> tuple[tuple[str, Decimal], ...]:
    """Planned for the whole entry, a leg covers the same share of what was really filled."""
    sized = []
    if not entry.at_rest:
        return ()  # a take profit for a part would need another for the rest; the stop is what hurries
    for leg in legs:
        share = leg.amount * entry.filled / entry.amount if entry.filled < entry.amount else leg.amount
        amount = min(left, floor_to(share, ground.step))
        left -= amount
        if amount > 0:
            sized.append((leg.id, amount))
    return tuple(sized)


def _reached(leg: Order, mark: Decimal | None) -> bool:
    if mark is None or leg.price is None:
        return False
    return mark >= leg.price if leg.side is Side.SELL else mark <= leg.price
