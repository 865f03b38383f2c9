"""reconciler: the exchange's word against the book. One per account; it changes no order.

in   Look: now, please
out  journal: an alarm for each new difference; metric: the drift in numbers; the account's status: ready
At start, on a schedule, and whenever the account can be reached again after it could not. Before the first
time no entry goes: what the journal believes may have been closed by hand meanwhile.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

import trio
from msgspec.structs import replace

from fks.domain.errors import Transient
from fks.domain.messages import AccountStatus, Look
from fks.domain.reconcile import Book, Drift, Findings, compare_orders, compare_positions, lasting, moving
from fks.domain.trading_state import DRIFT, Breach
from fks.kernel import Restart
from fks.ledger import Reader
from fks.venues.account import Account

EVERY_S = 60.0
TELL_S = 60.0  # entries may wait so long before it is an alarm
AGAIN_S = 5.0  # a difference must still be there: a fill may have been under way

OnDrift = Callable[[str, str, float], None]
"""Told of every drift, also of its end: account, symbol, difference in base units."""


@dataclass(slots=True)
class Reconciler:
    """Compares orders, positions and balances; reports what is new, and what is over."""

    RESTART: ClassVar = Restart(times=5, window=60.0)

    tasks: trio.Nursery
    account: Account
    on_drift: OnDrift
    reduces: bool = False  # a drift takes the account to reduce-only
    on_ready: Callable[[], object] = lambda: None  # from now on entries may go
    _drifts: dict[str, Drift] = field(init=False, default_factory=dict)  # reported, not over
    _returns: int | None = field(init=False, default=None)  # of the exchange, before the last comparison
    _waits_since: float = field(init=False, default=math.inf)  # entries, for a comparison
    _told: bool = field(init=False, default=False)  # of that
    _foreign: set[str] = field(init=False, default_factory=set)
    _turn: trio.Lock = field(init=False, default_factory=trio.Lock)

    async def start(self) -> None:
        self.tasks.start_soon(self._watch)

    async def handle(self, _look: Look) -> None:
        await self._reconcile()
        await trio.sleep(AGAIN_S)  # alarms may come by the hundred: what comes meanwhile is one more look

    async def _watch(self) -> None:
        status = self.account.status
        while True:
            while not (status.get().resolved or (status.get().failed and status.get().connected)):
                await status.changed()
            with trio.move_on_after(EVERY_S - AGAIN_S):
                while not self._is_due(status.get()):
                    await status.changed()
            await self._reconcile()
            await trio.sleep(AGAIN_S)  # a line that comes and goes is not worth more

    def _is_due(self, status: AccountStatus) -> bool:
        """Before its time: entries wait for it, or the exchange has answered again since the last one."""
        return _awaited(status) or status.returns != self._returns

    async def _reconcile(self) -> None:
        account = self.account
        async with self._turn:
            began = account.status.get()
            try:
                found = await self._compare()
                if found.drifts:
                    await trio.sleep(AGAIN_S)
                    found = lasting(found, await self._compare())
            except Transient as error:
                account.log.warning("reconcile_postponed", reason=str(error))
                await self._tell_waiting(str(error))
                return
            await self._report(found)
            self._returns = began.returns
            account.tell(reconciled_at=account.wall(), foreign=len(found.foreign))
            # Where it was not awaited when it began, orders may have been in flight meanwhile.
            if found.unsure:
                await self._tell_waiting("positions differ from the book, each time otherwise")
            elif _awaited(began) and _awaited(account.status.get()):
                account.tell(ready=True, reason="")
                account.log.info("account_ready")
                self._waits_since, self._told = math.inf, False
                self.on_ready()

    async def _tell_waiting(self, why: str) -> None:
        """In the status at once, and after a while an alarm: an account without entries is easily missed."""
        account, now = self.account, trio.current_time()
        if not _awaited(account.status.get()):
            return
        reason = f"entries wait until the book is held against the exchange: {why}"
        account.tell(reason=reason)
        self._waits_since = min(self._waits_since, now)
        if now >= self._waits_since + TELL_S and not self._told:
            self._told = True
            await account.alarm("account.not_ready", reason)

    async def _compare(self) -> Findings:
        account, venue = self.account, self.account.venue
        before = await account.journal.read(self._book)
        listed = await venue.open_orders()
        actual = await venue.positions()
        balance = await venue.balance()
        book, known = await account.journal.read(
            lambda ledger: (
                self._book(ledger),
                {
                    one.exchange_order_id: order
                    for one in listed
                    if (order := ledger.order(one.exchange_order_id) or ledger.order(one.client_order_id))
                    and order.account == account.name
                },
            )
        )
        moves = moving(before, book, venue.markets())
        drifts = compare_positions(book.amounts, actual, balance, venue.markets(), moves)
        return replace(compare_orders(book.live, listed, known), drifts=drifts, moving=moves)

    def _book(self, ledger: Reader) -> Book:
        return Book(ledger.live_orders(self.account.name), ledger.positions(self.account.name))

    async def _report(self, found: Findings) -> None:
        account = self.account
        for drift in found.drifts:
            self.on_drift(account.name, drift.symbol, float(drift.difference))
            known = self._drifts.get(drift.symbol)
            if known is None or known.difference != drift.difference:  # an alarm each time, not each minute
                numbers = f"book {drift.booked}, exchange {drift.actual}, difference {drift.difference}"
                await account.alarm("drift", f"{drift.symbol}: {numbers}")
                if self.reduces:
                    await account.restrict([Breach(DRIFT, f"{drift.symbol}: {numbers}", account.wall())])
        still = {symbol: drift for symbol, drift in self._drifts.items() if symbol in found.moving}
        still |= {drift.symbol: drift for drift in found.drifts}
        for symbol in self._drifts.keys() - still.keys():
            self.on_drift(account.name, symbol, float(Decimal(0)))
            account.log.info("drift_over", symbol=symbol)
        self._drifts = still
        for order_id in set(found.foreign) - self._foreign:
            account.log.warning("foreign_order", exchange_order_id=order_id)
        self._foreign = set(found.foreign)
        for order in found.ended:  # the follower asks again, and cancels what rests
            account.ended.setdefault(order.id, (order, trio.current_time()))
        if found.missing:  # the follower asks for each; here it is only told
            account.log.info("orders_not_listed", orders=list(found.missing))


def _awaited(status: AccountStatus) -> bool:
    """Whether entries wait for a comparison."""
    return status.resolved and not status.ready
