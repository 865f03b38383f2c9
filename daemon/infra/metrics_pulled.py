"""Gauges that are looked up when somebody scrapes: nobody has to remember to set them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fks.domain.messages import AccountStatus, Order, Position, TradingState
from fks.domain.orders import State
from fks.kernel import Latest, Ref

Rows = Iterable[tuple[Sequence[str], float]]


@dataclass(frozen=True, slots=True)
class Book:
    """What the ledger held at `at` (UTC epoch seconds)."""

    at: float
    live: Sequence[Order] = ()
    positions: Sequence[Position] = ()
    trading: Mapping[str | None, TradingState] = field(default_factory=dict)
    backlog: int = 0


@dataclass(eq=False)
class Pulled(Collector):
    """Accounts by their status cells, mailboxes by their Refs, the ledger by its latest `book`."""

    accounts: Mapping[str, Latest[AccountStatus]] = field(default_factory=dict)
    mailboxes: Callable[[], Iterable[Ref[Any]]] = tuple
    book: Book = field(default_factory=lambda: Book(0.0))

    def collect(self) -> Iterator[Metric]:
        yield from _accounts([cell.get() for cell in self.accounts.values()])
        yield from _book(self.book)
        mailboxes = tuple(self.mailboxes())
        depths = [((ref.name,), float(ref.depth)) for ref in mailboxes]
        yield _gauge("mailbox_depth", "Messages waiting in a mailbox", ["actor"], depths)
        dropped = CounterMetricFamily(
            "fks_dropped_messages", "Messages that a slow observer missed", labels=["actor"]
        )
        for ref in mailboxes:
            dropped.add_metric([ref.name], ref.dropped)
        yield dropped


def _gauge(name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
    family = GaugeMetricFamily("fks_" + name, text, labels=labels)
    for words, value in rows:
        family.add_metric(words, value)
    return family


def _accounts(statuses: Sequence[AccountStatus]) -> Iterator[Metric]:
    def one(name: str, text: str, values: Iterable[float]) -> Metric:
        return _gauge(name, text, ["account"], zip(((s.account,) for s in statuses), values, strict=True))

    yield one("circuit_breaker_state", "0 closed, 1 half open, 2 open", (s.breaker for s in statuses))
    yield one("account_ready", "1 when entries may go to the account", (s.ready for s in statuses))
    yield one("unknown_orders", "Orders whose outcome is not known yet", (s.unknown for s in statuses))
    read_at = (s.balance_at for s in statuses)
    yield one("balance_updated_timestamp_seconds", "When the balance was read, 0 for never", read_at)
    for name, text in (("free", "What can be spent now"), ("total", "Including what open orders hold")):
        rows = [
            ((status.account, currency), float(amount))
            for status in statuses
            if status.balance is not None
            for currency, amount in getattr(status.balance, name).items()
        ]
        yield _gauge(f"balance_{name}", text, ["account", "currency"], rows)


def _book(book: Book) -> Iterator[Metric]:
    backlog = "Intents without a decision and orders planned or in flight"
    yield _gauge("backlog", backlog, [], [((), book.backlog)])
    yield _gauge("book_timestamp_seconds", "When the ledger was looked at, 0 for never", [], [((), book.at)])
    live = Counter((order.account, order.state.value) for order in book.live)
    yield _gauge("open_orders", "Orders that are not at rest", ["account", "state"], live.items())
    oldest: dict[tuple[str], float] = {}
    for order in book.live:
        if order.state is State.UNKNOWN:
            oldest[order.account,] = max(oldest.get((order.account,), 0.0), book.at - order.updated_at)
    yield _gauge("oldest_unknown_seconds", "Age of the oldest unknown order", ["account"], oldest.items())

    def positions(name: str, text: str, read: Callable[[Position], Decimal]) -> Metric:
        rows = [((one.account, one.symbol), float(read(one))) for one in book.positions]
        return _gauge(name, text, ["account", "symbol"], rows)

    yield positions("position", "Base units, above zero is long", lambda one: one.amount)
    yield positions("position_average_price", "Mean entry price", lambda one: one.average)
    yield positions("position_realized", "Profit taken, quote currency", lambda one: one.realized)
    yield positions("position_fees", "Fees paid, quote currency", lambda one: one.fees)
    states = [((account or "all",), state.severity) for account, state in book.trading.items()]
    yield _gauge("trading_state", "0 active, 1 reduce only, 2 halted", ["account"], states)
