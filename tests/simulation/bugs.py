"""Planted bugs: the simulation must find each of them, or it proves nothing.

They replace parts of the daemon from outside, for the time of a run; there is no flag for them in its code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio
from msgspec.structs import replace

from fks.actors.exchange import Exchange
from fks.actors.follower import Follower
from fks.domain import risk
from fks.domain.dispatch import dispatchable
from fks.domain.errors import Unknown
from fks.domain.messages import Acceptance, Exposure, NewAlert, Order, Report
from fks.domain.money import ZERO
from fks.domain.orders import Leg, State
from fks.domain.protection import is_held
from fks.infra.sqlite_orders import SqliteOrders
from fks.infra.sqlite_writer import SqliteLedger
from simulation.disk import Disk
from simulation.files import File
from simulation.venue import SimVenue
from simulation.world import Rule

Patch = tuple[Any, str, Any]


@dataclass(frozen=True, slots=True)
class Bug:
    """What it replaces, and the rule that it breaks. `patches` makes fresh ones, for a patch may remember."""

    name: str
    breaks: Rule | None = None
    disk: type[Disk] = Disk
    venue: type[SimVenue] = SimVenue
    patches: Callable[[], tuple[Patch, ...]] = tuple


class LazyDisk(Disk):
    """Answers a sync first and does it some time later: `synchronous = OFF`."""

    def sync(self, file: File) -> None:
        self.world.nursery.start_soon(self._sync_later, file)

    async def _sync_later(self, file: File) -> None:
        await trio.sleep(self.world.between(0.0, 1.0))
        file.sync()  # of a file that a power cut has replaced nobody sees it


def _no_durable_intent() -> tuple[Patch, ...]:
    """What may be sent is read and sent; the ledger hears of it with the answer."""

    async def claim(self: Exchange, limit: int) -> list[Order]:
        now, name = self.account.wall(), self.account.name

        def read(ledger: Any) -> list[Order]:
            planned = dispatchable(ledger.live_orders(name), now)
            return [one for one in planned if one.id not in self._busy][:limit]

        return await self.account.journal.read(read)

    return ((Exchange, "_claim", claim),)


class ResendingVenue(SimVenue):
    """A lost reply is taken for a lost request."""

    async def place(self, order: Order, legs: Sequence[Order], at: float) -> Sequence[Report]:
        while True:
            try:
                return await super().place(order, legs, self._world.wall())
            except Unknown:
                await trio.sleep(0.5)


def _no_fence() -> tuple[Patch, ...]:
    """Nowhere to be seen is taken for never placed."""
    return ((Exchange, "_past_fence", lambda _self, _order: True),)


class RenamingVenue(SimVenue):
    """Each request gets a client order id of its own, made up on the way out."""

    async def place(self, order: Order, legs: Sequence[Order], at: float) -> Sequence[Report]:
        name = f"q{self._world.random.getrandbits(64):x}"
        first, *others = await super().place(replace(order, client_order_id=name), legs, at)
        return [replace(first, client_order_id=order.client_order_id), *others]


def _dedupe_in_memory() -> tuple[Patch, ...]:
    """The keys that were seen are in a set of the process, not in the ledger."""
    accept = SqliteLedger.accept

    def forgetful(self: SqliteLedger, new: NewAlert) -> Acceptance:
        seen = self.__dict__.setdefault("seen", set())
        if new.key not in seen and self.first("SELECT 1 FROM alert WHERE key = ?", new.key):
            new = replace(new, id=f"{new.id}{self._seq}", key=f"{new.key}{self._seq}")
        seen.add(new.key)
        return accept(self, new)

    return ((SqliteLedger, "accept", forgetful),)


def _fill_twice() -> tuple[Patch, ...]:
    """A report that says nothing new is booked again."""
    settle = SqliteOrders.settle

    def again(self: SqliteOrders, order_id: str, report: Report, now: float) -> Order:
        order = self._known(order_id)
        for fill in self.fills_of(order_id)[-1:]:
            if report.filled == order.filled:
                self._book(order, replace(fill, trade_id=f"{fill.trade_id}-{self._seq}"), now)
        return settle(self, order_id, report, now)

    return ((SqliteOrders, "settle", again),)


def _pending_ignored() -> tuple[Patch, ...]:
    """The limits count what is held, not what is on its way."""
    check = risk.check

    def blind(order: Order, price: Any, exposure: Exposure, *limits: Any, **more: Any) -> None:
        check(order, price, replace(exposure, live=()), *limits, **more)

    return ((risk, "check", blind),)


def _halt_forgets() -> tuple[Patch, ...]:
    """A halt stops what is decided from then on, and lets go what was planned before."""
    return ((SqliteOrders, "_refuse_barred", lambda _self, _account, _now: None),)


def _stale_sent() -> tuple[Patch, ...]:
    """What waited is sent, however long that took."""
    return ((SqliteOrders, "_refuse_stale", lambda _self, _account, _now: None),)


def _at_start(change: Callable[[Any, str, float], None]) -> tuple[Patch, ...]:
    """A start changes the ledger before it takes anything up. `change`: of ledger, account and time."""
    take_up = Exchange._take_up

    async def changed(self: Exchange) -> list[trio.Event]:
        account = self.account
        if not account.status.get().resolved:
            now = account.wall()
            await account.journal.write(lambda ledger: change(ledger, account.name, now))
        return await take_up(self)

    return ((Exchange, "_take_up", changed),)


def _gives_up() -> tuple[Patch, ...]:
    """What an earlier life has planned is too old, fresh or not."""

    def refuse(ledger: Any, account: str, now: float) -> None:
        for order in dispatchable(ledger.live_orders(account), now):
            if order.leg is Leg.ENTRY:
                ledger.mark(order.id, State.REFUSED, "stale", now)

    return _at_start(refuse)


def _held_forgotten() -> tuple[Patch, ...]:
    """What an earlier life has left waiting for something else is rubbish."""

    def cancel(ledger: Any, account: str, now: float) -> None:
        for order in filter(is_held, ledger.live_orders(account)):
            ledger.mark(order.id, State.CANCELED, "rubbish", now)

    return _at_start(cancel)


def _settling(change: Callable[[Order, Report], Report]) -> tuple[Patch, ...]:
    """What the exchange says is changed on its way to the ledger."""
    settle = SqliteOrders.settle

    def changed(self: SqliteOrders, order_id: str, report: Report, now: float) -> Order:
        return settle(self, order_id, change(self._known(order_id), report), now)

    return ((SqliteOrders, "settle", changed),)


def _as_known(order: Order, report: Report) -> Report:
    return replace(report, filled=order.filled, average=order.average, trades=())


def _cancel_is_no_fill() -> tuple[Patch, ...]:
    """A canceled order has filled no more than was known before."""
    ended = State.CANCELED
    return _settling(lambda order, report: _as_known(order, report) if report.state is ended else report)


def _late_fill_ignored() -> tuple[Patch, ...]:
    """What is canceled is over: a fill that shows later is none."""

    def change(order: Order, report: Report) -> Report:
        if order.state is not State.CANCELED:
            return report
        return replace(_as_known(order, report), state=State.CANCELED)

    return _settling(change)


def _never_looked_back() -> tuple[Patch, ...]:
    """The answer to a cancel is the last word on what was filled."""
    return ((Follower, "_look_back", lambda _self: None),)


def _fee_lost() -> tuple[Patch, ...]:
    """Of an order that fills in parts only the first part's fee is booked."""

    def change(order: Order, report: Report) -> Report:
        return replace(report, fee=ZERO, fee_currency=None, trades=()) if order.filled else report

    return _settling(change)


NONE = Bug("none")
BUGS = {
    bug.name: bug
    for bug in (
        NONE,
        Bug("acknowledge-before-fsync", Rule.LOST, disk=LazyDisk),
        Bug("no-durable-intent", Rule.NO_INTENT, patches=_no_durable_intent),
        Bug("blind-resend", Rule.TWICE, venue=ResendingVenue),
        Bug("no-fence", Rule.TWICE, patches=_no_fence),
        Bug("random-client-id", Rule.TWICE, venue=RenamingVenue),
        Bug("dedupe-in-memory", Rule.TWICE, patches=_dedupe_in_memory),
        Bug("fill-twice", Rule.DIFFERS, patches=_fill_twice),
        Bug("pending-ignored", Rule.OVER, patches=_pending_ignored),
        Bug("halt-forgets", Rule.HALTED, patches=_halt_forgets),
        Bug("stale-is-sent", Rule.STALE, patches=_stale_sent),
        Bug("restart-gives-up", Rule.REFUSED, patches=_gives_up),
        Bug("restart-forgets-held", Rule.BARE, patches=_held_forgotten),
        Bug("cancel-is-no-fill", Rule.DIFFERS, patches=_cancel_is_no_fill),
        Bug("late-fill-ignored", Rule.DIFFERS, patches=_late_fill_ignored),
        Bug("never-looked-back", Rule.DIFFERS, patches=_never_looked_back),
        Bug("fee-lost", Rule.DIFFERS, patches=_fee_lost),
    )
}
