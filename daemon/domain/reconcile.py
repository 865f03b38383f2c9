"""What the exchange says of an account against what the book says. Pure: numbers in, differences out."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from fks.domain.messages import Balance, Market, Order, Position, Report
from fks.domain.money import ZERO
from fks.domain.orders import IN_FLIGHT, LIVE


class Drift(Struct, frozen=True):
    """One market whose position differs. Amounts in base units, signed."""

    symbol: str
    booked: Decimal
    actual: Decimal

    @property
    def difference(self) -> Decimal:
        return self.actual - self.booked


class Findings(Struct, frozen=True):
    """`foreign`: open orders that are not ours, by their exchange id; they are left alone.

    `missing`: ours that the exchange does not list as open: to be asked for one by one. `ended`: those that
    it lists although they have ended here: they may rest there.
    `moving`: symbols of which nothing can be said: their book has moved while the exchange was asked.
    `unsure`: something differs or did, and whether that is a drift is not known yet.
    """

    drifts: tuple[Drift, ...] = ()
    foreign: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    ended: tuple[Order, ...] = ()
    moving: frozenset[str] = frozenset()
    unsure: bool = False


class Book(Struct, frozen=True):
    """What the journal knows of an account at one moment."""

    live: Sequence[Order]
    positions: Sequence[Position]

    @property
    def amounts(self) -> dict[str, Decimal]:
        return {one.symbol: one.amount for one in self.positions if one.amount}


def moving(before: Book, after: Book, markets: Mapping[str, Market]) -> frozenset[str]:
    """Symbols with an order in flight, whose book is behind on purpose, or with a fill between the two; on
    spot also those that are bought with, or sold for, the same coins.
    """
    then, now = before.amounts, after.amounts
    moved = {order.symbol for order in after.live if order.state in IN_FLIGHT}
    moved |= {one for one in then.keys() | now.keys() if then.get(one) != now.get(one)}
    coins = {markets[one].base for one in moved if one in markets and markets[one].kind == "spot"}
    spot = (one for one in now if one in markets and markets[one].kind == "spot")
    return frozenset(moved | {one for one in spot if markets[one].base in coins})


def compare_positions(
    ours: Mapping[str, Decimal],
    actual: Sequence[Position],
    balance: Balance,
    markets: Mapping[str, Market],
    moves: frozenset[str] = frozenset(),
) -> tuple[Drift, ...]:
    """Contracts: the two amounts must be equal. Spot: what this daemon bought must be there; more is the
    owner's. A symbol that moves is left out.
    """
    theirs = {one.symbol: one.amount for one in actual} | _held(ours, balance, markets)
    drifts = []
    for symbol in sorted((ours.keys() | theirs.keys()) - moves):
        market = markets.get(symbol)
        mine, there = ours.get(symbol, ZERO), theirs.get(symbol, ZERO)
        if market is not None and abs(there - mine) >= max(market.amount_step, Decimal("1e-12")):
            drifts.append(Drift(symbol, mine, there))
    return tuple(drifts)


def _held(ours: Mapping[str, Decimal], balance: Balance, markets: Mapping[str, Market]) -> dict[str, Decimal]:
    """What is there of each spot position, at most what was bought. The markets of one coin share what the
    account holds of it: what one has sold, another may have bought, and what is missing is the last one's.
    """
    left, held = dict(balance.total), dict[str, Decimal]()
    spot = [one for one in ours if one in markets and markets[one].kind == "spot"]
    for symbol in sorted(spot, key=lambda one: (ours[one] > 0, one)):  # those first that add to it
        base, mine = markets[symbol].base, ours[symbol]
        there = left.get(base, ZERO)
        held[symbol] = min(there, mine) if mine > 0 else mine
        left[base] = there - held[symbol]
    return held


def lasting(first: Findings, again: Findings) -> Findings:
    """What of the first is still there. The amounts may both have changed: an account that trades all the
    time drifts no less.
    """
    known = {one.symbol: one.difference for one in first.drifts}
    still = tuple(one for one in again.drifts if known.get(one.symbol) == one.difference)
    # What others do in markets of which nothing is booked says nothing of the book.
    changed = any(one.booked and one not in still for one in again.drifts)
    unsure = changed or not again.moving.isdisjoint(known)
    return replace(again, drifts=still, unsure=unsure)


def compare_orders(live: Sequence[Order], listed: Sequence[Report], known: Mapping[str, Order]) -> Findings:
    """Foreign, missing and ended orders. `known`: of the listed, those that are ours, by exchange id."""
    there = {one.exchange_order_id for one in listed}
    return Findings(
        foreign=tuple(one.exchange_order_id for one in listed if one.exchange_order_id not in known),
        missing=tuple(
            order.id for order in live if order.state in LIVE and order.exchange_order_id not in there
        ),
        ended=tuple(order for order in known.values() if order.at_rest),
    )
