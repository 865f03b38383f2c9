"""One order as the paper exchange holds it: when it is due, at which price, and what is told of it."""

from dataclasses import dataclass, field
from decimal import Decimal

from fks.domain.errors import Rejected
from fks.domain.messages import Market, Order, Report, Trade
from fks.domain.money import ZERO, floor_to, plain, price_to
from fks.domain.orders import AT_REST, OrderType, Side, State

_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})


@dataclass(slots=True, eq=False)
class Working:
    """An accepted order."""

    order: Order
    market: Market
    number: int  # of its arrival
    time: float
    state: State = State.OPEN
    reason: str | None = None
    trades: list[Trade] = field(default_factory=list)
    triggered: bool = False
    resting: bool = False  # it has been in the book, so it is the maker at its own price
    extreme: Decimal | None = None  # best mark since a trailing stop became active
    closed: Decimal = ZERO  # of what it has filled: by others than its legs, or it closed that of others

    @property
    def live(self) -> bool:
        return self.state not in AT_REST

    @property
    def buying(self) -> bool:
        return self.order.side is Side.BUY

    @property
    def filled(self) -> Decimal:
        return sum((trade.amount for trade in self.trades), ZERO)

    @property
    def waits_for_stop(self) -> bool:
        return self.order.type in _STOPS and not self.triggered

    @property
    def limit(self) -> Decimal | None:
        """The worst price it takes. A triggered stop and a market order take any."""
        return self.order.price if self.order.type in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None

    @property
    def bound(self) -> Decimal | None:
        """The price that its cost is reckoned at while it waits: the limit, or the stop's own price."""
        return self.limit or (self.order.stop_price if self.order.type is OrderType.STOP else None)

    @property
    def trigger(self) -> Decimal | None:
        """The mark at which something happens to it next; None: at any, or not known yet."""
        if not self.waits_for_stop:
            return self.limit
        if self.order.type is not OrderType.TRAILING_STOP:
            return self.order.stop_price
        if self.extreme is None or self.order.trail_percent is None:
            return None
        away = self.extreme * self.order.trail_percent / 100
        # Rounded away from the mark: a narrow trail must not fire where it starts.
        return price_to(
            self.extreme + (away if self.buying else -away), self.market.price_tick, buying=not self.buying
        )

    def follow(self, mark: Decimal) -> None:
        """Let a trailing stop see the mark."""
        if self.order.type is OrderType.TRAILING_STOP and not self.triggered:
            best = min if self.buying else max
            self.extreme = mark if self.extreme is None else best(self.extreme, mark)

    def due(self, mark: Decimal) -> bool:
        """Whether the mark triggers its stop, or lets it trade."""
        trigger = self.trigger
        if trigger is None:
            return not self.waits_for_stop
        return mark >= trigger if self.buying is self.waits_for_stop else mark <= trigger

    def report(self) -> Report:
        filled = self.filled
        cost = sum((trade.price * trade.amount for trade in self.trades), ZERO)
        return Report(
            client_order_id=self.order.client_order_id,
            exchange_order_id=f"paper-{self.order.client_order_id}",
            state=self.state,
            filled=filled,
            average=cost / filled if filled else None,
            fee=sum((trade.fee for trade in self.trades), ZERO),
            fee_currency=self.market.quote if self.trades else None,
            trades=tuple(self.trades),
            time=self.time,
            reason=self.reason,
        )


def slipped(mark: Decimal, slippage_bps: Decimal, tick: Decimal, *, buying: bool) -> Decimal:
    """`mark * (1 ± bps / 10000)`, rounded to the tick against the trader, never to zero."""
    away = mark * slippage_bps / 10_000
    price = price_to(mark + away if buying else mark - away, tick, buying=not buying)
    return max(price, tick)


def check(order: Order, market: Market) -> None:
    """What an exchange demands of an order's own numbers. Raises Rejected."""
    for name in order.type.needs:
        number: Decimal | None = getattr(order, name)
        if number is None or number <= 0:
            raise Rejected("bad_order", f"a {order.type} order needs {name}, above zero")
        if name != "trail_percent" and floor_to(number, market.price_tick) != number:
            tick = plain(market.price_tick)
            raise Rejected("price_tick", f"{name} {plain(number)} is not a multiple of {tick}")
    if order.amount <= 0 or floor_to(order.amount, market.amount_step) != order.amount:
        step = plain(market.amount_step)
        raise Rejected("amount_step", f"amount {plain(order.amount)} is not a multiple of {step}")
    if (order.trail_percent or 0) >= 100:
        raise Rejected("bad_order", "trail_percent must be below 100")
    if order.time_in_force not in (None, "gtc", "ioc", "fok"):
        raise Rejected("time_in_force", f"{order.time_in_force} is not one of gtc, ioc, fok")
