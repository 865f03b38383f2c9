"""From the configuration's `[exchanges.NAME]` tables to accounts."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from fks.domain.limits import Breaker, Bucket
from fks.domain.messages import AccountStatus
from fks.domain.settings import AccountSettings, Settings
from fks.domain.venue import Venue
from fks.kernel import Latest
from fks.ledger import Journal, Store
from fks.venues.account import Account, OnCall
from fks.venues.paper import PaperVenue

if TYPE_CHECKING:
    from fks.venues.market_table import Shared

# A last stop against a flood of orders; the exchange's own, finer limits are kept by its venue.
ORDERS_PER_S, BURST = 200.0, 400.0


def try_out(name: str, settings: Settings) -> None:
    """Make the account's venue and throw it away; nobody is asked. Raises Misconfigured."""
    own = settings.exchanges[name]
    if own.type == "paper":
        PaperVenue(name, own, wall=lambda: 0.0)
    else:
        _ccxt_venue(name, own, settings, None)


def _ccxt_venue(name: str, own: AccountSettings, settings: Settings, shared: "Shared | None") -> Venue:
    # The import costs 45 MB: not for those who only try the daemon on paper.
    from fks.venues.ccxt_venue import CcxtVenue

    return CcxtVenue(
        name,
        own,
        timeout=settings.timeout,
        retry_attempts=settings.retry_attempts,
        retry_delay=settings.retry_delay,
        shared=shared,
    )


class AccountMaker:
    """Makes the accounts of one daemon, with what those on the same exchange have in common."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        journal: Journal,
        *,
        markets: Path,
        wall: Callable[[], float],
        on_call: OnCall,
    ) -> None:
        """`markets`: the folder in which market lists are kept between two starts."""
        self._settings = settings
        self._store = store
        self._journal = journal
        self._markets = markets
        self._wall = wall
        self._on_call = on_call
        self._shared: Shared | None = None

    async def make(self, name: str) -> Account:
        """Raises Fatal for an account that can never work as it is configured."""
        own = self._settings.exchanges[name]
        return Account(
            name=name,
            venue=await self._paper(name, own) if own.type == "paper" else self._ccxt(name, own),
            journal=self._journal,
            bucket=Bucket(ORDERS_PER_S, BURST),
            breaker=Breaker(own.breaker),
            status=Latest(AccountStatus(account=name, type=own.type, mode=own.mode)),
            on_call=self._on_call,
            wall=self._wall,
            patience_s=self._settings.timeout,
        )

    def _ccxt(self, name: str, own: AccountSettings) -> Venue:
        from fks.venues.market_table import Shared

        self._shared = self._shared or Shared(self._markets)
        return _ccxt_venue(name, own, self._settings, self._shared)

    async def _paper(self, name: str, own: AccountSettings) -> Venue:
        symbols = tuple(self._settings.symbols.values())
        venue = PaperVenue(name, own, wall=self._wall, extra_symbols=symbols)
        history, live = await trio.to_thread.run_sync(
            self._store.read, lambda ledger: (ledger.account_fills(name), ledger.live_orders(name))
        )
        venue.restore(history, live)
        return venue
