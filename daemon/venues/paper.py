"""The embedded exchange: a `Venue` whose other side is this process.

It has no memory of its own: after a restart it is rebuilt from the journal, which holds every fill that
anyone was told of. Nothing in it is random, so it takes no seed: the same calls give the same reports.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal

import trio

from fks.domain.errors import Misconfigured, Transient
from fks.domain.messages import Balance, Fill, Market, Order, Position, Report, Ticker
from fks.domain.orders import OrderType
from fks.domain.settings import AccountSettings
from fks.domain.venue import Features
from fks.venues.paper_account import market_of
from fks.venues.paper_book import PaperBook
from fks.venues.paper_order import slipped


class PaperVenue:
    """One paper account. Every request is whole or has not happened: none is cancelled half-way."""

    # A look-up sees everything at once and nothing is under way, so an absent order was never placed.
    features = Features(
        order_types=frozenset(one.value for one in OrderType),
        attached_protection=True,
        oco=True,
        window_s=0.0,
        lag_s=0.0,
    )

    def __init__(
        self,
        name: str,
        settings: AccountSettings,
        *,
        wall: Callable[[], float],
        extra_symbols: Collection[str] = (),
    ) -> None:
        """`wall` gives UTC seconds. Of `extra_symbols`, those it has no kind of market for are left out.

        Raises Fatal for a configured symbol that it cannot trade.
        """
        self._name = name
        self._settings = settings
        self._wall = wall
        symbols = dict.fromkeys((*settings.prices, *settings.symbols))
        for symbol in extra_symbols:
            with suppress(ValueError):
                symbols[market_of(symbol, settings).symbol] = None
        self._symbols = tuple(symbols)
        self._book = self._new_book()
        self._seen = self._book.changes
        self._changed = trio.Event()

    def _new_book(self) -> PaperBook:
        try:
            return PaperBook(self._settings, self._symbols)
        except ValueError as error:
            raise Misconfigured(f"[exchanges.{self._name}]: {error}; correct prices or symbols") from None

    def restore(self, history: Sequence[tuple[Order, Fill]], live: Sequence[Order]) -> None:
        """Start anew from the journal: the account's fills, and its orders that are not at rest."""
        self._book = self._new_book()
        self._book.restore(history, live, self._wall())
        self._seen = self._book.changes
        self._changed.set()

    async def open(self) -> None:
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()

    def markets(self) -> Mapping[str, Market]:
        return self._book.markets

    async def refresh_markets(self) -> None:
        await trio.sleep_forever()

    def busy_for(self) -> float:
        return 0.0

    async def place(self, order: Order, legs: Sequence[Order], at: float) -> Sequence[Report]:  # noqa: ARG002 - no request travels, so none is late
        await trio.lowlevel.checkpoint()  # before, so that a cancelled request never has a lost reply
        reports = self._book.place(order, legs, self._wall())
        self._notify()
        return reports

    async def cancel(self, order: Order) -> Report | None:
        await trio.lowlevel.checkpoint()
        report = self._book.cancel(order.client_order_id, self._wall())
        self._notify()
        return report

    async def find(self, order: Order) -> Report | None:
        await trio.lowlevel.checkpoint()
        return self._book.find(order.client_order_id)

    async def open_orders(self) -> Sequence[Report]:
        """Protective legs that wait for their entry included."""
        await trio.lowlevel.checkpoint()
        return self._book.open_orders()

    async def balance(self) -> Balance:
        """Profit that is not realised is neither in `free` nor in `total`."""
        await trio.lowlevel.checkpoint()
        return self._book.balance()

    async def positions(self) -> Sequence[Position]:
        await trio.lowlevel.checkpoint()
        return self._book.account.positions(self._name)

    async def ticker(self, symbol: str) -> Ticker:
        """The mark, with bid and ask half the slippage away. Raises Transient while there is no mark."""
        await trio.lowlevel.checkpoint()
        mark = self._book.marks.get(symbol)
        if mark is None or symbol not in self._book.markets:
            what = f"the paper exchange has no price for {symbol}"
            raise Transient(f"{what}: configure prices or send a price in the alert")
        half, tick = self._settings.slippage_bps / 2, self._settings.price_tick
        return Ticker(
            symbol=symbol,
            last=mark,
            bid=slipped(mark, half, tick, buying=False),
            ask=slipped(mark, half, tick, buying=True),
            time=self._wall(),
        )

    def hint(self, symbol: str, price: Decimal) -> None:
        """Move the mark, and fill what it meets."""
        self._book.hint(symbol, price, self._wall())
        self._notify()

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as an order has changed since the last return."""
        with trio.move_on_after(seconds):
            await self._changed.wait()
        self._changed = trio.Event()

    def _notify(self) -> None:
        if self._book.changes != self._seen:
            self._seen = self._book.changes
            self._changed.set()
