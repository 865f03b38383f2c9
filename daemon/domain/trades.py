"""Round trips: from flat to flat, as a fold of the journal's fills. Pure and exact.

A round trip belongs to (account, strategy, symbol): two strategies on one symbol each have their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from fks.domain.book import EXACT, apply, currencies, mean_price
from fks.domain.messages import Fill, Order, Position
from fks.domain.money import ZERO
from fks.domain.orders import Side

Key = tuple[str, str, str]  # account, strategy, symbol


class Execution(Struct, frozen=True):
    """A fill with its order, and what its alert knew: the strategy, and the price that it saw."""

    order: Order
    fill: Fill
    strategy: str = ""
    alert_price: Decimal | None = None


class RoundTrip(Struct, frozen=True, kw_only=True):
    """One position from its first fill to its last; times are UTC seconds, money is in quote units.

    `amount` is what was entered in all, `profit` is after `fees`. `slippage` is what the entries paid beyond
    the prices of their alerts, above zero when that was worse; None when no alert told a price. While
    the position is open `closed_at` and `exit` are None and `profit` is what is realised so far.
    """

    account: str
    strategy: str
    symbol: str
    side: Side
    amount: Decimal
    entry: Decimal
    exit: Decimal | None
    opened_at: float
    closed_at: float | None
    realized: Decimal
    fees: Decimal
    slippage: Decimal | None

    @property
    def profit(self) -> Decimal:
        return EXACT.subtract(self.realized, self.fees)

    @property
    def holding_s(self) -> float | None:
        return None if self.closed_at is None else self.closed_at - self.opened_at


@dataclass(slots=True)
class _Open:
    position: Position
    side: Side
    opened_at: float
    entries: list[Fill] = field(default_factory=list)
    exits: list[Fill] = field(default_factory=list)
    slippage: Decimal | None = None


def round_trips(
    executions: Iterable[Execution], steps: Mapping[str, Decimal] | None = None
) -> tuple[list[RoundTrip], list[RoundTrip]]:
    """The closed round trips in the order of their ends, then the open ones.

    `executions` come in the order of their recording. `steps` are the amount steps by symbol: what is
    smaller than one cannot be sold, so a position of less counts as flat.
    """
    done: list[RoundTrip] = []
    running: dict[Key, _Open] = {}
    for one in executions:
        key = (one.order.account, one.strategy, one.order.symbol)
        for part in _split(one, running.get(key)):
            trip = running.get(key) or _begin(part)
            running[key] = trip
            _add(trip, part)
            if (
                abs(trip.position.amount) < (steps or {}).get(one.order.symbol, ZERO)
                or not trip.position.amount
            ):
                done.append(_told(key, trip, part.fill.time))
                del running[key]
    return done, [_told(key, trip, None) for key, trip in running.items()]


def _split(one: Execution, trip: _Open | None) -> Iterable[Execution]:
    """A fill that turns a position ends one round trip and begins another; its fee is shared by amount."""
    held = trip.position.amount if trip else ZERO
    against = held != ZERO and (held > ZERO) is (one.order.side is Side.SELL)
    if not against or one.fill.amount <= abs(held):
        return (one,)
    closing = abs(held)
    fee = one.fill.fee * closing / one.fill.amount
    return _with(one, closing, fee), _with(one, one.fill.amount - closing, one.fill.fee - fee)


def _with(one: Execution, amount: Decimal, fee: Decimal) -> Execution:
    return replace(one, fill=replace(one.fill, amount=amount, fee=fee))


def _begin(one: Execution) -> _Open:
    return _Open(Position(account=one.order.account, symbol=one.order.symbol), one.order.side, one.fill.time)


def _add(trip: _Open, one: Execution) -> None:
    trip.position = apply(trip.position, one.order.side, one.fill, *currencies(one.order.symbol))
    if one.order.side is not trip.side:
        trip.exits.append(one.fill)
        return
    trip.entries.append(one.fill)
    if one.alert_price is not None:
        worse = (
            one.fill.price - one.alert_price if trip.side is Side.BUY else one.alert_price - one.fill.price
        )
        trip.slippage = EXACT.add(trip.slippage or ZERO, EXACT.multiply(worse, one.fill.amount))


def _told(key: Key, trip: _Open, closed_at: float | None) -> RoundTrip:
    account, strategy, symbol = key
    return RoundTrip(
        account=account,
        strategy=strategy,
        symbol=symbol,
        side=trip.side,
        amount=sum((fill.amount for fill in trip.entries), ZERO),
        entry=mean_price(trip.entries) or ZERO,
        exit=mean_price(trip.exits),
        opened_at=trip.opened_at,
        closed_at=closed_at,
        realized=trip.position.realized,
        fees=trip.position.fees,
        slippage=trip.slippage,
    )
