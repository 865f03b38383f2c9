"""The line to the exchange: what is lost, late, answered too late, or never answered on the way."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import trio

from fks.domain.errors import NotSent, PlacementError, Throttled, Transient, Unknown
from fks.domain.messages import Balance, Market, Order, Position, Report, Ticker
from fks.domain.orders import OrderType
from fks.domain.venue import Features
from simulation.book import Book
from simulation.world import LAG_S, WINDOW_S, Dead, World

T = TypeVar("T")

FATES = ("fine", "cut", "silent", "lost", "late", "limited", "unsent", "throttled")
WEIGHTS = (62, 9, 4, 6, 8, 4, 5, 2)
TIMEOUT_S = 4.5  # the line's own, on every request; the exchange actor's patience ends sooner


class SimVenue:
    """One life's connection. A request that has left is delivered whatever becomes of its sender."""

    def __init__(self, book: Book, life: Any) -> None:
        self._world: World = book.world
        self._book = book
        self._life = life
        self._busy_until = 0.0
        self._opened = False
        kinds = frozenset((OrderType.MARKET, OrderType.LIMIT, OrderType.STOP))
        self.features = Features(
            order_types=kinds,
            attached_protection=book.attached,
            window_s=WINDOW_S if book.fenced else None,
            lag_s=LAG_S,
        )

    async def open(self) -> None:
        await self._ask(lambda: None)
        self._opened = True

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()

    def markets(self) -> Mapping[str, Market]:
        return {self._book.market.symbol: self._book.market} if self._opened else {}

    async def refresh_markets(self) -> None:
        await trio.sleep_forever()

    def busy_for(self) -> float:
        return max(0.0, self._busy_until - trio.current_time())

    # --- questions

    async def _ask(self, answer: Callable[[], T]) -> T:
        world = self._world
        await trio.sleep(world.between(0.005, 0.15))
        if world.chance(0.05):
            raise Transient("simulated silence")
        answered = answer()
        if world.chance(0.3):  # and the answer grows old on its way
            await trio.sleep(world.between(0.0, 0.6))
        return answered

    async def find(self, order: Order) -> Report | None:
        def look() -> Report | None:
            record = self._book.find(order.client_order_id)
            return self._book.report(record) if record else None

        return await self._ask(look)

    async def open_orders(self) -> Sequence[Report]:
        book, now = self._book, trio.current_time()
        alive = [one for one in book.records if one.alive and one.seen_from <= now]
        return await self._ask(lambda: [book.report(one) for one in alive])

    async def balance(self) -> Balance:
        return await self._ask(lambda: self._book.shown()[0])

    async def positions(self) -> Sequence[Position]:
        book = self._book
        if not book.swap:
            return ()
        return await self._ask(
            lambda: (Position(account=book.name, symbol=book.market.symbol, amount=book.shown()[1]),)
        )

    async def ticker(self, symbol: str) -> Ticker:
        if not self._world.healthy and trio.current_time() < self._book.priceless_until:
            raise Transient("simulated silence about prices")
        return await self._ask(lambda: Ticker(symbol, self._world.price))

    def imposed(self) -> Sequence[tuple[Order, Report]]:
        return ()

    def hint(self, symbol: str, price: Decimal) -> None: ...

    async def wait(self, seconds: float) -> None:
        early = self._world.chance(0.05)
        await trio.sleep(self._world.between(0.1, seconds) if early else seconds)

    # --- requests

    async def place(self, order: Order, legs: Sequence[Order], at: float) -> Sequence[Report]:
        if not self._life.alive:
            raise Dead
        self._life.before_placement(order, legs)
        return await self._request(order, "place", lambda: self._book.place(order, legs, at))

    async def cancel(self, order: Order) -> Report | None:
        if not self._life.alive:
            raise Dead
        return await self._request(order, "cancel", lambda: self._book.cancel(order))

    async def _request(self, order: Order, what: str, act: Callable[[], T]) -> T:
        world = self._world
        fate = "fine" if world.healthy else world.random.choices(FATES, WEIGHTS)[0]
        world.note("network", f"{what} {fate}", order=order.client_order_id)
        out, back = world.between(0.01, 0.2), world.between(0.005, 0.1)
        if fate in ("limited", "unsent", "throttled"):
            await trio.sleep(out)
            raise self._not_taken(fate)
        if fate == "late":
            out = world.between(0.5, 2.5 * WINDOW_S)
        outcome: list[T | PlacementError] = []
        answered = trio.Event()

        async def deliver() -> None:
            await trio.sleep(out)
            try:
                outcome.append(act())
            except PlacementError as no:
                outcome.append(no)
            await trio.sleep(back)
            answered.set()

        if fate != "lost":
            world.nursery.start_soon(deliver)
        world.occasion("send")
        if fate == "silent" or (fate == "lost" and world.chance(0.5)):
            await trio.sleep(TIMEOUT_S)
            raise Unknown("no answer")
        if fate in ("cut", "lost") or (fate == "late" and world.chance(0.7)):
            await trio.sleep(world.between(0.0, 1.5 * (0.2 + back)))
            raise Unknown("connection reset")
        await answered.wait()
        world.occasion("answered")
        if isinstance(outcome[0], PlacementError):
            raise outcome[0]
        return outcome[0]

    def _not_taken(self, fate: str) -> NotSent:
        if fate == "unsent":
            return NotSent("connection refused")
        wait = self._world.between(0.2, 2.5)
        if fate == "throttled":
            return Throttled("our own limit", retry_after=wait)
        self._busy_until = trio.current_time() + wait
        return NotSent("too many requests", retry_after=wait)
