"""The embedded exchange: a `Venue` whose other side is this process.

It has no memory of its own: after a restart it is rebuilt from the journal, which holds every fill that
anyone was told of. Nothing in it is random, so it takes no seed: the same calls give the same reports.

What the journal does not hold is gone: marks begin at the last fills, candles anew, the book of the others
is full again, and funding of the past is reckoned at the prices of the fills. A position that fell below its
maintenance margin unnoticed is liquidated at the next mark.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal

import trio

from fks.domain.errors import Misconfigured, Transient
from fks.domain.messages import Balance, Carried, Fill, Market, Order, Position, Report, Ticker
from fks.domain.orders import OrderType
from fks.domain.settings import AccountSettings
from fks.domain.venue import Features
from fks.venues.paper_account import market_of
from fks.venues.paper_book import PaperBook
from fks.venues.paper_order import slipped

Tell = Callable[[str, Decimal], object]
Feed = Callable[[Tell], Awaitable[None]]
"""Tells the market's prices, by symbol, for as long as it has some."""


class PaperVenue:
    """One paper account. Every request is whole or has not happened: none is cancelled half-way."""

    # A look-up sees everything at once and nothing is under way, so an absent order was never placed.
    features = Features(
        order_types=frozenset(one.value for one in OrderType),
        attached_protection=True,
        oco=True,
        window_s=0.0,
        lag_s=0.0,
        leverage=1,
    )

    def __init__(
        self,
        name: str,
        settings: AccountSettings,
        *,
        wall: Callable[[], float],
        extra_symbols: Collection[str] = (),
        feed: Feed | None = None,
    ) -> None:
        """`wall` gives UTC seconds. Of `extra_symbols`, those it has no kind of market for are left out.

        What `feed` tells moves the marks; then alerts' prices no longer do.

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
        self._feed = feed
        self._fed: set[str] = set()  # symbols whose prices the market itself tells
        self._book = self._new_book()
        self._seen = self._book.changes
        self._changed = trio.Event()

    def _new_book(self) -> PaperBook:
        try:
            return PaperBook(self._settings, self._symbols)
        except ValueError as error:
            raise Misconfigured(f"[exchanges.{self._name}]: {error}; correct prices or symbols") from None

    def restore(
        self, history: Sequence[tuple[Order, Fill]], live: Sequence[Order], carried: Sequence[Carried] = ()
    ) -> None:
        """Start anew from the journal: the account's fills, what is carried of them, and its orders that are
        not at rest.
        """
        self._book = self._new_book()
        self._book.restore(history, live, self._wall(), carried)
        self._seen = self._book.changes
        self._changed.set()

    async def open(self) -> None:
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()

    def markets(self) -> Mapping[str, Market]:
        return self._book.markets

    async def refresh_markets(self) -> None:
        """The list stays as it is; whoever waits here lends the feed its life."""
        if self._feed is not None:
            await self._feed(self.tell)
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
        """What is not realised is in `gains`, not in `total`; of it, `free` lacks what is lost."""
        await trio.lowlevel.checkpoint()
        self._book.pass_time(self._wall())
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
        half, tick = self._settings.slippage_bps / 2, self._book.markets[symbol].price_tick
        return Ticker(
            symbol=symbol,
            last=mark,
            bid=slipped(mark, half, tick, buying=False),
            ask=slipped(mark, half, tick, buying=True),
            time=self._wall(),
        )

    async def candles(self, symbol: str, timeframe: str, limit: int) -> Sequence[Sequence[float | None]]:
        """Of the marks since the start of the process."""
        await trio.lowlevel.checkpoint()
        return self._book.candles.of(symbol, timeframe, limit)

    def hint(self, symbol: str, price: Decimal) -> None:
        """Move the mark, and fill what it meets; unless the market itself tells the symbol's price."""
        if symbol not in self._fed:
            self._move(symbol, price)

    def tell(self, symbol: str, price: Decimal, *, gap: bool = True) -> bool:
        """The market's own price: from now on alerts' prices do not move it. Whether an order has changed.

        Without a `gap` the price has been everywhere between the last one and this.
        """
        self._fed.add(symbol)
        return self._move(symbol, price, gap=gap)

    def _move(self, symbol: str, price: Decimal, *, gap: bool = True) -> bool:
        move = self._book.hint if gap else self._book.glide
        move(symbol, price, self._wall())
        return self._notify()

    def imposed(self) -> Sequence[tuple[Order, Report]]:
        """The liquidations of this life: nobody placed them, and the book must learn of them."""
        reports = [self._book.find(order.client_order_id) for order in self._book.imposed]
        return [(order, report) for order, report in zip(self._book.imposed, reports, strict=True) if report]

    def equity(self, quote: str) -> Decimal:
        """In `quote`, everything at its mark."""
        return self._book.equity(quote)

    def low_hurts(self, symbol: str) -> bool | None:
        """See PaperBook; None for a symbol without a market."""
        return self._book.low_hurts(symbol) if symbol in self._book.markets else None

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as an order has changed since the last return."""
        with trio.move_on_after(seconds):
            await self._changed.wait()
        self._changed = trio.Event()

    def _notify(self) -> bool:
        changed = self._book.changes != self._seen
        if changed:
            self._seen = self._book.changes
            self._changed.set()
        return changed
