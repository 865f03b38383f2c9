"""Round trips: from flat to flat, as a fold of the journal's fills. Pure and exact.

A round trip belongs to (account, strategy, symbol): two strategies on one symbol each have their own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from fks.domain.book import EXACT, MEAN, apply, currencies
from fks.domain.messages import Fill, Order, Position
from fks.domain.money import ZERO
from fks.domain.orders import Side

Key = tuple[str, str, str]  # account, strategy, symbol
Step = Callable[[str, str], Decimal]
"""The least amount that can be traded on an account of a symbol; 0: not known."""


class Execution(Struct, frozen=True):
    """A fill with its order, and what its alert knew: the strategy, and the price that it saw.

    `number`: the fill's own in the journal.
    """

    order: Order
    fill: Fill
    strategy: str = ""
    alert_price: Decimal | None = None
    number: int = 0


class RoundTrip(Struct, frozen=True, kw_only=True):
    """One position from its first fill to its last; times are UTC seconds, money is in quote units.

    `amount` is what was entered in all, `profit` is after `fees`. `slippage` is what the entries paid beyond
    the prices of their alerts, above zero when that was worse; None when no alert told a price. While
    the position is open `closed_at` is None, `exit` is the mean of what has left it (None: nothing) and
    `profit` is what is realised so far.
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


class Trips(Struct, frozen=True):
    """Round trips that were asked for: closed ones with their numbers, newest first, and all open ones.

    A number counts the ends of round trips, of whatever account, since the first.
    """

    closed: tuple[tuple[int, RoundTrip], ...]
    still_open: tuple[RoundTrip, ...]


class TripQuery(Struct, frozen=True, kw_only=True):
    """The newest `limit` that ended, of those numbered below `before`. None does not restrict."""

    account: str | None = None
    strategy: str | None = None
    before: int | None = None
    limit: int

    def answer(self, newest_first: Iterable[tuple[int, RoundTrip]], still_open: Iterable[RoundTrip]) -> Trips:
        closed = (
            (number, trip)
            for number, trip in newest_first
            if (self.before is None or number < self.before) and self._wants(trip)
        )
        return Trips(tuple(islice(closed, self.limit)), tuple(filter(self._wants, still_open)))

    def _wants(self, trip: RoundTrip) -> bool:
        return self.account in (None, trip.account) and self.strategy in (None, trip.strategy)


@dataclass(slots=True)
class _Sum:
    """Executions of one direction: what they come to, not each of them."""

    amount: Decimal = ZERO
    cost: Decimal = ZERO

    def add(self, fill: Fill) -> None:
        self.amount = EXACT.add(self.amount, fill.amount)
        self.cost = EXACT.add(self.cost, EXACT.multiply(fill.amount, fill.price))

    @property
    def mean(self) -> Decimal | None:
        return MEAN.divide(self.cost, self.amount) if self.amount else None


@dataclass(slots=True)
class _Open:
    position: Position
    side: Side
    opened_at: float
    entries: _Sum
    exits: _Sum
    slippage: Decimal | None = None


def _no_step(_account: str, _symbol: str) -> Decimal:
    return ZERO


class RoundTrips:
    """The fold as it goes: executions are added one by one, in the order of their recording.

    `step` tells the amount step of a symbol on an account: less than it cannot be sold, so a position that
    was reduced to less counts as flat. What is left of it is carried into the next round trip.
    """

    def __init__(self, step: Step = _no_step) -> None:
        self._step = step
        self._running: dict[Key, _Open] = {}
        self._left: dict[Key, Position] = {}

    def add(self, one: Execution) -> list[RoundTrip]:
        """The round trips that it ends."""
        key, done = (one.order.account, one.strategy, one.order.symbol), []
        for part in _split(one, self._running.get(key)):
            trip = self._running.get(key) or self._begin(key, part)
            _add(trip, part)
            if self._flat(trip, part):
                done.append(_told(key, trip, part.fill.time))
                del self._running[key]
                self._left[key] = replace(trip.position, realized=ZERO, fees=ZERO)
        return done

    def begin(self, account: str, symbol: str, held: Mapping[str, Position]) -> None:
        """All round trips of that market had ended, and left that much to each strategy."""
        for key in [key for key in self._running | self._left if (key[0], key[2]) == (account, symbol)]:
            self._running.pop(key, None)
            self._left.pop(key, None)
        for strategy, position in held.items():
            if position.amount:
                self._left[account, strategy, symbol] = replace(position, realized=ZERO, fees=ZERO)

    def running(self, account: str, symbol: str) -> bool:
        return any((key[0], key[2]) == (account, symbol) for key in self._running)

    def left(self, account: str, symbol: str) -> dict[str, Position]:
        """By strategy, what the last round trip of each could not sell."""
        return {
            strategy: held
            for (one, strategy, of), held in self._left.items()
            if (one, of) == (account, symbol)
        }

    def still_open(self) -> list[RoundTrip]:
        """As far as they have come."""
        return [_told(key, trip, None) for key, trip in self._running.items()]

    def positions(self) -> dict[Key, Position]:
        """What is held, be it too little to be sold; `realized` is that of the open round trip alone."""
        return self._left | {key: trip.position for key, trip in self._running.items()}

    def _begin(self, key: Key, one: Execution) -> _Open:
        account, _, symbol = key
        held = self._left.pop(key, None) or Position(account=account, symbol=symbol)
        trip = self._running[key] = _Open(held, one.order.side, one.fill.time, _Sum(), _Sum())
        return trip

    def _flat(self, trip: _Open, last: Execution) -> bool:
        amount, order = trip.position.amount, last.order
        if not amount or order.side is trip.side:
            return not amount
        return abs(amount) < self._step(order.account, order.symbol)


def round_trips(
    executions: Iterable[Execution], steps: Mapping[str, Decimal] | None = None
) -> tuple[list[RoundTrip], list[RoundTrip]]:
    """The closed round trips in the order of their ends, then the open ones. `steps` by symbol."""
    fold = RoundTrips(lambda _account, symbol: (steps or {}).get(symbol, ZERO))
    done = [trip for one in executions for trip in fold.add(one)]
    return done, fold.still_open()


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


def _add(trip: _Open, one: Execution) -> None:
    trip.position = apply(trip.position, one.order.side, one.fill, *currencies(one.order.symbol))
    if one.order.side is not trip.side:
        trip.exits.add(one.fill)
        return
    trip.entries.add(one.fill)
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
        amount=trip.entries.amount,
        entry=trip.entries.mean or ZERO,
        exit=trip.exits.mean,
        opened_at=trip.opened_at,
        closed_at=closed_at,
        realized=trip.position.realized,
        fees=trip.position.fees,
        slippage=trip.slippage,
    )
