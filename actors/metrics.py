"""Counts what was committed, and now and then looks at what the ledger holds.

An observer: when it is slow its messages are dropped, so a count may fall short and never blocks an order.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

import structlog
import trio

from fks.domain.errors import Overloaded
from fks.domain.events import ALERT_STATES, ORDER_STATES, Kind
from fks.domain.messages import Event
from fks.domain.orders import State
from fks.domain.outcome import AlertState
from fks.infra.disk_usage import DiskUsage
from fks.infra.metrics import Metrics
from fks.infra.metrics_pulled import Book
from fks.kernel import in_thread
from fks.ledger import Journal, Reader
from fks.venues.account import Account
from fks.venues.equity import equity

log = structlog.get_logger(actor="metrics")

V = TypeVar("V")

BOOK_S = 5.0  # under every usual scrape interval
READ_S = 5.0
EQUITY_S = 60.0
LAG_S = 1.0
REMEMBERED = 10_000  # alerts and orders between two of their events

_FAILED = frozenset({State.REJECTED, State.REFUSED, State.UNKNOWN})


class _Recent(OrderedDict[str, V]):
    """Forgets the oldest: what never came to its end must not fill the memory."""

    def __setitem__(self, key: str, value: V) -> None:
        super().__setitem__(key, value)
        if len(self) > REMEMBERED:
            self.popitem(last=False)


@dataclass(slots=True)
class MetricsActor:
    """Turns committed events into counts and durations; keeps `metrics.pulled.book` fresh.

    `disk` looks at the disk, in a thread, and may raise OSError. `accounts`: those of the moment.
    """

    tasks: trio.Nursery
    metrics: Metrics
    journal: Journal
    wall: Callable[[], float]
    disk: Callable[[], DiskUsage]
    accounts: Callable[[], Sequence[Account]]
    _accepted: _Recent[float] = field(init=False, default_factory=_Recent)  # alert id: when
    _sending: _Recent[float] = field(init=False, default_factory=_Recent)  # order id: when
    _executed: _Recent[None] = field(init=False, default_factory=_Recent)  # order id

    async def start(self) -> None:
        self.tasks.start_soon(self._watch_book)
        self.tasks.start_soon(self._watch_equity)
        self.tasks.start_soon(self._watch_loop)

    async def handle(self, events: Sequence[Event]) -> None:
        for event in events:
            self.metrics.committed_event(event.kind, event.seq)
            if state := ORDER_STATES.get(event.kind):
                self._order(state, event)
            elif alert_state := ALERT_STATES.get(event.kind):
                self._alert(alert_state, event)
            elif event.kind == Kind.FILL:
                self._fill(event)
            elif event.kind == Kind.INTENT_REFUSED:
                # The code's first word: `risk`, `sizing`, `gate`, ...
                self.metrics.failed(event.account or "", str(event.data.get("code", "")).partition(".")[0])
            elif event.kind == Kind.ALARM:
                self.metrics.alarm(str(event.data.get("code", "")))

    def _alert(self, state: AlertState, event: Event) -> None:
        self.metrics.alert_came_to(state.value)
        if state is AlertState.ACCEPTED and event.alert_id is not None:
            self._accepted[event.alert_id] = event.time

    def _order(self, state: State, event: Event) -> None:
        account, order_id = event.account or "", event.order_id or ""
        if state in _FAILED:
            self.metrics.failed(account, state.value)
        if state is State.UNKNOWN:
            self.metrics.unknown_outcome(account)  # its duration goes on until it is resolved
        elif state is State.SENDING:
            self._sending[order_id] = event.time
            accepted = self._accepted.pop(event.alert_id or "", None)  # the alert's first order only
            if accepted is not None:
                self.metrics.sent(event.time - accepted)
        else:
            sent = self._sending.pop(order_id, None)
            if sent is not None and state is not State.PLANNED:  # planned again: it never left
                self.metrics.order_took(account, event.time - sent)

    def _fill(self, event: Event) -> None:
        account, order_id = event.account or "", event.order_id or ""
        self.metrics.filled(account)
        if order_id not in self._executed:
            self._executed[order_id] = None
            self.metrics.executed(account, str(event.data.get("side")), str(event.data.get("leg")))

    async def _watch_book(self) -> None:
        while True:
            try:
                book = await self.journal.read(self._book, within=READ_S)
            except (Overloaded, trio.TooSlowError) as error:
                log.warning("book_not_read", reason=repr(error))  # the last one stays, with its time
            else:
                with suppress(OSError):  # then there is no figure, which is what a rule sees
                    book = replace(book, disk=await in_thread(self.disk))
                self.metrics.pulled.book = book
            await trio.sleep(BOOK_S)

    def _book(self, reader: Reader) -> Book:
        return Book(
            at=self.wall(),
            live=reader.live_orders(),
            positions=reader.positions(),
            trading=reader.trading(),
            backlog=reader.backlog(),
        )

    async def _watch_equity(self) -> None:
        """By prices that may be a minute old: it is looked at, never traded by."""
        while True:
            await trio.sleep(BOOK_S)  # after a first look at the book, which says what is traded
            for account in self.accounts():
                if account.status.get().reachable:
                    await self._value(account)
            await trio.sleep(EQUITY_S)

    async def _value(self, account: Account) -> None:
        positions = self.metrics.pulled.book.positions
        worth = await equity(account, [one.symbol for one in positions if one.account == account.name])
        if worth is not None:
            currency, value = worth
            self.metrics.equity(account.name, currency, float(value))

    async def _watch_loop(self) -> None:
        while True:
            began = trio.current_time()
            await trio.sleep(LAG_S)
            self.metrics.loop_lag(trio.current_time() - began - LAG_S)
