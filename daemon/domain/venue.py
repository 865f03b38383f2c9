"""What the daemon needs of an exchange account. `paper` and `ccxt_venue` implement it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from fks.domain.messages import Balance, Market, Order, Position, Report, Ticker
from fks.domain.orders import OrderType


class Features(Struct, frozen=True, kw_only=True):
    """What this account can do, asked of the exchange's own description rather than of a list of names.

    `window_s`: the exchange itself refuses a request whose timestamp is older than this; None when it
    has no such fence, and then an unknown order can never be proven "not placed".
    `lag_s`: how long an executed order may be invisible to look-ups.
    `attached_protection`: all legs travel with their entry, and the exchange links them from then on.
    `attached_stop`: a market entry's stop loss travels with it; once it is there it is an order like others.
    `leverage`: what an entry in a contract has that names none; None: whatever is set at the exchange.
    """

    order_types: frozenset[str] = frozenset({"market", "limit"})
    attached_protection: bool = False
    attached_stop: bool = False
    oco: bool = False
    window_s: float | None = None
    lag_s: float = 0.0
    leverage: int | None = None

    def carries_stop(self, entry: Order) -> bool:
        """Only one that is filled at once: the stop comes to life when nothing of it is left to fill."""
        return self.attached_stop and entry.type is OrderType.MARKET and not entry.reduce_only


class Venue(Protocol):
    """One account on one exchange.

    `place` and `cancel` raise NotSent, Rejected or Unknown; every other method raises Transient when
    there was no answer. All may raise Fatal (credentials are wrong: a human must act).
    """

    features: Features

    async def open(self) -> None:
        """Connect, load the markets, learn the clock's offset. Raises Transient."""

    async def close(self) -> None: ...

    def markets(self) -> Mapping[str, Market]:
        """By unified symbol; empty until `open` has returned."""
        ...

    async def refresh_markets(self) -> None:
        """Return when `markets` has become another: hourly, or after an order that it should have prevented.

        Whoever runs it in a loop keeps the list fresh. An exchange that does not answer is asked again.
        """

    def busy_for(self) -> float:
        """Seconds for which an entry would have to wait for the rate limit or the end of a ban; 0: it may go.

        To be asked before an entry is claimed: a claim's time runs out while its request waits.
        """
        ...

    async def place(self, order: Order, legs: Sequence[Order], at: float) -> Sequence[Report]:
        """Send `order` once, with the attached protective `legs` (only where `features` allow them).

        `at` is the wall time that the request's own timestamp must carry, so that the fence holds.
        Reports may cover the entry alone or also its legs.
        """
        ...

    async def cancel(self, order: Order) -> Report | None:
        """Ask for the order's end. None: accepted, its final state is to be asked for."""
        ...

    async def find(self, order: Order) -> Report | None:
        """Look the order up by every route there is, trades included. None: nowhere to be seen."""
        ...

    async def open_orders(self) -> Sequence[Report]:
        """All that is open on this account, ours and foreign."""
        ...

    async def balance(self) -> Balance: ...

    async def positions(self) -> Sequence[Position]:
        """The exchange's own positions; empty on spot accounts."""
        ...

    async def ticker(self, symbol: str) -> Ticker: ...

    async def candles(self, symbol: str, timeframe: str, limit: int) -> Sequence[Sequence[float | None]]:
        """The newest `limit` candles or fewer, oldest first, the one that is not over included.

        Rows begin with time (UTC seconds at which it opened), open, high, low, close. Empty where the
        exchange has none of that timeframe (`15m`, `1h`, `1d`).
        """
        ...

    def imposed(self) -> Sequence[tuple[Order, Report]]:
        """What the exchange did to the account without an order of ours, since `open`; told again each time.

        Only the paper exchange tells its liquidations so; elsewhere they are a drift to be reported.
        """
        ...

    def hint(self, symbol: str, price: Decimal) -> None:
        """A last price seen elsewhere, in an alert. Only the paper exchange, which has no other, listens."""

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`, or sooner when something on this account may have changed."""
        ...
