"""From the configuration's `[exchanges.NAME]` tables to accounts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fks.domain.errors import Misconfigured
from fks.domain.limits import Breaker, Bucket
from fks.domain.messages import AccountStatus
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings, Settings
from fks.domain.venue import Venue
from fks.kernel import Latest, in_thread
from fks.ledger import Journal, Store
from fks.venues.account import Account, Meter
from fks.venues.paper import Feed, PaperVenue
from fks.venues.paper_feed import Live, Recorded, recorded

if TYPE_CHECKING:
    from fks.venues.market_table import Shared

# A last stop against a flood of orders; the exchange's own, finer limits are kept by its venue.
ORDERS_PER_S, BURST = 200.0, 400.0

# ccxt wants keys to be there, also of who asks for public prices alone.
_KEYS = ("api_key", "api_secret", "password", "uid", "account_id", "wallet_address", "private_key", "token")
_NO_KEY = Secret("none")


def try_out(name: str, settings: Settings) -> None:
    """Make the account's venue and throw it away; nobody is asked. Raises Misconfigured."""
    own = settings.exchanges[name]
    if own.type == "paper":
        PaperVenue(name, own, wall=lambda: 0.0)
        _recorded(own)
    else:
        _ccxt_venue(name, own, settings)


def impossible_accounts(settings: Settings) -> list[str]:
    """What only an account's own making can tell: keys that its exchange needs, a testnet that it has not."""
    errors = []
    for name in settings.exchanges:
        try:
            try_out(name, settings)
        except Misconfigured as error:
            errors.append(str(error))
    return errors


def only_aliased(own: AccountSettings, settings: Settings) -> tuple[str, ...]:
    """The markets of a paper account that names none itself: those that `[symbols]` leads to. One that does
    has no others: an alias is another name for a market, and does not make one.
    """
    return () if own.prices or own.symbols else tuple(settings.symbols.values())


def _recorded(own: AccountSettings) -> Recorded | None:
    """The account's file of prices. Lines without a symbol are of its only one. Raises Misconfigured."""
    symbols = dict.fromkeys((*own.prices, *own.symbols))
    return (
        recorded(Path(own.ticks), next(iter(symbols)) if len(symbols) == 1 else None) if own.ticks else None
    )


def _ccxt_venue(
    name: str,
    own: AccountSettings,
    settings: Settings,
    shared: "Shared | None" = None,
    meter: Meter | None = None,
) -> Venue:
    # The import costs 45 MB: not for those who only try the daemon on paper.
    from fks.venues.ccxt_venue import CcxtVenue

    return CcxtVenue(
        name,
        own,
        timeout=settings.timeout,
        retry_attempts=settings.retry_attempts,
        retry_delay=settings.retry_delay,
        shared=shared,
        on_wait=partial(meter.throttled, name) if meter else None,
        on_skew=partial(meter.clock_skew, name) if meter else None,
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
        meter: Meter,
    ) -> None:
        """`markets`: the folder in which market lists are kept between two starts."""
        self._settings = settings
        self._store = store
        self._journal = journal
        self._markets = markets
        self._wall = wall
        self._meter = meter
        self._shared: Shared | None = None

    def use(self, settings: Settings) -> None:
        """Make accounts by these from now on."""
        self._settings = settings

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
            meter=self._meter,
            wall=self._wall,
            patience_s=self._settings.timeout,
        )

    def _ccxt(self, name: str, own: AccountSettings) -> Venue:
        from fks.venues.market_table import Shared

        self._shared = self._shared or Shared(self._markets)
        return _ccxt_venue(name, own, self._settings, self._shared, self._meter)

    async def _paper(self, name: str, own: AccountSettings) -> Venue:
        symbols = only_aliased(own, self._settings)
        feed: Feed | None = _recorded(own)
        if own.marks_from:
            keys: dict[str, Any] = dict.fromkeys(_KEYS, _NO_KEY)
            public = AccountSettings(
                type=own.marks_from, market=own.market, base_url=own.base_url, proxy=own.proxy, **keys
            )
            feed = Live(partial(self._ccxt, f"{name}.marks_from", public), lambda: venue.markets())  # noqa: PLW0108 - made below
        venue = PaperVenue(name, own, wall=self._wall, extra_symbols=symbols, feed=feed)
        history, live, carried = await in_thread(
            self._store.read,
            lambda ledger: (
                ledger.account_fills(name),
                ledger.live_orders(name),
                ledger.carried(account=name),
            ),
        )
        venue.restore(history, live, carried)
        return venue
