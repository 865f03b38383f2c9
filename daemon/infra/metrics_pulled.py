"""Gauges that are looked up when somebody scrapes: nobody has to remember to set them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fks.domain.messages import AccountStatus, Order, Position, TradingState
from fks.domain.orders import AT_REST, State
from fks.domain.settings import WebhookSecret
from fks.infra.disk_usage import DiskUsage
from fks.infra.metrics_catalogue import FAMILIES, MAX_SERIES
from fks.kernel import Latest, Ref

Rows = Iterable[tuple[Sequence[str], float]]

_MOVING = tuple(state.value for state in State if state not in AT_REST)


@dataclass(frozen=True, slots=True)
class Book:
    """What the ledger, and the disk below it, held at `at` (UTC epoch seconds)."""

    at: float
    live: Sequence[Order] = ()
    positions: Sequence[Position] = ()
    trading: Mapping[str | None, TradingState] = field(default_factory=dict)
    backlog: int = 0
    disk: DiskUsage | None = None


@dataclass(eq=False)
class Pulled(Collector):
    """Accounts by their status cells, mailboxes by their Refs, the ledger by its latest `book`.

    `observers`: what each of those that only look on has missed. `unready`: reasons against taking alerts.
    """

    accounts: Mapping[str, Latest[AccountStatus]] = field(default_factory=dict)
    mailboxes: Callable[[], Iterable[Ref[Any]]] = tuple
    observers: Mapping[str, Callable[[], int]] = field(default_factory=dict)
    unready: Callable[[], Sequence[str]] = lambda: ("starting",)
    secrets: Callable[[], Sequence[WebhookSecret]] = tuple
    book: Book = field(default_factory=lambda: Book(0.0))

    def collect(self) -> Iterator[Metric]:
        yield _gauge("accepting_alerts", [((), float(not self.unready()))])
        ends = [((one.name,), float(one.expires)) for one in self.secrets() if one.expires is not None]
        yield _gauge("secret_expiry_timestamp_seconds", ends)
        yield from _accounts([cell.get() for cell in self.accounts.values()])
        yield from _orders(self.book, self.accounts)
        yield from _positions(self.book.positions)
        yield from _disk(self.book)
        yield _gauge("mailbox_depth", [((ref.name,), float(ref.depth)) for ref in self.mailboxes()])
        one = FAMILIES["dropped_messages"]
        dropped = CounterMetricFamily(f"fks_{one.name}", one.text, labels=one.labels)
        for name, missed in self.observers.items():
            dropped.add_metric([name], missed())
        yield dropped


def _gauge(name: str, rows: Rows) -> Metric:
    """An exchange may hold more currencies than are worth a series each: what is too much is left out."""
    one = FAMILIES[name]
    family = GaugeMetricFamily(f"fks_{name}", one.text, labels=one.labels)
    for words, value in islice(rows, MAX_SERIES):
        family.add_metric(words, value)
    return family


def _accounts(statuses: Sequence[AccountStatus]) -> Iterator[Metric]:
    def one(name: str, read: Callable[[AccountStatus], float]) -> Metric:
        return _gauge(name, [((status.account,), read(status)) for status in statuses])

    yield _gauge("account_info", [((each.account, each.type, each.mode), 1.0) for each in statuses])
    yield one("circuit_breaker_state", lambda status: status.breaker)
    yield one("account_ready", lambda status: status.ready)
    yield one("account_reachable", lambda status: status.reachable)
    yield one("account_failed", lambda status: status.failed)
    yield one("unknown_orders", lambda status: status.unknown)
    yield one("foreign_orders", lambda status: status.foreign)
    yield one("balance_updated_timestamp_seconds", lambda status: status.balance_at)
    yield one("reconciled_timestamp_seconds", lambda status: status.reconciled_at)
    for name, part in (("balance_free", "free"), ("balance", "total")):
        rows = (
            ((status.account, currency), float(amount))
            for status in statuses
            if status.balance is not None
            for currency, amount in getattr(status.balance, part).items()
            if status.balance.total.get(currency)
        )
        yield _gauge(name, rows)


def _orders(book: Book, accounts: Iterable[str]) -> Iterator[Metric]:
    """Zeros are said: a series that vanishes would leave its last value in graphs and rules."""
    yield _gauge("backlog", [((), book.backlog)])
    yield _gauge("book_timestamp_seconds", [((), book.at)])
    live = dict.fromkeys(((account, state) for account in accounts for state in _MOVING), 0)
    live |= Counter((order.account, order.state.value) for order in book.live)
    yield _gauge("open_orders", live.items())
    oldest = dict.fromkeys(((account,) for account in accounts), 0.0)
    for order in book.live:
        if order.state is State.UNKNOWN:
            oldest[order.account,] = max(oldest.get((order.account,), 0.0), book.at - order.updated_at)
    yield _gauge("oldest_unknown_seconds", oldest.items())
    states: dict[str | None, TradingState] = dict.fromkeys((None, *accounts), TradingState.ACTIVE)
    states |= book.trading
    rows = [((account or "all",), float(state.severity)) for account, state in states.items()]
    yield _gauge("trading_state", rows if book.at else [])


def _positions(positions: Sequence[Position]) -> Iterator[Metric]:
    def one(name: str, read: Callable[[Position], Decimal]) -> Metric:
        return _gauge(name, [((each.account, each.symbol), float(read(each))) for each in positions])

    yield one("position", lambda each: each.amount)
    yield one("position_average_price", lambda each: each.average)
    yield one("position_realized", lambda each: each.realized)
    yield one("position_fees", lambda each: each.fees)


def _disk(book: Book) -> Iterator[Metric]:
    disk = book.disk
    yield _gauge("file_bytes", [((name,), size) for name, size in disk.files.items()] if disk else [])
    yield _gauge("disk_free_bytes", [((), disk.free)] if disk else [])
