"""Counts what was committed, and now and then looks at what the ledger holds.

An observer: when it is slow its messages are dropped, so a count may fall short and never blocks an order.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
import trio

from fks.domain.errors import Overloaded
from fks.domain.events import Kind, alert_event, order_event
from fks.domain.messages import Event
from fks.domain.orders import State
from fks.domain.outcome import AlertState
from fks.infra.metrics import Metrics
from fks.infra.metrics_pulled import Book
from fks.ledger import Journal, Reader

log = structlog.get_logger(actor="metrics")

V = TypeVar("V")

BOOK_S = 5.0  # under every usual scrape interval
READ_S = 5.0
REMEMBERED = 10_000  # alerts and orders between two of their events

_ORDER_STATE = {order_event(state): state for state in State}
_ALERT_STATE = {alert_event(state): state for state in AlertState}
_FAILED = frozenset({State.REJECTED, State.REFUSED, State.UNKNOWN})


class _Recent(OrderedDict[str, V]):
    """Forgets the oldest: what never came to its end must not fill the memory."""

    def __setitem__(self, key: str, value: V) -> None:
        super().__setitem__(key, value)
        if len(self) > REMEMBERED:
            self.popitem(last=False)


class MetricsActor:
    """Turns committed events into counts and durations; keeps `metrics.pulled.book` fresh."""

    def __init__(
        self, tasks: trio.Nursery, metrics: Metrics, journal: Journal, wall: Callable[[], float]
    ) -> None:
        self._tasks = tasks
        self._metrics = metrics
        self._journal = journal
        self._wall = wall
        self._accepted = _Recent[float]()  # alert id: when
        self._sending = _Recent[float]()  # order id: when
        self._executed = _Recent[None]()  # order id

    async def start(self) -> None:
        self._tasks.start_soon(self._watch_book)

    async def handle(self, events: Sequence[Event]) -> None:
        for event in events:
            self._metrics.committed_event(event.kind, event.seq)
            if state := _ORDER_STATE.get(event.kind):
                self._order(state, event)
            elif alert_state := _ALERT_STATE.get(event.kind):
                self._alert(alert_state, event)
            elif event.kind == Kind.FILL:
                self._fill(event)
            elif event.kind == Kind.INTENT_REFUSED:
                # The code's first word: `risk`, `sizing`, `gate`, ...
                self._metrics.failed(event.account or "", str(event.data.get("code", "")).partition(".")[0])
            elif event.kind == Kind.ALARM:
                self._metrics.alarm(str(event.data.get("code", "")))

    def _alert(self, state: AlertState, event: Event) -> None:
        self._metrics.alert_came_to(state.value)
        if state is AlertState.ACCEPTED and event.alert_id is not None:
            self._accepted[event.alert_id] = event.time

    def _order(self, state: State, event: Event) -> None:
        account, order_id = event.account or "", event.order_id or ""
        if state in _FAILED:
            self._metrics.failed(account, state.value)
        if state is State.UNKNOWN:
            self._metrics.unknown_outcome(account)  # its duration goes on until it is resolved
        elif state is State.SENDING:
            self._sending[order_id] = event.time
            accepted = self._accepted.pop(event.alert_id or "", None)  # the alert's first order only
            if accepted is not None:
                self._metrics.sent(event.time - accepted)
        else:
            sent = self._sending.pop(order_id, None)
            if sent is not None and state is not State.PLANNED:  # planned again: it never left
                self._metrics.order_took(account, event.time - sent)

    def _fill(self, event: Event) -> None:
        account, order_id = event.account or "", event.order_id or ""
        self._metrics.filled(account)
        if order_id not in self._executed:
            self._executed[order_id] = None
            self._metrics.executed(account, str(event.data.get("side")), str(event.data.get("leg")))

    async def _watch_book(self) -> None:
        while True:
            try:
                self._metrics.pulled.book = await self._journal.read(self._book, within=READ_S)
            except (Overloaded, trio.TooSlowError) as error:
                log.warning("book_not_read", reason=repr(error))  # the last one stays, with its time
            await trio.sleep(BOOK_S)

    def _book(self, reader: Reader) -> Book:
        return Book(
            at=self._wall(),
            live=reader.live_orders(),
            positions=reader.positions(),
            trading=reader.trading(),
            backlog=reader.backlog(),
        )
