"""From the configuration's `[exchanges.NAME]` tables to accounts."""

from collections.abc import Callable

import trio

from fks.domain.limits import Breaker, Bucket
from fks.domain.messages import AccountStatus
from fks.domain.settings import AccountSettings, Settings
from fks.domain.venue import Venue
from fks.kernel import Latest
from fks.ledger import Journal, Store
from fks.venues.account import Account, OnCall
from fks.venues.paper import PaperVenue

# A last stop against a flood of orders; the exchange's own, finer limits are kept by its venue.
ORDERS_PER_S, BURST = 200.0, 400.0


async def make_account(
    name: str,
    settings: Settings,
    store: Store,
    journal: Journal,
    *,
    wall: Callable[[], float],
    on_call: OnCall,
) -> Account:
    """Raises Fatal for an account that can never work as it is configured."""
    own = settings.exchanges[name]
    return Account(
        name=name,
        venue=await _venue(name, own, settings, store, wall),
        journal=journal,
        bucket=Bucket(ORDERS_PER_S, BURST),
        breaker=Breaker(own.breaker),
        status=Latest(AccountStatus(account=name, type=own.type, mode=own.mode)),
        on_call=on_call,
        wall=wall,
        patience_s=settings.timeout,
    )


async def _venue(
    name: str, own: AccountSettings, settings: Settings, store: Store, wall: Callable[[], float]
) -> Venue:
    if own.type != "paper":
        # The import costs 45 MB: not for those who only try the daemon on paper.
        from fks.venues.ccxt_venue import CcxtVenue

        return CcxtVenue(
            name,
            own,
            timeout=settings.timeout,
            retry_attempts=settings.retry_attempts,
            retry_delay=settings.retry_delay,
        )
    venue = PaperVenue(name, own, wall=wall, extra_symbols=tuple(settings.symbols.values()))
    history, live = await trio.to_thread.run_sync(
        store.read, lambda ledger: (ledger.account_fills(name), ledger.live_orders(name))
    )
    venue.restore(history, live)
    return venue
