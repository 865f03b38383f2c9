"""The exchange itself: one account's orders, executions, coins and position. It outlives the daemon.

It forgets a client order id as soon as its order has ended, so a request sent twice is executed twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import trio
from msgspec.structs import replace

from fks.domain.dispatch import is_exit
from fks.domain.errors import NotSent, Rejected, Unknown
from fks.domain.messages import Balance, Market, Order, Report, Trade
from fks.domain.money import ZERO
from fks.domain.orders import AT_REST, LIVE, OrderType, Side, State
from simulation.world import LAG_S, WINDOW_S, Rule, World

FEE = Decimal("0.001")
RACES = 0.6  # of cancels, with a fill
STALE = 0.3  # of changes that questions about coins and position do not show at once
SPOT = Market(
    symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT", amount_step=Decimal("0.001"),
    price_tick=Decimal("0.01"), min_amount=Decimal("0.001"),
)  # fmt: skip
SWAP = replace(SPOT, symbol="BTC/USDT:USDT", id="BTCUSDT.P", kind="swap", settle="USDT")


@dataclass(slots=True, eq=False)
class Record:
    """An order as the exchange knows it."""

    order: Order  # as it was sent
    number: int
    state: State
    seen_from: float  # visible to look-ups from here on
    parent: "Record | None" = None  # of an attached leg
    legs: list["Record"] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    late: tuple[int, float] | None = None  # so many of the trades show from then on, the others before

    @property
    def filled(self) -> Decimal:
        return sum((trade.amount for trade in self.trades), start=ZERO)

    @property
    def shown_late(self) -> Decimal:
        """How much of it look-ups did not show at first."""
        hidden = self.trades[self.late[0] :] if self.late else []
        return sum((trade.amount for trade in hidden), start=ZERO)

    @property
    def remaining(self) -> Decimal:
        return ZERO if self.state in AT_REST else self.order.amount - self.filled

    @property
    def alive(self) -> bool:
        return self.state in LIVE


class Book:
    """`limit`: the most base units that may ever be held, what rests on the book included."""

    def __init__(self, world: World, name: str, *, swap: bool, limit: Decimal) -> None:
        self.world = world
        self.name = name
        self.limit = limit
        self.swap = swap
        self.attached = world.random.random() < 0.4
        self.skew = world.between(-1.5, 1.0)  # what our clock's correction has left
        self.market = SWAP if self.swap else SPOT
        self.tells_trades = world.random.random() < 0.7
        self.fenced = self.attached or not self._further(0.15)  # it refuses requests that come late
        if not self.fenced:
            world.unfenced.add(name)
        self.priceless_until = world.further.uniform(2, 9) if self._further(0.1) else 0.0
        self.forgets = self._further(0.15)  # orders that have ended without a fill
        self.coins = Decimal(world.random.choice((0, 5)))  # ours before the daemon came
        self.cash = Decimal(10_000)
        self.position = self.lowest = self.highest = ZERO  # what the daemon's orders made
        self.records: list[Record] = []
        self._trades = 0
        self._stale: tuple[Balance, Decimal] = self.balance(), self.position
        self._stale_until = 0.0

    def _further(self, probability: float) -> bool:
        return self.world.wide and self.world.further.random() < probability

    def introduce(self) -> None:
        told = {"attached legs": self.attached, "tells trades": self.tells_trades}
        told |= {"no fence": not self.fenced, "a short memory": self.forgets}
        yes = ", ".join(name for name, one in told.items() if one) or "nothing special"
        self.world.note(
            "exchange", f"is {self.market.symbol}", account=self.name, offers=yes, coins=self.coins
        )

    # --- what a request does

    def place(self, order: Order, legs: Sequence[Order], at: float) -> list[Report]:
        """Raises Rejected, or NotSent for a request outside of its window."""
        world = self.world
        if self.fenced and world.wall() + self.skew > at + WINDOW_S:
            world.note("exchange", "too late", order=order.client_order_id)
            raise NotSent("timestamp outside of recvWindow")
        if any(one.alive and one.order.client_order_id == order.client_order_id for one in self.records):
            raise Unknown("duplicate client order id")
        if order.reduce_only and self._closable(order.side) <= 0:
            raise Rejected("invalid_order", "reduce-only order would not reduce")
        if not self.swap and not self._affordable(order):
            raise Rejected("insufficient_funds", "not enough")
        if world.chance(0.03):
            raise Rejected("simulated", "because")
        record = self._new(order)
        record.legs = [self._new(leg, record) for leg in legs]
        world.note(
            "exchange", "takes", account=self.name, order=order.client_order_id, leg=order.leg,
            side=order.side, type=order.type, amount=order.amount,
            at=order.price or order.stop_price or self.world.price,
        )  # fmt: skip
        world.occasion("executed")
        self._check_limit(order)
        if order.type is OrderType.MARKET:
            self._execute(record)
        else:
            self.match()
        return [self.report(one) for one in (record, *record.legs)]

    def _new(self, order: Order, parent: Record | None = None) -> Record:
        hidden = self.world.between(0, LAG_S) if self.world.chance(0.5) else 0.0
        seen_from = parent.seen_from if parent else trio.current_time() + hidden
        record = Record(order, len(self.records) + 1, State.OPEN, seen_from, parent)
        self._grow_stale()
        self.records.append(record)
        return record

    def _affordable(self, order: Order) -> bool:
        free = self.balance().free
        if order.side is Side.SELL:
            return order.amount <= free["BTC"]
        return order.amount * (order.price or self.world.price) * (1 + FEE) <= free["USDT"]

    def _check_limit(self, order: Order) -> None:
        """Held and resting together: no race of alerts may pass the limit."""
        sign = 1 if order.side is Side.BUY else -1
        resting = [
            one.remaining for one in self.records if one.order.side is order.side and not is_exit(one.order)
        ]
        after = self.position * sign + sum(resting, start=ZERO)
        if not is_exit(order) and after > self.limit:
            self.world.violation(Rule.OVER, f"{self.name}: {after} {order.side}, limit {self.limit}")

    def cancel(self, order: Order) -> Report:
        record = self.find(order.client_order_id)
        if record is None:
            raise Rejected("order_not_found", "no such order")
        if record.alive and self.world.wide and not self.world.healthy:
            self._race(record)
        if record.alive:
            self._end(record, State.CANCELED)
        return self.report(record)

    def _race(self, record: Record) -> None:
        """It fills, whole or in part, before the cancel is carried out; look-ups may show that later.

        Not where its legs come to life with the fill: who links them knows of it (paper is the only one).
        """
        chance = self.world.further
        if chance.random() > RACES:
            return
        amount = self._possible(record) * chance.randint(1, 4) / 4
        if (amount := amount.quantize(self.market.amount_step)) > 0:
            shown = len(record.trades)
            if chance.random() < 0.5 and not record.legs:
                record.late = shown, trio.current_time() + chance.uniform(0, LAG_S)
            self._fill(record, amount)

    def find(self, client_order_id: str) -> Record | None:
        """The newest that is visible."""
        now = trio.current_time()
        named = (one for one in reversed(self.records) if one.order.client_order_id == client_order_id)
        return next((one for one in named if one.seen_from <= now and not self._forgot(one)), None)

    def _forgot(self, record: Record) -> bool:
        return self.forgets and record.state in AT_REST and record.filled == ZERO

    # --- executions

    def match(self) -> None:
        """Execute what the price has reached."""
        price = self.world.price
        for record in [one for one in self.records if one.alive]:
            order, buys = record.order, record.order.side is Side.BUY
            if record.parent is not None and record.parent.filled == ZERO:
                continue
            limit, stop = order.price, order.stop_price
            if (stop is not None and (price >= stop if buys else price <= stop)) or (
                stop is None and limit is not None and (price <= limit if buys else price >= limit)
            ):
                self._execute(record)

    def _execute(self, record: Record) -> None:
        """At once, in parts, or one part only."""
        amount = self._possible(record)
        if amount <= 0:
            self._end(record, State.CANCELED)
            return
        if amount > Decimal("0.01") and self.world.chance(0.25):
            part = (amount * self.world.random.randint(1, 9) / 10).quantize(Decimal("0.001"))
            self._fill(record, part)
            if self.world.random.random() < 0.6:
                self.world.nursery.start_soon(self._rest_later, record)
            else:
                self._end(record, State.EXPIRED)
            return
        self._fill(record, amount)
        if record.alive:
            self._end(record, State.CANCELED)  # capped: the rest has nothing to reduce

    def _possible(self, record: Record) -> Decimal:
        """How much of it can be executed."""
        order, amount = record.order, record.remaining
        if order.reduce_only:
            amount = min(amount, self._closable(order.side))
        if record.parent is not None:
            siblings = sum((leg.filled for leg in record.parent.legs), start=ZERO)
            amount = min(amount, record.parent.filled - siblings)
        if not self.swap and order.side is Side.SELL:
            amount = min(amount, self.coins + self.position)
        return amount

    async def _rest_later(self, record: Record) -> None:
        await trio.sleep(self.world.between(0.1, 2.0))
        if record.alive:
            self._execute(record)

    def _fill(self, record: Record, amount: Decimal) -> None:
        order = record.order
        limit = order.price if order.type is OrderType.LIMIT else None
        price = limit or self.world.price
        self._trades += 1
        record.trades.append(
            Trade(
                id=f"t{self._trades}",
                time=self.world.wall(),
                price=price,
                amount=amount,
                fee=amount * price * FEE,
                fee_currency="USDT",
            )
        )
        sign = 1 if order.side is Side.BUY else -1
        self._grow_stale()
        self.position += sign * amount
        self.lowest, self.highest = min(self.lowest, self.position), max(self.highest, self.position)
        self.cash -= sign * amount * price + amount * price * FEE
        record.state = State.FILLED if record.filled == order.amount else State.PARTIAL
        self.world.note(
            "exchange", "fills", order=order.client_order_id, amount=amount, position=self.position
        )
        if record.parent is not None:
            for sibling in record.parent.legs:
                if sibling is not record and sibling.alive:
                    self._end(sibling, State.CANCELED)

    def _end(self, record: Record, state: State) -> None:
        self._grow_stale()
        record.state = state
        self.world.note("exchange", str(state), order=record.order.client_order_id)
        if record.filled == ZERO:
            for leg in record.legs:
                if leg.alive:
                    self._end(leg, State.CANCELED)

    def _closable(self, side: Side) -> Decimal:
        """What an order of that side could reduce."""
        held = self.position if self.swap else self.position + self.coins
        return max(ZERO, held if side is Side.SELL else -held)

    # --- what it tells

    def report(self, record: Record) -> Report:
        state, trades = record.state, record.trades
        if record.late is not None and trio.current_time() < record.late[1]:
            state, trades = State.CANCELED, trades[: record.late[0]]
        filled = sum((trade.amount for trade in trades), start=ZERO)
        cost = sum((trade.amount * trade.price for trade in trades), start=ZERO)
        return Report(
            client_order_id=record.order.client_order_id,
            exchange_order_id=f"{self.name}-{record.number}",
            state=state,
            filled=filled,
            average=cost / filled if filled else None,
            fee=sum((trade.fee for trade in trades), start=ZERO),
            fee_currency="USDT" if filled else None,
            trades=tuple(trades) if self.tells_trades else (),
            time=self.world.wall(),
        )

    def _grow_stale(self) -> None:
        """Before a change: what is shown may stay what it was, for as long as look-ups may lag behind."""
        world, now = self.world, trio.current_time()
        fresh = now >= self._stale_until
        if fresh and world.wide and not world.healthy and world.further.random() < STALE:
            self._stale = self.balance(), self.position
            self._stale_until = now + world.further.uniform(0, LAG_S)

    def shown(self) -> tuple[Balance, Decimal]:
        """The balance and the position, as the exchange tells them."""
        if trio.current_time() < self._stale_until:
            return self._stale
        return self.balance(), self.position

    def balance(self) -> Balance:
        total = {"USDT": self.cash, "BTC": ZERO if self.swap else self.coins + self.position}
        selling = [one for one in self.records if one.order.side is Side.SELL and one.parent is None]
        held = sum((one.remaining for one in selling), start=ZERO)
        for entry in self.records:  # of legs that end each other only one can take the coins
            legs = [leg.remaining for leg in entry.legs if leg.order.side is Side.SELL and entry.filled > 0]
            held += min(max(legs, default=ZERO), entry.filled)
        free = {"USDT": self.cash, "BTC": max(ZERO, total["BTC"] - held) if not self.swap else ZERO}
        return Balance(free=free, total=total)
