"""One exchange account as its actors share it. It outlives their restarts: a crash refills no bucket."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
import trio
from msgspec.structs import replace

from fks.domain.errors import Transient
from fks.domain.events import Kind
from fks.domain.limits import Breaker, Bucket
from fks.domain.messages import AccountStatus, Order, Report
from fks.domain.orders import IllegalTransition
from fks.domain.symbols import SymbolIndex
from fks.domain.venue import Venue
from fks.kernel import Latest
from fks.ledger import Journal, Ledger
from fks.venues.quotes import Quotes

OnCall = Callable[[str, str, str, float], None]
"""Told of every exchange request: account, endpoint, result, seconds."""


@dataclass(slots=True)
class Account:
    """The venue, its limits, and what is known of it."""

    name: str
    venue: Venue
    journal: Journal
    bucket: Bucket
    breaker: Breaker
    status: Latest[AccountStatus]
    on_call: OnCall
    wall: Callable[[], float]
    patience_s: float  # longest wait for one request's answer
    index: SymbolIndex | None = None  # None until the markets are loaded
    quotes: Quotes = field(init=False)
    log: Any = field(init=False)

    def __post_init__(self) -> None:
        self.quotes = Quotes(self.venue)
        self.log = structlog.get_logger(account=self.name)

    def tell(self, **changes: Any) -> None:
        """Overwrite some of the account's status."""
        self.status.set(replace(self.status.get(), **changes))

    def called(self, endpoint: str, result: str, began: float, *, ok: bool = True) -> None:
        """Count a request that began then. `ok`: the exchange answered, be it with a no."""
        now = trio.current_time()
        self.breaker.record(now, ok=ok, seconds=now - began)
        self.on_call(self.name, endpoint, result, now - began)
        self.tell(breaker=int(self.breaker.state(now)))

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

    async def settle(self, proven: Sequence[tuple[Order, Report]]) -> None:
        """Write down what the exchange proves of these orders, in one commit."""
        now = self.wall()

        def write(ledger: Ledger) -> tuple[list[Order], list[str]]:
            settled, impossible = [], []
            for order, report in proven:
                try:
                    settled.append(ledger.settle(order.id, report, now))
                except IllegalTransition as error:
                    impossible.append(f"{order.id}: {error}")
            return settled, impossible

        settled, impossible = await self.journal.write(write)
        for told in impossible:  # the table says that it cannot be: a human must look
            await self.alarm("order.impossible", told)
        before = {order.id: order for order, _ in proven}
        for order in settled:
            if order.state is not before[order.id].state or order.filled != before[order.id].filled:
                self.log.info(
                    f"order_{order.state}", **names(order), filled=str(order.filled), reason=order.reason
                )

    async def alarm(self, code: str, detail: str) -> None:
        """Something that a human must look at: log, journal, and from there every observer."""
        self.log.error("alarm", code=code, detail=detail)
        await self.journal.write(
            lambda ledger: ledger.note(Kind.ALARM, account=self.name, code=code, detail=detail)
        )


def names(order: Order) -> dict[str, Any]:
    """The log's keys of an order."""
    return {
        "alert_id": order.alert_id,
        "order_id": order.id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "leg": order.leg.value,
    }
