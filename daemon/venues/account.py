"""One exchange account as its actors share it. It outlives their restarts: a crash refills no bucket."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol

import structlog
import trio
from msgspec.structs import replace

from fks.domain.errors import Fatal, PlacementError, Transient
from fks.domain.events import Kind
from fks.domain.limits import Breaker, Bucket
from fks.domain.messages import AccountStatus, Order, Report, TradingRecord, TradingState
from fks.domain.money import ZERO, plain
from fks.domain.orders import ENDED_SHORT, LIVE, IllegalTransition, State
from fks.domain.protection import make_way
from fks.domain.symbols import SymbolIndex
from fks.domain.trading_state import Breach, next_state
from fks.domain.venue import Venue
from fks.kernel import Latest, passing
from fks.ledger import Journal, Ledger, losing
from fks.venues.quotes import Quotes

ENDED_MOST, ENDED_S = 100, 86_400.0  # of what an earlier life saw end, so many are looked at again
LOOK_ON_S, LOOK_ON_EVERY_S = 600.0, 30.0  # after what ended without a proof
_FINAL = frozenset({"resolved", "ready", "reason", "failed"})  # in a failed account, until the next start


class Late(Enum):
    """What is seen of an order after its end."""

    OVER = auto()  # how it ended, with all that it has filled
    NOWHERE = auto()
    RESTS = auto()  # it is open there
    UNSURE = auto()  # no answer, or not the last one


class Meter(Protocol):
    """Is told what is measured of the account of that name. Times are in seconds."""

    def exchange_call(self, account: str, endpoint: str, result: str, seconds: float) -> None:
        """One request to the exchange, answered or given up."""

    def throttled(self, account: str, seconds: float) -> None:
        """A request has waited so long for the exchange's rate limit."""

    def clock_skew(self, account: str, seconds: float) -> None:
        """The exchange's clock minus ours."""


@dataclass(slots=True)
class Account:
    """The venue, its limits, and what is known of it."""

    name: str
    venue: Venue
    journal: Journal
    bucket: Bucket
    breaker: Breaker
    status: Latest[AccountStatus]
    meter: Meter
    wall: Callable[[], float]
    patience_s: float  # longest wait for one request's answer
    index: SymbolIndex | None = None  # None until the markets are loaded
    quotes: Quotes = field(init=False)
    log: Any = field(init=False)
    ended: dict[str, tuple[Order, float]] = field(init=False, default_factory=dict)
    """Orders that ended before they were filled, and when, by the monotonic clock: to be looked at again."""
    _adopted: set[str] = field(init=False, default_factory=set)  # orders of the exchange's own making

    def __post_init__(self) -> None:
        self.quotes = Quotes(self.venue)
        self.log = structlog.get_logger(account=self.name)

    def tell(self, **changes: Any) -> None:
        """Overwrite some of the account's status; a failed one is never ready again, and keeps its reason.

        One that is not ready any more gets there by the whole way: resolved, compared, ready.
        """
        status = self.status.get()
        if changes.get("ready") is False:
            changes["resolved"] = False
        if status.failed:
            changes = {name: value for name, value in changes.items() if name not in _FINAL}
        after = replace(status, **changes)
        if after != status:  # each request tells: nobody need wake for what is known
            self.status.set(after)

    async def fail(self, actor: str, error: Exception) -> None:
        """Close it to entries: one of its actors has failed too often."""
        if self.status.get().failed:
            self.log.error("account_fails_on", failing=actor, reason=str(error))
            return
        self.tell(ready=False, failed=True, reason=str(error))
        with losing(self.log, Kind.ALARM):  # it is in the log, and in the account's status
            await self.alarm("account.failed", f"{error}; no entries until the daemon is started anew")

    @contextmanager
    def spared(self, **about: Any) -> Iterator[None]:
        """In a failed account one order's defect must not keep the others from their way out: it is
        logged, and its order left to a human. Elsewhere it is the actor's, which is built anew.
        """
        try:
            yield
        except Exception as error:
            if not self.status.get().failed or passing(error) or isinstance(error, Fatal):
                raise
            self.log.exception("order_left", **about)

    def called(self, endpoint: str, result: str, began: float, *, ok: bool = True) -> None:
        """Count a request that began then. `ok`: the exchange answered, be it with a no."""
        now = trio.current_time()
        self.breaker.record(now, ok=ok, seconds=now - began)
        self.meter.exchange_call(self.name, endpoint, result, now - began)
        self.log.debug("exchange_call", endpoint=endpoint, result=result, seconds=round(now - began, 4))
        before, breaker = self.status.get(), self.breaker.state(now)
        if breaker != before.breaker:
            self.log.warning("breaker", state=breaker.name.lower())
        returned = ok and not before.reachable
        self.tell(breaker=int(breaker), reachable=ok, returns=before.returns + returned)

    async def live(self) -> list[Order]:
        return await self.journal.read(lambda ledger: ledger.live_orders(self.name))

    async def find(self, order: Order) -> Report | None:
        """Look it up. None: nowhere to be seen. Raises Transient."""
        began = trio.current_time()
        try:
            report = await self.venue.find(order)
        except Transient:
            self.called("find", "no_answer", began, ok=False)
            raise
        self.called("find", "ok", began)
        return report

    async def look_on(self, order: Order) -> None:
        """After what ended without a proof: should it rest after all, it is canceled on the exchange if that
        was asked for, else told of. A fill of it is recorded.
        """
        until = trio.current_time() + LOOK_ON_S
        with self.spared(**names(order)):
            while trio.current_time() < until:
                await trio.sleep(LOOK_ON_EVERY_S)
                seen = await self.look_again(order)
                if seen is Late.RESTS and not await self.asked_to_cancel(order):
                    told = f"{order.leg} in {order.symbol} rests on the exchange after all"
                    then = "cancel it there, or leave it: what it fills is recorded"
                    await self.alarm("order.revived", f"{told}: {then}", order)
                if seen in (Late.OVER, Late.RESTS):
                    return  # what rests is followed to its end with all that ended short

    async def look_again(self, order: Order) -> Late:
        """What the exchange shows of an order that has ended here. One that rests there is canceled if that
        was asked for; another may be a stop that still guards its position.
        """
        try:
            report = await self.find(order)
            if report is None:
                return Late.NOWHERE
            await self.settle([(order, report)])
            if report.state in LIVE and await self.asked_to_cancel(order):
                await self.venue.cancel(order)
        except (Transient, PlacementError) as error:
            self.log.warning("look_up_failed", **names(order), reason=str(error))
            return Late.UNSURE
        if report.state in LIVE:
            self.ended.setdefault(order.id, (order, trio.current_time()))
            return Late.RESTS
        unsure = report.state is State.FILLED and report.filled <= ZERO
        return Late.UNSURE if unsure else Late.OVER

    async def asked_to_cancel(self, order: Order) -> bool:
        """By what the ledger knows now, not when `order` was read."""
        known = await self.journal.read(lambda ledger: ledger.order(order.id))
        return known is not None and known.cancel_requested

    async def recall(self) -> None:
        """Nobody may have looked again at what has ended just before this life began."""
        now, since = trio.current_time(), self.wall() - ENDED_S
        ended = await self.journal.read(lambda ledger: ledger.ended_short(self.name, since, ENDED_MOST))
        for order in ended:
            self.ended.setdefault(order.id, (order, now))

    async def settle(self, proven: Sequence[tuple[Order, Report]]) -> None:
        """Write down what the exchange proves of these orders, in one commit."""
        now = self.wall()
        for order, report in proven:  # before it is written: who reads the ledger finds it here or there
            if report.state in ENDED_SHORT:
                self.ended.setdefault(order.id, (order, trio.current_time()))

        def write(ledger: Ledger) -> tuple[list[Order], list[tuple[Order, str]]]:
            settled, impossible = [], []
            for order, report in proven:
                try:
                    after = ledger.settle(order.id, report, now)
                    if after.attached and self.venue.features.attached_stop:  # it has come along
                        after = ledger.detach(order.id, now, reason="", send_by=order.send_by)
                        if report.loose and not after.at_rest:
                            replace_loose(ledger, after, now)
                    settled.append(after)
                except IllegalTransition as error:
                    impossible.append((order, f"{order.id}: {error}"))
            return settled, impossible

        settled, impossible = await self.journal.write(write)
        for order, told in impossible:  # the table says that it cannot be: a human must look
            await self.alarm("order.impossible", told, order)
        before = {order.id: order for order, _ in proven}
        for order in settled:
            self._tell_change(before[order.id], order)

    def _tell_change(self, was: Order, order: Order) -> None:
        if order.state is was.state and order.filled == was.filled:
            return
        self.log.info(f"order_{order.state}", **names(order), filled=str(order.filled), reason=order.reason)
        if order.state in ENDED_SHORT:
            self.ended[order.id] = order, trio.current_time()
        if was.state in ENDED_SHORT and order.filled > was.filled:
            self.log.error("filled_late", **names(order), late=str(order.filled - was.filled))

    async def adopt(self) -> None:
        """Write down, once, what the exchange did by itself, and let a human know."""
        new = [one for one in self.venue.imposed() if one[0].id not in self._adopted]
        if not new:
            return
        now = self.wall()

        def write(ledger: Ledger) -> None:
            for order, report in new:
                ledger.adopt(order, report, now)

        await self.journal.write(write)
        for order, report in new:
            self._adopted.add(order.id)
            told = f"{order.symbol}: {order.side} {plain(report.filled)} at {report.average}: {report.reason}"
            await self.alarm("position.liquidated", told, order)

    async def restrict(self, breaches: Sequence[Breach]) -> None:
        """Bring the account's own trading state to what its limits ask for; a breach is an alarm."""
        now = self.wall()

        def write(ledger: Ledger) -> tuple[TradingState, Breach | None] | None:
            own = ledger.trading_records().get(self.name, TradingRecord())
            to = next_state(own, breaches, now)
            if to is not None:
                state, breach = to
                by, why = (breach.rule, breach.detail) if breach else (own.by, "a new day has begun")
                ledger.set_trading(self.name, state, by, now, why=why)
            return to

        to = await self.journal.write(write)
        if to is None:
            return
        self.log.warning("trading_state", state=to[0].value, rule=to[1].rule if to[1] else None)
        if to[1] is not None:
            await self.alarm(to[1].rule, to[1].detail)

    async def alarm(self, code: str, detail: str, order: Order | None = None) -> None:
        """Something that a human must look at: log, journal, and from there every observer."""
        told = {"code": code, "detail": detail}
        self.log.error("alarm", **told, **(names(order) if order else {}))
        ids = {"alert_id": order.alert_id, "order_id": order.id} if order else {}
        await self.journal.write(lambda ledger: ledger.note(Kind.ALARM, account=self.name, **told, **ids))


def replace_loose(ledger: Ledger, stop: Order, now: float) -> None:
    """Cancel a stop that could outlive its position; its successor, sent alone, is reduce-only."""
    steps = make_way([stop])
    ledger.request_cancel(steps.cancel, now, "protection")
    ledger.extend(steps.add)


def names(order: Order) -> dict[str, Any]:
    """The log's keys of an order."""
    return {
        "alert_id": order.alert_id,
        "order_id": order.id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "leg": order.leg.value,
    }
