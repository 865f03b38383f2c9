"""Fakes for the actors' tests: a scripted exchange, and the real ledger without its thread."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import trio

from fks.domain.errors import Transient, Unknown
from fks.domain.messages import Balance, Event, Market, Order, Position, Report, Ticker
from fks.domain.orders import OrderType, State
from fks.domain.venue import Features
from fks.infra.ledger_sqlite import SqliteStore
from fks.ledger import Journal, Ledger, Reader

EPOCH = 1_790_000_000.0
BTC = Market(
    symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT", amount_step=Decimal("0.001"),
    price_tick=Decimal("0.01"), min_amount=Decimal("0.001"), min_notional=Decimal(5),
)  # fmt: skip
ETH = Market(
    symbol="ETH/USDT", id="ETHUSDT", base="ETH", quote="USDT", amount_step=Decimal("0.001"),
    price_tick=Decimal("0.01"), min_amount=Decimal("0.001"), min_notional=Decimal(5),
)  # fmt: skip


def wall() -> float:
    """Wall time on the mock clock."""
    return EPOCH + trio.current_time()


class FakeMeter:
    """Remembers what it is told, by the name of the measure."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[Any, ...]]] = {}

    def _note(self, name: str, *told: Any) -> None:
        self.told.setdefault(name, []).append(told)

    def exchange_call(self, account: str, endpoint: str, result: str, seconds: float) -> None:
        self._note("exchange_call", account, endpoint, result, seconds)

    def throttled(self, account: str, seconds: float) -> None:
        self._note("throttled", account, seconds)

    def clock_skew(self, account: str, seconds: float) -> None:
        self._note("clock_skew", account, seconds)


class InlineJournal(Journal):
    """Commits in the caller's task: a mock clock would jump over a worker thread's time."""

    def __init__(self, path: Path, clock: Callable[[], float] = wall) -> None:
        self.store = SqliteStore.open(path, wall=clock, durable=False)
        self.observers: list[Callable[[Sequence[Event]], object]] = []
        self.events: list[Event] = []

    async def write(self, operation: Callable[[Ledger], Any], *, within: float = 5.0) -> Any:
        await trio.lowlevel.checkpoint()
        committed = self.store.commit([operation])
        self.events.extend(committed.events)
        for observer in self.observers if committed.events else ():
            observer(committed.events)
        (result,) = committed.results
        if isinstance(result, Exception):
            raise result
        return result

    offer = write

    async def write_all(self, operations: Sequence[Callable[[Ledger], Any]], *, within: float = 5.0) -> None:
        for operation in operations:
            await self.write(operation)

    async def read(self, query: Callable[[Reader], Any], *, within: float = 5.0) -> Any:
        await trio.lowlevel.checkpoint()
        return self.store.read(query)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


class FakeVenue:
    """An exchange with a script: each `place` takes the next step, "fill" when the script is over.

    "fill", "open": as it says. "lost": executed, but the reply never comes. "never": no reply, and nothing
    was executed. "hang": executed, and silence until the caller gives up. An exception is raised.
    """

    def __init__(self, *script: str | Exception, features: Features | None = None) -> None:
        self.script = list(script)
        self.features = features or Features(order_types=frozenset(OrderType), window_s=5.0, lag_s=1.0)
        self.orders: dict[str, Report] = {}
        self.placed: list[tuple[float, Order]] = []
        self.cancelled: list[str] = []
        self.found: list[tuple[float, str]] = []
        self.asked_balance = 0
        self.busy = 0.0  # seconds for which entries must wait
        self.down_until = 0.0  # look-ups get no answer
        self.blind_until = 0.0  # look-ups see nothing
        self.price = Decimal(50_000)
        self.funds = {"USDT": Decimal(100_000), "BTC": Decimal(10)}
        self.rows: list[list[float | None]] = []  # candles: time, open, high, low, close
        self.before_reply: Callable[[Order], None] = lambda _order: None

    async def open(self) -> None:
        await trio.lowlevel.checkpoint()
        if trio.current_time() < self.down_until:
            raise Transient("the exchange is down")

    async def close(self) -> None: ...

    async def refresh_markets(self) -> None:
        await trio.sleep_forever()

    def busy_for(self) -> float:
        return self.busy

    def markets(self) -> Mapping[str, Market]:
        return {"BTC/USDT": BTC, "ETH/USDT": ETH}

    async def place(self, order: Order, legs: Sequence[Order], at: float) -> Sequence[Report]:
        self.placed.append((trio.current_time(), order))
        step = self.script.pop(0) if self.script else "fill"
        await trio.sleep(0.05)
        self.before_reply(order)
        if isinstance(step, Exception):
            raise step
        if step == "never":
            raise Unknown("connection reset")
        rests = step == "open" or order.type in (OrderType.STOP, OrderType.STOP_LIMIT)
        self.put(order, State.OPEN if rests else State.FILLED)
        if step == "hang":
            await trio.sleep_forever()
        if step == "lost":
            raise Unknown("empty reply")
        return [self.orders[order.client_order_id]]

    def put(self, order: Order, state: State, filled: Decimal | None = None) -> None:
        amount = filled if filled is not None else order.amount if state is State.FILLED else Decimal(0)
        self.orders[order.client_order_id] = Report(
            client_order_id=order.client_order_id,
            exchange_order_id=f"x-{order.client_order_id}",
            state=state,
            filled=amount,
            average=(order.price or self.price) if amount else None,
            time=wall(),
        )

    async def cancel(self, order: Order) -> Report | None:
        await trio.sleep(0.05)
        self.cancelled.append(order.client_order_id)
        known = self.orders.get(order.client_order_id)
        if known is None:
            return None
        if known.state in (State.OPEN, State.PARTIAL):
            self.put(order, State.CANCELED, known.filled)
        return self.orders[order.client_order_id]

    async def find(self, order: Order) -> Report | None:
        await trio.sleep(0.01)
        self.found.append((trio.current_time(), order.client_order_id))
        if trio.current_time() < self.down_until:
            raise Transient("no answer")
        if trio.current_time() < self.blind_until:
            return None
        return self.orders.get(order.client_order_id)

    async def open_orders(self) -> Sequence[Report]:
        return [one for one in self.orders.values() if one.state in (State.OPEN, State.PARTIAL)]

    async def balance(self) -> Balance:
        self.asked_balance += 1
        await trio.sleep(0.01)
        return Balance(free=dict(self.funds), total=dict(self.funds))

    async def positions(self) -> Sequence[Position]:
        return ()

    async def ticker(self, symbol: str) -> Ticker:
        await trio.sleep(0.01)
        return Ticker(symbol, self.price)

    async def candles(self, symbol: str, timeframe: str, limit: int) -> Sequence[Sequence[float | None]]:
        return self.rows[-limit:]

    def imposed(self) -> Sequence[tuple[Order, Report]]:
        return ()

    def hint(self, symbol: str, price: Decimal) -> None: ...

    async def wait(self, seconds: float) -> None:
        await trio.sleep(seconds)
