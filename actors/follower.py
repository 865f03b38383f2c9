"""follower: everything on the exchange to its end. One per account.

in   Look: an order of this account has changed, or is to be canceled
out  journal: fills, ends, cancels, protective legs released; the account's status

It sends nothing that spends: a leg that it releases is sent by the exchange actor.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

import trio
from msgspec.structs import replace

from fks.domain import protection, sizing
from fks.domain.errors import PlacementError, Rejected, Transient
from fks.domain.limits import Bucket
from fks.domain.messages import Look, Market, Order, Report
from fks.domain.money import ZERO
from fks.domain.orders import LIVE, IllegalTransition, State
from fks.kernel import Restart
from fks.ledger import Ledger
from fks.venues.account import Account, Late, names

YOUNG_S, OLD_S = 1.0, 15.0  # how often an open order is asked for, by its age
BALANCE_S = 30.0  # how often the balance is asked for, at the latest
PROBE_S = 5.0  # and while the breaker is open: an answer is what closes it
BALANCE_RATE, BALANCE_BURST = 1.0, 5.0  # after changes: a second, at once
MANY = 20  # so many orders are cheaper to list than to ask for one by one, also where a list is dear
MARK_AGE_S = 1.0
DOUBT_S = 15.0  # a close waits so long for what ended orders may show late
GONE_S = 120.0  # an open order that so long shows nowhere is not open any more


@dataclass(slots=True)
class Follower:
    """Follows, cancels and protects the open orders of one account."""

    RESTART: ClassVar = Restart(times=5, window=60.0)

    tasks: trio.Nursery
    account: Account
    _busy: set[str] = field(init=False, default_factory=set)  # orders that a task works on
    _asked: dict[str, float] = field(init=False, default_factory=dict)
    _unseen: dict[str, float] = field(init=False, default_factory=dict)  # since when it shows nowhere
    _answered: dict[str, float] = field(init=False, default_factory=dict)  # since when its cancel is
    _tried: dict[str, float] = field(init=False, default_factory=dict)  # when its cancel was last sent
    _less: dict[str, float] = field(init=False, default_factory=dict)  # closes: since when too little shows
    _unlisted: set[str] = field(init=False, default_factory=set)  # symbols that an alarm was raised for
    _nudge: trio.Event = field(init=False, default_factory=trio.Event)
    _changed: trio.Event = field(init=False, default_factory=trio.Event)

    async def start(self) -> None:
        self.tasks.start_soon(self._follow)
        self.tasks.start_soon(self._watch_balance)

    async def handle(self, _look: Look) -> None:
        self._nudge.set()
        self._changed.set()

    async def _connected(self) -> None:
        while not self.account.status.get().connected:
            await self.account.status.changed()

    async def _follow(self) -> None:
        await self._connected()
        changed = True
        while True:
            self._nudge = trio.Event()
            await self.account.adopt()
            live = await self.account.live()
            self._care(live, changed=changed)
            self._look_back()
            await self._advance(live)
            self.account.tell(unknown=sum(order.state is State.UNKNOWN for order in live))
            changed = await self._wait(YOUNG_S if live or self.account.ended else OLD_S)

    def _care(self, live: Sequence[Order], *, changed: bool) -> None:
        for times in (self._asked, self._unseen, self._answered, self._tried, self._less):
            for over in times.keys() - {one.id for one in live}:
                del times[over]
        free = [order for order in live if order.state in LIVE and order.id not in self._busy]
        due = []
        for order in free:
            if order.cancel_requested:
                if self._due(self._tried, order.id, order.updated_at):
                    self._spawn(self._cancel, order)
            elif changed or self._due(self._asked, order.id, order.created_at):
                due.append(order)
        # In a failed account one by one, so that what the defect is about stays alone with it.
        if len(due) >= MANY and not self.account.status.get().failed:
            self._busy.update(order.id for order in due)
            self.tasks.start_soon(self._sweep, due)
            return
        for order in due:
            self._spawn(self._ask, order)

    async def _sweep(self, due: Sequence[Order]) -> None:
        """One list for many: only what it does not show as it is known is then asked for by name."""
        account, began = self.account, trio.current_time()
        try:
            listed = await account.venue.open_orders()
        except Transient as error:
            account.called("open_orders", "no_answer", began, ok=False)
            account.log.warning("look_up_failed", orders=len(due), reason=str(error))
            changed: Sequence[Order] = ()
        else:
            account.called("open_orders", "ok", began)
            filled = {one.exchange_order_id: one.filled for one in listed}
            changed = [one for one in due if filled.get(one.exchange_order_id or "") != one.filled]
            for one in due:
                if one.exchange_order_id in filled:
                    self._unseen.pop(one.id, None)
        self._asked.update((order.id, trio.current_time()) for order in due)
        self._busy.difference_update(order.id for order in due)
        for order in changed:
            self._spawn(self._ask, order)

    def _due(self, times: Mapping[str, float], order_id: str, since: float) -> bool:
        """Whether it is to be done once more: the more rarely, the longer ago it began."""
        interval = min(max((self.account.wall() - since) / 10, YOUNG_S), OLD_S)
        return trio.current_time() - times.get(order_id, float("-inf")) >= interval

    async def _wait(self, seconds: float) -> bool:
        """True when the venue says that something changed, rather than a nudge or the time."""
        nudge, changed = self._nudge, False

        async def venue(scope: trio.CancelScope) -> None:
            nonlocal changed
            until = trio.current_time() + seconds
            await self.account.venue.wait(seconds)
            changed = trio.current_time() < until
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(venue, nursery.cancel_scope)
            await nudge.wait()
            nursery.cancel_scope.cancel()
        return changed

    async def _ask(self, order: Order) -> None:
        self._asked[order.id] = trio.current_time()
        try:
            report = await self.account.find(order)
        except Transient as error:
            self._unseen.pop(order.id, None)  # it counts while every look-up is answered
            self.account.log.warning("look_up_failed", **names(order), reason=str(error))
            return
        if report is None:
            await self._miss(order)
            return
        self._unseen.pop(order.id, None)
        await self.account.settle([(order, report)])

    async def _miss(self, order: Order) -> None:
        """It was open and shows nowhere: exchanges forget what has ended. Not believed at once, and when no
        cancel of ours has been answered, a human is told; what it has filled after all is still looked for.
        """
        now, lag = trio.current_time(), self.account.venue.features.lag_s
        since, answered = self._unseen.setdefault(order.id, now), self._answered.get(order.id)
        if now < (since + GONE_S if answered is None else max(since, answered) + lag):
            return
        reason = "the exchange shows nothing of it any more"
        if answered is None:
            await self.account.alarm("order.vanished", f"{order.leg} in {order.symbol}: {reason}", order)
        gone = Report(
            client_order_id=order.client_order_id,
            exchange_order_id=order.exchange_order_id or "",
            state=State.CANCELED,
            filled=order.filled,
            average=order.average,
            reason=reason,
        )
        await self.account.settle([(order, gone)])
        self.tasks.start_soon(self.account.look_on, order)

    # --- fills that show after the end

    def _look_back(self) -> None:
        """Once more, as soon as look-ups must show what was executed before the end: that is a fill."""
        account, lag = self.account, self.account.venue.features.lag_s
        for order, since in account.ended.values():
            if trio.current_time() >= since + lag and order.id not in self._busy:
                self._spawn(self._ask_again, order)

    async def _ask_again(self, order: Order) -> None:
        """It is in doubt until this is answered; a fill that shows is one more reason to look."""
        ended = self.account.ended
        doubt = ended[order.id]
        if await self.account.look_again(order) in (Late.UNSURE, Late.RESTS):
            ended[order.id] = order, trio.current_time()
        elif ended[order.id] is doubt:
            del ended[order.id]

    async def _cancel(self, order: Order) -> None:
        """A cancel may be repeated. What it meets on the way (a fill, an end) is settled as it is."""
        account, began = self.account, trio.current_time()
        self._tried[order.id] = began
        try:
            report = await account.venue.cancel(order)
        except PlacementError as error:
            report, answered = None, isinstance(error, Rejected)
            account.called("cancel", type(error).__name__.lower(), began, ok=answered)
            account.log.info("cancel_unproven", **names(order), reason=str(error))
        else:
            answered = True
            account.called("cancel", "ok", began)
        if answered:
            self._answered.setdefault(order.id, trio.current_time())
        if report is None:
            await self._ask(order)
        else:
            await account.settle([(order, report)])

    async def _advance(self, live: Sequence[Order]) -> None:
        """Release, cancel and add what waits for something else on its symbol (`domain.protection`)."""
        waiting = (
            order.symbol
            for order in live
            if protection.is_held(order) or (order.leg.protective and not order.attached)
        )
        for symbol in dict.fromkeys(waiting):
            with self.account.spared(symbol=symbol):
                await self._advance_symbol(symbol, [order for order in live if order.symbol == symbol])

    async def _advance_symbol(self, symbol: str, live: Sequence[Order]) -> None:
        account = self.account
        alerts = {order.alert_id for order in live if order.parent}
        shared = any(order.strategy for order in live)
        # Before the ledger is read: what shows meanwhile is in its answer, or was in doubt.
        doubtful = any(order.symbol == symbol for order, _ in account.ended.values())
        known, positions, shares = await account.journal.read(
            lambda ledger: (
                {order.id: order for alert in alerts for order in ledger.orders_of(alert)},
                ledger.positions(account.name),
                ledger.shares(account.name, symbol) if shared else None,
            )
        )
        market = account.venue.markets().get(symbol)
        if market is None:
            await self._tell_unlisted(symbol)
            return
        watch = protection.needs_mark(live) and not account.venue.features.oco
        mark = await account.quotes.last(symbol, MARK_AGE_S) if watch else None
        booked = next((one.amount for one in positions if one.symbol == symbol), ZERO)
        ground = protection.Ground(
            step=market.amount_step,
            minimum=sizing.minimum(market, mark or live[0].reference_price),
            booked=booked,
            position=booked,
            mark=mark,
            oco=account.venue.features.oco,
            shares=shares,
        )
        if (close := protection.due_close(live)) is not None:
            measured = await self._measured(close, market, ground, doubtful)
            if measured is None:
                return
            ground = measured
        parents = {order.parent: known[order.parent] for order in live if order.parent in known}
        steps = protection.next_steps(live, _families(live, known), parents, ground)
        if steps.refuse is not None:
            await self._refuse(steps.refuse)
        elif steps:
            await self._carry_out(steps)

    async def _tell_unlisted(self, symbol: str) -> None:
        """Once: its orders are followed, but without the market's numbers nothing new can be sent."""
        if symbol not in self._unlisted:
            self._unlisted.add(symbol)
            detail = f"{symbol} is not among the account's markets any more: see to its position by hand"
            await self.account.alarm("market.gone", detail)

    async def _measured(
        self, close: Order, market: Market, ground: protection.Ground, doubtful: bool
    ) -> protection.Ground | None:
        """With the position that the exchange shows, for the close that is next; None: to be asked again.

        What was filled, or freed by a cancel, a moment ago may not show yet, neither there nor here: while
        there is less for it than the book says, the exchange is given the time that its look-ups may lag
        behind. So it is with nothing at all while an order that has ended is `doubtful`, and longer.
        """
        try:
            there = await self._there(market, ground.booked)
        except Transient as error:
            self.account.log.warning("close_postponed", **names(close), reason=str(error))
            return None
        shown = replace(ground, position=there)
        amount = protection.to_close(close, shown)
        if amount >= protection.to_close(close, ground) and (amount > 0 or not doubtful):
            return shown
        now, lag = trio.current_time(), self.account.venue.features.lag_s
        since = self._less.setdefault(close.id, now)
        if now >= since + (max(lag, DOUBT_S) if doubtful else lag):
            return shown
        self.account.log.info("close_postponed", **names(close), reason=f"{there} shows of {ground.booked}")
        return None

    async def _there(self, market: Market, booked: Decimal) -> Decimal:
        """Contracts: the exchange's own position. Spot: what this daemon bought, as far as it is there and
        free. Raises Transient.
        """
        if market.kind == "spot":
            balance = await self.account.venue.balance()
            return min(booked, balance.free.get(market.base, ZERO))
        positions = await self.account.venue.positions()
        return next((one.amount for one in positions if one.symbol == market.symbol), ZERO)

    async def _refuse(self, close: Order) -> None:
        """The alarm first: should the process end between the two, it comes twice rather than never."""
        detail = f"{close.symbol}: the book has a position to close, the exchange shows none"
        await self.account.alarm("close.nothing", detail, close)
        now = self.account.wall()
        try:
            await self.account.journal.write(
                lambda ledger: ledger.mark(close.id, State.REFUSED, f"close.nothing: {detail}", now)
            )
        except IllegalTransition as error:  # canceled meanwhile
            self.account.log.info("step_outdated", reason=str(error))

    async def _carry_out(self, steps: protection.Steps) -> None:
        now = self.account.wall()

        def write(ledger: Ledger) -> None:
            ledger.request_cancel(steps.cancel, now, "protection")
            ledger.extend(steps.add)
            for order_id, amount in steps.release:
                ledger.release(order_id, amount, now)

        try:
            await self.account.journal.write(write)
        except IllegalTransition as error:  # canceled or sent since it was read: the next round sees it
            self.account.log.info("step_outdated", reason=str(error))
        self._nudge.set()

    async def _watch_balance(self) -> None:
        """Now and then, and soon after anything of this account has changed."""
        await self._connected()
        account, bucket = self.account, Bucket(BALANCE_RATE, BALANCE_BURST)
        while True:
            self._changed = trio.Event()
            began = trio.current_time()
            bucket.take(began)
            try:
                balance = await account.venue.balance()
            except Transient as error:
                account.called("balance", "no_answer", began, ok=False)
                account.log.warning("balance_unknown", reason=str(error))
            else:
                account.called("balance", "ok", began)
                account.tell(balance=balance, balance_at=account.wall())
            await trio.sleep(bucket.wait(trio.current_time()))
            closed = account.breaker.allows_entry(trio.current_time())
            with trio.move_on_after(BALANCE_S if closed else PROBE_S):
                await self._changed.wait()

    def _spawn(self, work: Callable[[Order], Awaitable[object]], order: Order) -> None:
        async def run() -> None:
            with self.account.spared(**names(order)):
                await work(order)
                self._busy.discard(order.id)

        self._busy.add(order.id)
        self.tasks.start_soon(run)


def _families(live: Sequence[Order], known: Mapping[str, Order]) -> list[protection.Family]:
    """The entries that have a live protective leg of their own (not attached), with all their legs."""
    guarded = (leg.parent for leg in live if leg.leg.protective and not leg.attached and leg.parent)
    return [
        protection.Family(known[entry], tuple(leg for leg in known.values() if leg.parent == entry))
        for entry in dict.fromkeys(guarded)
    ]
