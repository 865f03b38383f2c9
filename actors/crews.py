"""The accounts of the daemon, each with its crew: taken up, woken, asked, changed by a reload, taken down."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import structlog
import trio

from fks.actors.crew import Crew
from fks.actors.trades import Trades
from fks.domain.errors import Fatal, Refusal
from fks.domain.events import Kind, wakes
from fks.domain.messages import AccountStatus, Event, IntentState, Look, Market, Ticker
from fks.domain.outcome import AlertState
from fks.domain.reload import Changes
from fks.domain.settings import Settings
from fks.domain.symbols import SymbolIndex
from fks.infra.metrics import Metrics
from fks.kernel import Latest, Ref
from fks.ledger import Journal, Reader
from fks.venues.account import Account
from fks.venues.accounts import AccountMaker
from fks.venues.outlook import Outlook

DESK_PRICE_AGE_S = 10.0
PAGE = 100  # alerts read at once

log = structlog.get_logger(actor="supervisor")


@dataclass(slots=True)
class Crews:
    """By account. `statuses` and the mailboxes are those of the moment: accounts come and go."""

    journal: Journal
    metrics: Metrics
    settings: Settings
    maker: AccountMaker
    statuses: dict[str, Latest[AccountStatus]] = field(default_factory=dict)
    trades: Trades = field(init=False)
    _crews: dict[str, Crew] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.trades = Trades(self.journal, self.markets)

    # --- who there is

    def all(self) -> Collection[Crew]:
        return self._crews.values()

    def mailboxes(self) -> Iterator[Ref[Look]]:
        return (ref for crew in self._crews.values() for ref in crew.mailboxes.values())

    def wake(self, events: Sequence[Event]) -> None:
        """The journal's fan-out: an offer that finds the mailbox full finds the same wake-up there."""
        for event in events:
            if event.kind == Kind.ALARM and event.account is None:
                continue  # about an alert, not about an account
            accounts = self._crews if event.account is None else (event.account,)
            for actor in wakes(event.kind):
                for account in accounts:
                    if (crew := self._crews.get(account)) is not None:
                        crew.mailboxes[actor].offer(Look())

    async def forgotten(self) -> dict[str, str]:
        """Accounts that the journal still owes something and that nobody works on; what, and what to do."""
        undecided, live = await self.journal.read(_owed)
        return {
            name: f"[exchanges.{name}] is not configured: nobody sends, follows or cancels what the journal"
            f" owes it (undecided alerts: {undecided[name]}, orders not at rest: {live[name]}). Put it back"
            " until they have ended, or look after them on the exchange itself"
            for name in sorted((undecided.keys() | live.keys()) - self._crews.keys())
        }

    # --- what they know

    def index(self, name: str) -> SymbolIndex | None:
        """None: its markets are not loaded, or it is being taken up just now."""
        return self._crews[name].account.index if name in self._crews else None

    def outlook(self, name: str) -> Outlook | None:
        """None: it is being taken up just now."""
        return self._crews[name].outlook if name in self._crews else None

    def markets(self) -> dict[str, Mapping[str, Market]]:
        """Of the accounts that know theirs."""
        return {name: self._crews[name].account.venue.markets() for name in self._crews if self.index(name)}

    async def ticker(self, name: str, symbol: str) -> Ticker:
        """Raises Transient or Refusal."""
        index = self.index(name)
        if index is None:
            raise Refusal("alert.account", f"there is no account {name[:60]!r} with markets", "exchange")
        return await self._account(name).venue.ticker(index.resolve(symbol).symbol)

    async def prices(self, name: str, symbols: Collection[str]) -> dict[str, Decimal]:
        """To look at: of an exchange that did not answer last time, nobody waits for a price."""
        if self.index(name) is None or not self._account(name).status.get().reachable:
            return {}
        return await self._account(name).quotes.all(symbols, DESK_PRICE_AGE_S)

    def _account(self, name: str) -> Account:
        return self._crews[name].account

    # --- how they come and go

    async def enlist(self, actors: trio.Nursery, name: str) -> None:
        """Take the account up. Raises Fatal for one that can never work as it is configured."""
        account = await self.maker.make(name)
        crew = Crew(account, self.settings, self.trades, self.metrics)
        self._crews[name], self.statuses[name] = crew, account.status
        self.metrics.expect(name, [ref.name for ref in crew.mailboxes.values()])
        actors.start_soon(crew.run)

    async def use(self, settings: Settings, found: Changes, actors: trio.Nursery) -> None:
        """Return when what was added or changed is up. What was removed goes when it owes nothing."""
        self.settings = settings
        self.maker.use(settings)
        for name in found.removed:
            actors.start_soon(self._dismiss, self._crews[name])
        for name, crew in self._crews.items():
            if name in settings.exchanges and name not in found.anew:
                crew.use(settings)
        async with trio.open_nursery() as changed:
            for name in (*found.anew, *found.added):
                changed.start_soon(self._take_up, actors, name)

    async def _take_up(self, actors: trio.Nursery, name: str) -> None:
        """Added, or with another exchange, key or market: what the account owes, the ledger says."""
        if name in self._crews:
            await self._stand_down(self._crews[name])
        try:
            await self.enlist(actors, name)
        except Fatal as error:  # it was tried out, but files may change: as with an account that fails
            log.error("account_not_taken_up", account=name, reason=str(error))  # noqa: TRY400 - the reason says it

    async def _dismiss(self, crew: Crew) -> None:
        """No alert reaches it any more; it goes when all that it owes has come to rest."""
        log.info("account_leaving", account=crew.account.name, then="its orders are followed to their end")
        await crew.finish()
        if self._crews.get(crew.account.name) is crew:
            await self._stand_down(crew)

    async def _stand_down(self, crew: Crew) -> None:
        name = crew.account.name
        await crew.stop(self.settings.server.drain_s)
        if self._crews.get(name) is crew:
            del self._crews[name], self.statuses[name]
            self.metrics.forget(name)
        log.info("account_taken_down", account=name)


def _owed(ledger: Reader) -> tuple[Counter[str], Counter[str]]:
    """By account: alerts without a decision, and orders that are not at rest."""
    undecided, before = Counter[str](), None
    while page := ledger.alerts(state=AlertState.ACCEPTED, limit=PAGE, before=before):
        before = page[-1]["id"]
        intents = (one for row in page for one in ledger.intents_of(row["id"]))
        undecided.update(one.account for one in intents if one.state is IntentState.ACCEPTED)
    return undecided, Counter(order.account for order in ledger.live_orders())
