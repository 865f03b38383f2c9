"""exchange: the only room that spends. One per account.

in   Look: the ledger has something to send
out  journal: claimed before the first byte, settled after the answer; the account's status

What to do is always read from the ledger, so a crash at any line is the same case as a start: what was
claimed is looked up by its id and never sent again. Placements and look-ups run as tasks of this
actor's nursery and die with it; the ledger knows them.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import trio

from fks.domain.dispatch import is_exit
from fks.domain.errors import NotSent, Overloaded, Rejected, Throttled, Transient, Unknown
from fks.domain.messages import Look, Order
from fks.domain.orders import IN_FLIGHT, State
from fks.domain.symbols import SymbolIndex
from fks.kernel import Restart
from fks.venues.account import Account, names

PLACEMENTS = 16  # in flight at once
CLOCK_SKEW_S = 2.0  # what may remain between two corrected clocks
RECONCILE_S = 60.0  # entries wait this long for orders of an earlier life
LOOK_UP_S, LOOK_UP_MOST_S = 0.5, 30.0  # first and longest pause between two look-ups
PULSE_S = 1.0  # how often what waits for a time (a pause, a bucket) is looked at again


@dataclass(slots=True)
class Exchange:
    """Sends the planned orders of one account and finds out what became of each."""

    RESTART: ClassVar = Restart(times=5, window=60.0)

    tasks: trio.Nursery
    account: Account
    aliases: dict[str, str]
    _busy: set[str] = field(init=False, default_factory=set)  # orders that a task works on
    _turn: trio.Lock = field(init=False, default_factory=trio.Lock)
    _born: float = field(init=False, default_factory=trio.current_time)
    _claimed: dict[str, float] = field(init=False, default_factory=dict)  # when, by the monotonic clock

    async def start(self) -> None:
        """Connect; from then on exits go, and entries when the earlier life is reconciled."""
        account = self.account
        account.tell(ready=False, reason="connecting")
        await account.venue.open()
        await account.recall()
        account.index = SymbolIndex(account.venue.markets(), self.aliases)  # from here on alerts are sized
        account.tell(connected=True)
        self.tasks.start_soon(self._reconcile)
        self.tasks.start_soon(self._refresh_markets)

    async def handle(self, _look: Look) -> None:
        await self._dispatch()

    async def _refresh_markets(self) -> None:
        venue = self.account.venue
        while True:
            await venue.refresh_markets()
            self.account.index = SymbolIndex(venue.markets(), self.aliases)
            self.account.log.info("markets_refreshed", markets=len(venue.markets()))

    async def _reconcile(self) -> None:
        """Take up every order of an earlier life, then let entries go and keep the pulse."""
        account = self.account
        ended = await self._take_up()
        account.tell(reason=f"looking up {len(ended)} orders of an earlier life")
        with trio.move_on_after(RECONCILE_S) as scope:
            for one in ended:
                await one.wait()
        if scope.cancelled_caught:  # they count as filled, and their look-up goes on
            await account.alarm("reconcile.unfinished", "orders of unknown outcome remain")
        account.tell(resolved=True, reason="holding the book against the exchange")  # the reconciler's part
        account.log.info("account_resolved", markets=len(account.venue.markets()), looked_up=len(ended))
        while True:
            await self._dispatch()
            await trio.sleep(PULSE_S)
            await self._take_up()

    async def _take_up(self) -> list[trio.Event]:
        """Look up what is in flight and in nobody's hands. Attached legs are their entry's business."""
        async with self._turn:  # a claim and the start of its task are one step
            # Asked before the ledger: a task that ends meanwhile has written down what the answer lacks.
            busy = set(self._busy)
            live = await self.account.live()
            for settled in self._claimed.keys() - {order.id for order in live}:
                del self._claimed[settled]
            unresolved = [order for order in live if order.state in IN_FLIGHT and order.id not in busy]
            entries = {order.id for order in unresolved} | busy
            return [self._spawn(self._resolve, one) for one in unresolved if one.parent not in entries]

    # --- sending

    async def _dispatch(self) -> None:
        """Claim what may go and start a task for each. The claim is on disk before the first byte."""
        account = self.account
        async with self._turn:
            while True:
                now = trio.current_time()
                free = PLACEMENTS - len(self._busy)
                if free <= 0 or account.bucket.wait(now) > 0:
                    return  # a task's end, or the next pulse, comes here again
                try:
                    claimed = await self._claim(free)
                except Overloaded as full:
                    account.log.warning("claim_postponed", reason=str(full))
                    return
                for order in claimed:
                    self._claimed[order.id] = trio.current_time()
                    if not order.attached:
                        account.bucket.take(now)
                        legs = [leg for leg in claimed if leg.attached and leg.parent == order.id]
                        self._spawn(self._sender(legs), order)
                if sum(not order.attached for order in claimed) < free:
                    return  # there was no more; what is planned from now on wakes this actor again

    async def _claim(self, limit: int) -> list[Order]:
        account, at = self.account, self.account.wall()
        # A claim's time runs while its request waits for the rate limit: entries wait before it.
        free = account.venue.busy_for() <= 0 and account.breaker.allows_entry(trio.current_time())
        entries = free and account.status.get().ready
        return await account.journal.write(
            lambda ledger: ledger.claim(
                account.name, now=at, window=self._window(), limit=limit, entries=entries
            )
        )

    def _window(self) -> float:
        """How long after its timestamp a request may still be taken, or at least be under way."""
        window = self.account.venue.features.window_s
        return self.account.patience_s if window is None else window

    def _sender(self, legs: Sequence[Order]) -> Callable[[Order], Awaitable[None]]:
        async def send(order: Order) -> None:
            await self._send(order, legs)

        return send

    async def _send(self, order: Order, legs: Sequence[Order]) -> None:
        """One request, once. Whatever does not prove an outcome becomes `unknown` and is looked up."""
        account, began = self.account, trio.current_time()
        at = (order.send_by or account.wall()) - self._window()
        account.log.info("order_sending", **names(order), side=order.side.value, amount=str(order.amount))
        try:
            with trio.fail_after(account.patience_s):
                reports = await account.venue.place(order, legs, at)
        except Rejected as no:
            account.called("place", "rejected", began)
            await self._end(order, f"{no.code}: {no.detail}")
        except Throttled as wait:  # our own limit: the exchange was not asked
            await self._replan(order, str(wait), pause=wait.retry_after, attempt=order.attempt)
        except NotSent as no:
            account.called("place", "not_sent", began, ok=no.retry_after > 0)
            await self._again(order, no)
        except (Unknown, trio.TooSlowError) as lost:
            account.called("place", "unknown", began, ok=False)
            await self._lose(order, str(lost) or f"no answer within {account.patience_s:g} s")
            await self._resolve(order)
        else:
            account.called("place", "ok", began)
            by_id = {one.client_order_id: one for one in (order, *legs)}
            await account.settle([(by_id[report.client_order_id], report) for report in reports])

    async def _end(self, order: Order, reason: str) -> None:
        self.account.log.warning("order_rejected", **names(order), reason=reason)
        await self._mark(order, State.REJECTED, reason)

    async def _lose(self, order: Order, reason: str) -> None:
        self.account.log.error("order_unknown", **names(order), reason=reason)
        await self._mark(order, State.UNKNOWN, reason)

    async def _mark(self, order: Order, state: State, reason: str) -> None:
        """The ledger sees to the legs that travelled along."""
        now = self.account.wall()
        await self.account.journal.write(
            lambda ledger: ledger.mark(order.id, state, reason, now, send_by=order.send_by)
        )

    async def _again(self, order: Order, no: NotSent) -> None:
        """Provably not on the exchange: the same attempt may be sent again, while it is fresh."""
        account = self.account
        account.log.warning("order_not_sent", **names(order), reason=str(no), retry_after=no.retry_after)
        if no.retry_after > 0:
            account.bucket.freeze(trio.current_time() + no.retry_after)
        await self._replan(order, str(no), pause=max(no.retry_after, LOOK_UP_S), attempt=order.attempt)

    async def _replan(self, order: Order, reason: str, *, pause: float, attempt: int) -> None:
        now = self.account.wall()
        await self.account.journal.write(
            lambda ledger: ledger.retry(
                order.id,
                reason=reason,
                not_before=now + pause,
                now=now,
                attempt=attempt,
                send_by=order.send_by,
            )
        )

    # --- looking up

    async def _resolve(self, order: Order) -> None:
        """Ask until the exchange shows the order, or until its absence is proven behind the fence."""
        pause, alarmed, travels = LOOK_UP_S, False, self._travels(order)
        arrived = math.inf  # when a leg that travels with its entry was to be there
        while True:
            fenced = self._past_fence(order)  # before the question: an absence seen earlier proves nothing
            if travels:
                if not await self._awaits_entry(order):
                    arrived = min(arrived, trio.current_time() + self.account.venue.features.lag_s)
                fenced = trio.current_time() >= arrived
            try:
                report = await self.account.find(order)
            except Transient as error:
                self.account.log.warning("look_up_failed", **names(order), reason=str(error))
            else:
                if report is not None:
                    await self.account.settle([(order, report)])
                    return
                if fenced:
                    await self._not_placed(order)
                    return
                if pause == LOOK_UP_MOST_S and not alarmed:
                    alarmed = True
                    detail = f"{order.id} is nowhere: look at the exchange"
                    await self.account.alarm("order.unprovable", detail, order)
            await trio.sleep(pause)
            pause = min(pause * 2, LOOK_UP_MOST_S)

    def _travels(self, leg: Order) -> bool:
        """Whether it goes with its entry, and is an order of its own from then on."""
        return leg.attached and self.account.venue.features.attached_stop

    async def _awaits_entry(self, leg: Order) -> bool:
        """Whether its entry may still be filled: the exchange brings the leg to life after that."""
        family = await self.account.journal.read(lambda ledger: ledger.orders_of(leg.alert_id))
        return not any(one.id == leg.parent and one.at_rest for one in family)

    def _past_fence(self, order: Order) -> bool:
        """Whether the exchange would by now refuse the request itself. Without a fence, never."""
        features = self.account.venue.features
        if features.window_s is None:
            return False
        margin = features.lag_s + (CLOCK_SKEW_S if features.window_s > 0 else 0.0)
        # A wall clock that was set forward opens nothing: as much time must have passed by the clock that
        # never jumps, since the claim or, for one of an earlier life, since this one began.
        waited = trio.current_time() - self._claimed.get(order.id, self._born)
        return self.account.wall() > (order.send_by or 0.0) + margin and waited >= features.window_s + margin

    async def _not_placed(self, order: Order) -> None:
        """Absence proven: a new attempt with a new id while the signal is fresh, else a refusal."""
        account = self.account
        if self._travels(order):
            await self._detach(order)
            return
        fresh = is_exit(order) or account.wall() <= order.good_until
        if fresh and not order.attached and not order.cancel_requested:
            account.log.warning("order_not_placed", **names(order), then="a new attempt")
            await self._replan(order, "proven not placed", pause=0.0, attempt=order.attempt + 1)
            return
        reason = "proven not placed, and now too old"
        if order.cancel_requested:
            reason = "proven not placed, and canceled meanwhile"
        elif order.attached:
            reason = "its entry is on the exchange, this leg is not"
        account.log.error("order_not_placed", **names(order), then=reason)
        await self._mark(order, State.REFUSED, reason)
        await account.alarm("order.not_placed", f"{order.id}: {reason}", order)

    async def _detach(self, leg: Order) -> None:
        """The entry is there, its stop is not: it is sent alone, as soon as the follower has released it."""
        reason, now = "the exchange did not attach it to its entry", self.account.wall()
        self.account.log.warning("stop_not_attached", **names(leg), then="sent alone")
        await self.account.journal.write(
            lambda ledger: ledger.detach(leg.id, now, reason=reason, send_by=leg.send_by)
        )

    def _spawn(self, work: Callable[[Order], Awaitable[None]], order: Order) -> trio.Event:
        ended = trio.Event()

        async def run() -> None:
            try:
                with self.account.spared(**names(order)):
                    await work(order)
                    self._busy.discard(order.id)
            finally:
                ended.set()

        self._busy.add(order.id)
        self.tasks.start_soon(run)
        return ended
