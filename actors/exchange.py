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
from fks.domain.orders import IN_FLIGHT, IllegalTransition, State
from fks.domain.symbols import SymbolIndex
from fks.kernel import Restart
from fks.venues.account import Account, names

PLACEMENTS = 16  # in flight at once; look-ups are not counted, or their number would hold up exits
CLOCK_SKEW_S = 2.0  # what may remain between two corrected clocks
RECONCILE_S = 60.0  # entries wait this long for orders of an earlier life
LOOK_UP_S, LOOK_UP_MOST_S = 0.5, 30.0  # first and longest pause between two look-ups
UNSEEN_S = 30.0  # of look-ups that all show nothing; without a fence there will be no better proof
PULSE_S = 1.0  # how often what waits for a time (a pause, a bucket) is looked at again


@dataclass(slots=True)
class Exchange:
    """Sends the planned orders of one account and finds out what became of each."""

    RESTART: ClassVar = Restart(times=5, window=60.0)

    tasks: trio.Nursery
    account: Account
    aliases: dict[str, str]
    _busy: set[str] = field(init=False, default_factory=set)  # orders that a task works on
    _placing: int = field(init=False, default=0)  # requests that have no answer yet
    _long_pauses: dict[str, trio.CancelScope] = field(init=False, default_factory=dict)  # by order
    _canceling: set[str] = field(init=False, default_factory=set)  # as the last pulse has seen it
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
        self.tasks.start_soon(self._pulse)
        self.tasks.start_soon(self._refresh_markets)

    async def handle(self, _look: Look) -> None:
        await self._dispatch()

    async def _refresh_markets(self) -> None:
        venue = self.account.venue
        while True:
            await venue.refresh_markets()
            self.account.index = SymbolIndex(venue.markets(), self.aliases)
            self.account.log.info("markets_refreshed", markets=len(venue.markets()))

    async def _pulse(self) -> None:
        """Take up every order of an earlier life, and send what may be sent meanwhile."""
        earlier = await self._take_up()
        self.tasks.start_soon(self._await_resolved, earlier)
        while True:
            await self._dispatch()
            await trio.sleep(PULSE_S)
            await self._take_up()

    async def _await_resolved(self, earlier: Sequence[trio.Event]) -> None:
        """Until then no entry goes; after that it is the reconciler's word."""
        account = self.account
        account.tell(reason=f"looking up {len(earlier)} orders of an earlier life")
        with trio.move_on_after(RECONCILE_S) as scope:
            for one in earlier:
                await one.wait()
        if scope.cancelled_caught:  # they count as filled, and their look-up goes on
            await account.alarm("reconcile.unfinished", "orders of unknown outcome remain")
        account.tell(resolved=True, reason="holding the book against the exchange")
        account.log.info("account_resolved", markets=len(account.venue.markets()), looked_up=len(earlier))

    async def _take_up(self) -> list[trio.Event]:
        """Look up what is in flight and in nobody's hands. Attached legs are their entry's business."""
        async with self._turn:  # a claim and the start of its task are one step
            # Asked before the ledger: a task that ends meanwhile has written down what the answer lacks.
            busy = set(self._busy)
            live = await self.account.live()
            canceling = {order.id for order in live if order.cancel_requested}
            for order_id in (canceling - self._canceling) & self._long_pauses.keys():
                self._long_pauses[order_id].cancel()  # an exit may wait for it
            self._canceling = canceling
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
                free = PLACEMENTS - self._placing
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
                        self._placing += 1
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
        try:
            answered = await self._place(order, legs)
        finally:
            self._placing -= 1
        if not answered:
            await self._resolve(order)

    async def _place(self, order: Order, legs: Sequence[Order]) -> bool:
        """Whether its outcome is known, and written down."""
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
            return False
        else:
            account.called("place", "ok", began)
            by_id = {one.client_order_id: one for one in (order, *legs)}
            await account.settle([(by_id[report.client_order_id], report) for report in reports])
        return True

    async def _end(self, order: Order, reason: str) -> None:
        self.account.log.warning("order_rejected", **names(order), reason=reason)
        await self._mark(order, State.REJECTED, reason)

    async def _lose(self, order: Order, reason: str) -> None:
        self.account.log.error("order_unknown", **names(order), reason=reason)
        await self._mark(order, State.UNKNOWN, reason)

    async def _mark(self, order: Order, state: State, reason: str) -> bool:
        """The ledger sees to the legs that travelled along. False: it has ended meanwhile, with its entry."""
        now = self.account.wall()
        try:
            await self.account.journal.write(
                lambda ledger: ledger.mark(order.id, state, reason, now, send_by=order.send_by)
            )
        except IllegalTransition as error:
            if not order.attached:
                raise
            self.account.log.info("ended_meanwhile", **names(order), reason=str(error))
            return False
        return True

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
        """Ask until the exchange shows the order, or until its absence is proven behind the fence.

        Where there is none it is never sent again, but a cancel of it comes to count as carried out: else
        every exit of its market would wait for it for ever.
        """
        pause, alarmed, travels = LOOK_UP_S, False, self._travels(order)
        arrived = math.inf  # when a leg that travels with its entry was to be there
        unseen = math.inf  # since when no look-up has failed or shown it
        while True:
            fenced = self._past_fence(order)  # before the question: an absence seen earlier proves nothing
            if travels:
                if not await self._awaits_entry(order):
                    arrived = min(arrived, trio.current_time() + self.account.venue.features.lag_s)
                fenced = trio.current_time() >= arrived
            asked = trio.current_time()
            try:
                report = await self.account.find(order)
            except Transient as error:
                unseen = math.inf
                self.account.log.warning("look_up_failed", **names(order), reason=str(error))
            else:
                if report is not None:
                    await self.account.settle([(order, report)])
                    return
                if fenced:
                    await self._not_placed(order)
                    return
                unseen = min(unseen, asked)
                if asked - unseen >= UNSEEN_S:
                    if await self._unprovable(order, alarm=not alarmed):
                        return
                    alarmed = True
            await self._pause(order, pause)
            pause = min(pause * 2, LOOK_UP_MOST_S)

    async def _pause(self, order: Order, seconds: float) -> None:
        """Between two look-ups; a cancel that is asked for meanwhile ends a long one (`_take_up`)."""
        with trio.move_on_after(seconds) as scope:
            if seconds == LOOK_UP_MOST_S:
                self._long_pauses[order.id] = scope
            await trio.sleep_forever()
        self._long_pauses.pop(order.id, None)

    async def _unprovable(self, order: Order, *, alarm: bool) -> bool:
        """Whether that is the end of it: there is no fence, and its cancel was asked for."""
        account, then = self.account, ""
        # A leg that travels needs none: its proof is its entry's end.
        unfenced = account.venue.features.window_s is None and not self._travels(order)
        ended = unfenced and await account.asked_to_cancel(order)
        if ended:
            then = "; it counts as canceled, as was asked"
            account.ended[order.id] = order, trio.current_time()  # before it is written, as in `settle`
            shown = f"for {UNSEEN_S:g} s the exchange has shown nothing of it"
            await self._mark(order, State.CANCELED, f"cancel requested; {shown}")
            self._spawn(account.look_on, order)
        elif unfenced:
            then = f"; if it is not there, `fks cancel {order.id}` ends it here"
        if alarm:
            detail = f"{order.id} is nowhere: look at the exchange{then}"
            await account.alarm("order.unprovable", detail, order)
        return ended

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
        if await self._mark(order, State.REFUSED, reason):
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
