"""The book of a stand-in: one account's orders against a mark price. No network, no clock.

What trades is set from outside: the mark (`set_mark`), how much can be had at it (`depth`), or a single
execution (`fill`). Quantities are the instrument's own: base units on spot, contracts on swaps.
"""

from collections.abc import Iterable
from decimal import Decimal
from itertools import count

from standins.account import ZERO, Account, Instrument, Position
from standins.orders import BookOrder, Protection, Reason, Refused, Status, Trade, Trigger

__all__ = ["Book", "Refused"]


class Book:
    """`executions` counts every order that was ever accepted, by client id.

    `post_only_ends`: a post-only order that would take is accepted and canceled, not refused.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        marks: dict[str, Decimal],
        balances: dict[str, Decimal] | None = None,
        *,
        first_id: int = 28_457,
        post_only_ends: bool = False,
    ) -> None:
        self.instruments = {(one.name, one.swap): one for one in instruments}
        self.marks = marks
        start = {"USDT": Decimal(100_000), "BTC": Decimal(1)} if balances is None else balances
        self.account = Account(dict(start))
        self.depth: dict[str, Decimal] = {}  # absent: any quantity can be had
        self.orders: list[BookOrder] = []
        self.live: dict[int, BookOrder] = {}
        self.trades: list[Trade] = []
        self._ids = count(first_id)
        self._post_only_ends = post_only_ends

    @property
    def executions(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for order in self.orders:
            if order.client_id:
                counts[order.client_id] = counts.get(order.client_id, 0) + 1
        return counts

    @property
    def positions(self) -> dict[tuple[str, str], Position]:
        """Those that are not flat."""
        return {key: one for key, one in self.account.positions.items() if one.amount}

    def instrument(self, name: str | None, *, swap: bool = False) -> Instrument:
        found = self.instruments.get((name or "", swap))
        if found is None:
            raise Refused(Reason.SYMBOL, str(name))
        return found

    def mark(self, instrument: Instrument) -> Decimal:
        return self.marks[instrument.name]

    def find(
        self, instrument: Instrument | None, order_id: str | None, client_id: str | None = None
    ) -> BookOrder | None:
        """The latest order of that id or, without one, client id."""
        for order in reversed(self.orders):
            by_name = bool(client_id) and order.client_id == client_id
            same = str(order.id) == str(order_id) if order_id else by_name
            if same and instrument in (None, order.instrument):
                return order
        return None

    def any_order(self, name: str) -> BookOrder:
        """By id or client id, whatever its instrument."""
        found = self.find(None, name) or self.find(None, None, name)
        if found is None:
            raise Refused(Reason.NOT_FOUND, name)
        return found

    def new_id(self) -> int:
        return next(self._ids)

    # --- what the account's owner does

    def place(self, order: BookOrder, now: int) -> BookOrder:
        mark = self.mark(order.instrument)
        order.waiting = bool(order.stop or order.trail)
        self._check(order, mark)
        if order.trail and not order.trail.activation:
            order.trail.best = mark
        if not order.waiting or order.holds:
            self._lock(order, mark)
        self._enter(order, now)
        if order.post_only and order.crosses(mark):
            self._end(order, Status.CANCELED, now)
        self._work(order, now)
        return order

    def cancel(self, order: BookOrder, now: int) -> None:
        if not order.open:
            raise Refused(Reason.NOT_OPEN, str(order.id))
        self._end(order, Status.CANCELED, now)

    def protect(self, instrument: Instrument, side: str, protections: Iterable[Protection], now: int) -> None:
        """Replace the take profit and stop loss of a whole position; a stop of 0 removes it."""
        amount = self.account.position(instrument, side).amount
        for one in protections:
            for order in list(self.live.values()):
                same = (order.instrument, order.position_side) == (instrument, side)
                rises = one.takes_profit == (amount > 0)
                if order.whole and same and not order.trail and order.rises == rises:
                    self._end(order, Status.CANCELED, now)
            if one.stop:
                self._enter(self._protecting(instrument, side, amount > 0, abs(amount), one, whole=True), now)

    # --- what the market does

    def set_mark(self, name: str, price: Decimal, now: int) -> None:
        """The market moves: triggers fire, crossed limits fill."""
        if name not in self.marks:
            raise Refused(Reason.SYMBOL, name)
        self.marks[name] = price
        for order in list(self.live.values()):
            if order.open and order.instrument.name == name:
                if order.waiting and order.fires(price):
                    self._fire(order, now)
                self._work(order, now, maker=True)

    def fill(
        self, order: BookOrder, quantity: Decimal, price: Decimal, now: int, *, maker: bool = False
    ) -> None:
        """Execute a part."""
        order.waiting = False
        account, instrument = self.account, order.instrument
        self._release(order, quantity / order.remaining)
        fee, asset = account.settle(
            instrument, order.position_side, buys=order.buys, quantity=quantity, price=price, now=now
        )
        order.executed += quantity
        order.spent += quantity * price
        order.updated = now
        trade = Trade(1 + len(self.trades), order, price, quantity, fee, asset, now, maker)
        order.trades.append(trade)
        self.trades.append(trade)
        if order.remaining:
            order.status = Status.PARTIAL
            if order.attached_whole:
                self._attach(order, now)
        else:
            self._end(order, Status.FILLED, now)
        if instrument.swap and not account.position(instrument, order.position_side).amount:
            self._drop_protections(instrument, order.position_side, now)

    # --- within

    def _check(self, order: BookOrder, mark: Decimal) -> None:
        instrument = order.instrument
        if order.client_id and any(one.client_id == order.client_id for one in self.live.values()):
            raise Refused(Reason.DUPLICATE, order.client_id)
        if not order.whole and (order.quantity <= 0 or order.quantity % instrument.step):
            raise Refused(Reason.QUANTITY, str(order.quantity))
        if any(one % instrument.tick for one in (order.price, order.stop)):
            raise Refused(Reason.PRICE, f"{order.price} {order.stop}")
        amount = order.quantity * (order.price or order.stop or mark) * instrument.contract
        small = amount < instrument.min_notional and not order.reduces
        if small or (order.quantity < instrument.min_quantity and not order.whole):
            raise Refused(Reason.NOTIONAL, str(amount))
        if order.stop and not order.trail and order.fires(mark):
            raise Refused(Reason.TRIGGERS, f"{order.stop} at {mark}")
        if order.post_only and order.crosses(mark) and not self._post_only_ends:
            raise Refused(Reason.TAKES, f"{order.price} at {mark}")
        if instrument.swap and (order.position_side == "net") == self.account.hedge:
            raise Refused(Reason.POSITION_SIDE, order.position_side)
        if instrument.swap and order.reduces and not order.waiting and not self._closable(order):
            raise Refused(Reason.REDUCES_NOTHING)

    def _closable(self, order: BookOrder) -> Decimal:
        return self.account.closable(order.instrument, order.position_side, order.buys)

    def _lock(self, order: BookOrder, mark: Decimal) -> None:
        """Hold what the order may cost. Raises Refused when there is not enough."""
        instrument, price = order.instrument, order.price or order.stop or mark
        if not instrument.swap:
            asset = instrument.quote if order.buys else instrument.base
            need = order.quantity * price if order.buys else order.quantity
        else:
            opening = ZERO if order.reduces else max(ZERO, order.quantity - self._closable(order))
            asset = instrument.quote
            need = opening * price * instrument.contract / self.account.leverage_of(instrument.name)
        if need and self.account.free(asset) < need:
            raise Refused(Reason.FUNDS, f"{need} {asset}")
        order.held_asset, order.held = asset, need
        self.account.hold(asset, need)

    def _release(self, order: BookOrder, share: Decimal) -> None:
        if order.held_asset:
            released = order.held * share
            order.held -= released
            self.account.hold(order.held_asset, -released)

    def _enter(self, order: BookOrder, now: int) -> None:
        order.id, order.time, order.updated = self.new_id(), now, now
        order.waiting = bool(order.stop or order.trail)
        self.orders.append(order)
        self.live[order.id] = order

    def _work(self, order: BookOrder, now: int, *, maker: bool = False) -> None:
        """Trade as much of it as the mark allows, and end what does not rest."""
        if not order.open or order.waiting:
            return
        name, mark = order.instrument.name, self.mark(order.instrument)
        possible = min(order.remaining, self.depth.get(name, order.remaining))
        if order.instrument.swap and order.reduces:
            possible = min(possible, self._closable(order))
        wanted = order.remaining if order.time_in_force == "FOK" else min(possible, order.remaining)
        if order.crosses(mark) and 0 < wanted <= possible:
            if name in self.depth:
                self.depth[name] -= wanted
            self.fill(order, wanted, mark, now, maker=maker)
        rests = order.price and order.time_in_force not in ("IOC", "FOK")
        if order.open and not rests:
            self._end(order, Status.EXPIRED, now)

    def _fire(self, order: BookOrder, now: int) -> None:
        """The trigger: as an order of its own, or itself; the others of its group are no more."""
        order.waiting, order.updated = False, now
        self._cancel_group(order, now)
        if order.whole:
            order.quantity = self._closable(order)
        if order.instrument.swap and order.reduces and not self._closable(order):
            self._end(order, Status.FAILED, now)
            return
        made = self._heir(order) if order.becomes else order
        try:
            if not made.held_asset:
                self._lock(made, self.mark(made.instrument))
        except Refused:
            self._end(order, Status.FAILED, now)
            return
        if made is not order:
            self._end(order, Status.TRIGGERED, now)
            order.became = made
            self._enter(made, now)
            self._work(made, now)

    @staticmethod
    def _heir(order: BookOrder) -> BookOrder:
        return BookOrder(
            order.instrument, order.side, order.quantity, price=order.price, wire=order.wire,
            time_in_force=order.time_in_force, reduce_only=order.reduce_only or order.whole,
            position_side=order.position_side,
        )  # fmt: skip

    def _end(self, order: BookOrder, status: Status, now: int) -> None:
        self._release(order, Decimal(1))
        order.status, order.updated = status, now
        self.live.pop(order.id, None)
        if order.executed and not (order.attached_when_full and order.remaining):
            self._attach(order, now)

    def _cancel_group(self, order: BookOrder, now: int) -> None:
        for one in list(self.live.values()):
            if order.group and one.group == order.group and one is not order:
                self._end(one, Status.CANCELED, now)

    def _drop_protections(self, instrument: Instrument, side: str, now: int) -> None:
        """A position that is closed takes what protected all of it along."""
        for one in list(self.live.values()):
            if one.whole and (one.instrument, one.position_side) == (instrument, side):
                self._end(one, Status.CANCELED, now)

    def _attach(self, order: BookOrder, now: int) -> None:
        """Bring the attached protections to life, once."""
        attached, order.attached = order.attached, ()
        if not attached:
            return
        if order.attached_whole:
            self.protect(order.instrument, order.position_side, attached, now)
            return
        group = self.new_id()
        for one in attached:
            born = self._protecting(
                order.instrument, order.position_side, order.buys, order.executed, one, whole=False
            )
            born.group = group
            self._enter(born, now)

    @staticmethod
    def _protecting(
        instrument: Instrument, side: str, long: bool, quantity: Decimal, one: Protection, *, whole: bool
    ) -> BookOrder:
        rises = one.takes_profit == long
        return BookOrder(
            instrument, "sell" if long else "buy", quantity, one.client_id, price=one.price, stop=one.stop,
            rises=rises, reduce_only=instrument.swap, position_side=side, whole=whole, holds=False,
            becomes=one.becomes, wire=one.wire,
            other=Trigger(one.other[0], not rises, one.other[1]) if one.other else None,
        )  # fmt: skip
