"""The invariant behind every stop: a filled entry that asked for one has it on the exchange. Pure.

What an entry still holds is a fold of the account's fills, so it is the same after a restart.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec import Struct

from fks.domain.book import EXACT, apply, currencies
from fks.domain.ids import client_order_id
from fks.domain.messages import Fill, Order, Position
from fks.domain.money import ZERO, floor_to
from fks.domain.orders import IN_FLIGHT, LIVE, Leg, OrderType, Side
from fks.domain.protection import Family

_TOP_UP = Decimal("0.1")  # as in `protection`: a smaller part of a growing entry waits for company


@dataclass(slots=True)
class Lot:
    """What an entry still holds: the parts that it was filled in, oldest first, each with its time."""

    entry: Order
    parts: list[tuple[float, Decimal]] = field(default_factory=list)

    @property
    def amount(self) -> Decimal:
        return sum((amount for _, amount in self.parts), start=ZERO)

    def take(self, amount: Decimal) -> Decimal:
        """Give up at most that much, oldest first. Return what is left to take elsewhere."""
        while amount > ZERO and self.parts:
            time, part = self.parts.pop(0)
            if part > amount:
                self.parts.insert(0, (time, EXACT.subtract(part, amount)))
                return ZERO
            amount = EXACT.subtract(amount, part)
        return amount

    def since(self, covered: Decimal) -> float:
        """When the first part beyond `covered` was filled."""
        for time, amount in self.parts:
            if covered < amount:
                return time
            covered -= amount
        return self.parts[-1][0]


@dataclass(slots=True)
class Lots:
    """The entries of one account that still hold something, by symbol and id, oldest first."""

    held: dict[str, dict[str, Lot]] = field(default_factory=dict)
    _positions: dict[str, Position] = field(default_factory=dict)

    def begin(self, position: Position) -> None:
        """Its market was flat but for that rest, which nobody protects."""
        self._positions[position.symbol] = position
        self.held.pop(position.symbol, None)

    def add(self, order: Order, fill: Fill) -> None:
        """The next fill in the order of their recording.

        A leg, or a close that names its entry, ends what that one holds; another exit first what its own
        strategy's entries hold. Beyond that a position shrinks from its oldest part.
        """
        symbol = order.symbol
        before = self._positions.get(symbol) or Position(account=order.account, symbol=symbol)
        after = apply(before, order.side, fill, *currencies(symbol))
        self._positions[symbol] = after
        lots = self.held.setdefault(symbol, {})
        if before.amount * after.amount < 0:
            lots.clear()
        if after.amount != ZERO and (order.side is Side.BUY) is (after.amount > 0):
            if order.leg is Leg.ENTRY:
                lot = lots.setdefault(order.id, Lot(order))
                lot.parts.append((fill.time, min(fill.amount, abs(after.amount))))
        else:
            own = [lots[order.parent]] if order.parent in lots else []
            kin = [lot for lot in lots.values() if order.strategy and lot.entry.strategy == order.strategy]
            _take(fill.amount, (*own, *kin))
        _take(sum((lot.amount for lot in lots.values()), start=ZERO) - abs(after.amount), lots.values())
        for entry in [entry for entry, lot in lots.items() if not lot.parts]:
            del lots[entry]


def _take(amount: Decimal, lots: Iterable[Lot]) -> None:
    for lot in lots:
        amount = lot.take(amount)


class Ground(Struct, frozen=True):
    """Of one market: its amount step, and the least that it takes (base units)."""

    step: Decimal
    minimum: Decimal


class Unprotected(Struct, frozen=True):
    """`amount` of what `entry` holds has had no stop on the exchange since then (UTC epoch seconds)."""

    entry: Order
    amount: Decimal
    since: float


def unprotected(
    lots: Iterable[Lot], families: Mapping[str, Family], grounds: Mapping[str, Ground]
) -> list[Unprotected]:
    """Of the lots whose entries asked for a stop; `families` by the entry's id, `grounds` by symbol.

    Only what is known to be on the exchange protects: a stop in flight or of unknown outcome has to be there
    in time like any other. A stop that a human canceled is not missed. What the market does not take as an
    order of its own, and what waits for more of a growing entry, is as protected as it can be. Of a market
    that is not known, as while the exchange is not reached, a small part beside a stop may be such a rest.
    """
    found = []
    for lot in lots:
        family, ground = families.get(lot.entry.id), grounds.get(lot.entry.symbol)
        if family is None:
            continue
        entry, stops = family.entry, [leg for leg in family.legs if leg.leg is Leg.STOP_LOSS]
        if not stops or any(stop.waived for stop in stops):
            continue
        covered = sum((stop.remaining for stop in stops if stop.state in LIVE), start=ZERO)
        missing = floor_to(lot.amount - covered, ground.step if ground else ZERO)
        if missing <= ZERO or (ground and missing < ground.minimum):
            continue
        may_be_rest = ground is None or not entry.at_rest
        if covered and may_be_rest and missing < entry.amount * _TOP_UP:
            continue
        # The follower has its time again after each stop that was there and has ended.
        ends = [stop.updated_at for stop in stops if stop.at_rest and stop.exchange_order_id]
        found.append(Unprotected(entry, missing, max((lot.since(covered), *ends))))
    return found


def before_closing(family: Family) -> list[str]:
    """The orders that must be gone before what is unprotected can be sold: it could be sold twice.

    A stop whose outcome is unknown is among them: asked to be canceled it is not sent again, once it is
    proven to be nowhere. Then a take profit that waits goes too, or the follower would put the stop back.
    """
    stops = [leg for leg in family.legs if leg.leg is Leg.STOP_LOSS and leg.state in IN_FLIGHT]
    targets = [leg for leg in family.legs if leg.leg is Leg.TAKE_PROFIT and not leg.at_rest]
    going = [leg for leg in targets if stops or leg.state in LIVE]
    entries = [] if family.entry.at_rest else [family.entry]
    return [order.id for order in (*entries, *stops, *going)]


def closing(one: Unprotected, now: float) -> Order:
    """The market order that ends what is without its stop. Its id is a function of the entry's."""
    entry = one.entry
    id_ = client_order_id(entry.alert_id, entry.account, f"unprotected {entry.id}", 1)
    return Order(
        id=id_,
        client_order_id=id_,
        alert_id=entry.alert_id,
        account=entry.account,
        leg=Leg.CLOSE,
        parent=entry.id,
        symbol=entry.symbol,
        side=entry.side.opposite,
        type=OrderType.MARKET,
        amount=one.amount,
        reduce_only=":" in entry.symbol,  # contracts
        reference_price=entry.average or entry.reference_price,
        strategy=entry.strategy,
        good_until=now,
        created_at=now,
        updated_at=now,
    )
