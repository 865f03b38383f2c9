"""A journal in memory, for what asks it questions and marks cancels; no thread, so that time is virtual."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar, cast

import trio
from msgspec.structs import replace

from fks.domain.messages import Carried, Event, Fill, Intent, Order, Position, TradingRecord, TradingState
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.trades import Execution
from fks.ledger import Journal, Ledger, Reader

R = TypeVar("R")


def an_order(order_id: str, **changes: Any) -> Order:
    fields: dict[str, Any] = {
        "client_order_id": order_id,
        "alert_id": "a1",
        "account": "paper",
        "leg": Leg.ENTRY,
        "symbol": "BTC/USDT",
        "side": Side.BUY,
        "type": OrderType.MARKET,
        "amount": Decimal(1),
        "good_until": 400.0,
        "created_at": 100.0,
        "updated_at": 100.0,
    }
    return Order(id=order_id, **{**fields, **changes})


@dataclass
class MemoryLedger:
    """Lists, oldest first. Only what its users call."""

    alert_rows: list[dict[str, Any]] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    order_rows: list[Order] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    position_rows: list[Position] = field(default_factory=list)
    share_rows: list[tuple[str, Position]] = field(default_factory=list)
    chain: list[Event] = field(default_factory=list)
    trading_states: dict[str | None, TradingState] = field(default_factory=dict)
    changes: list[tuple[Any, ...]] = field(default_factory=list)

    def alert(self, alert_id: str) -> dict[str, Any] | None:
        return next((row for row in self.alert_rows if row["id"] == alert_id), None)

    def alerts(self, *, limit: int, before: str | None, state: str | None) -> list[dict[str, Any]]:
        rows = _older([(row["id"], row) for row in self.alert_rows], before)
        return [row for row in rows if state in (None, row["state"])][:limit]

    def intents_of(self, alert_id: str) -> list[Intent]:
        return [intent for intent in self.intents if intent.alert_id == alert_id]

    def orders_of(self, alert_id: str) -> list[Order]:
        return [order for order in self.order_rows if order.alert_id == alert_id]

    def fills_of(self, order_id: str) -> list[Fill]:
        return [fill for fill in self.fills if fill.order_id == order_id]

    def order(self, any_id: str) -> Order | None:
        for order in self.order_rows:
            if any_id in (order.id, order.client_order_id, order.exchange_order_id):
                return order
        return None

    def orders(
        self, *, limit: int, before: str | None, state: str | None, account: str | None
    ) -> list[Order]:
        rows = _older([(order.id, order) for order in self.order_rows], before)
        wanted = [one for one in rows if state in (None, one.state) and account in (None, one.account)]
        return wanted[:limit]

    def live_orders(self, account: str | None = None) -> list[Order]:
        return [one for one in self.order_rows if not one.at_rest and account in (None, one.account)]

    def positions(self, account: str | None = None) -> list[Position]:
        return [one for one in self.position_rows if account in (None, one.account)]

    def strategy_positions(self, account: str | None = None) -> list[tuple[str, Position]]:
        return [one for one in self.share_rows if account in (None, one[1].account)]

    def executions(self, after: int, limit: int = 1000) -> tuple[list[Execution], int]:
        orders = {order.id: order for order in self.order_rows}
        new = self.fills[after : after + limit]
        return [Execution(orders[one.order_id], one) for one in new], after + len(new)

    def carried(self, after: int = 0, account: str | None = None) -> list[Carried]:
        return []

    def events(self, after: int, limit: int = 1000) -> list[Event]:
        return [event for event in self.chain if event.seq > after][:limit]

    def backlog(self) -> int:
        return len(self.live_orders())

    def trading(self) -> dict[str | None, TradingState]:
        return dict(self.trading_states)

    def trading_records(self) -> dict[str | None, TradingRecord]:
        return {
            name: TradingRecord(state=state, by="admin", at=200.0)
            for name, state in self.trading_states.items()
        }

    def set_trading(self, account: str | None, state: TradingState, by: str, now: float) -> None:
        self.changes.append(("trading", account, state, by, now))
        self.trading_states[account] = state

    def request_cancel(
        self, order_ids: Sequence[str], now: float, by: str, *, waive: bool = False
    ) -> list[Order]:
        self.changes.append(("cancel", tuple(order_ids), by, now))
        for index, order in enumerate(self.order_rows):
            if order.id in order_ids and order.state is State.PLANNED:
                self.order_rows[index] = replace(order, state=State.CANCELED)
            elif order.id in order_ids and not order.at_rest:
                self.order_rows[index] = replace(order, cancel_requested=True)
        return [order for order in self.live_orders() if order.id in order_ids]


def _older(rows: list[tuple[str, R]], before: str | None) -> list[R]:
    ids = [row_id for row_id, _ in rows]
    end = len(rows) if before is None else ids.index(before)
    return [row for _, row in reversed(rows[:end])]


class MemoryJournal(Journal):
    """Answers at once, or never (`hangs`), or with `error`. `interfere` runs just before a change."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.ledger = ledger
        self.hangs = False
        self.error: Exception | None = None
        self.interfere: Callable[[], None] = lambda: None
        self.reads = 0

    async def read(self, query: Callable[[Reader], R], *, within: float = math.inf) -> R:
        self.reads += 1
        return await self._run(lambda: query(cast(Reader, self.ledger)), within)

    async def write(self, operation: Callable[[Ledger], R], *, within: float = 5.0) -> R:
        self.interfere()
        return await self._run(lambda: operation(cast(Ledger, self.ledger)), within)

    async def _run(self, work: Callable[[], R], within: float) -> R:
        with trio.fail_after(within):
            await trio.sleep(math.inf if self.hangs else 0)
        if self.error is not None:
            raise self.error
        return work()
