"""One account's five actors, in a nursery of their own: taken down, or rebuilt, while all others go on."""

from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import trio

from fks.actors.exchange import Exchange
from fks.actors.follower import Follower
from fks.actors.guard import Guard
from fks.actors.reconciler import Reconciler
from fks.actors.sizing import Sizing
from fks.domain.messages import Look
from fks.domain.orders import State
from fks.domain.settings import Settings
from fks.domain.symbols import SymbolIndex
from fks.domain.trades import TripQuery, Trips
from fks.kernel import Inbox, Make, Ref, Restart, mailbox, sustain
from fks.ledger import Reader
from fks.venues.account import Account
from fks.venues.outlook import Outlook

POLL_S = 0.05  # the ledger cannot set an event
CLOSE_S = 5.0


class Told(Protocol):
    """What the metrics hear of an account's actors."""

    def drift(self, account: str, symbol: str, difference: float, /) -> None: ...
    def unprotected(self, account: str, seconds: float, /) -> None: ...
    def restarted(self, actor: str, /) -> None: ...


@dataclass(slots=True)
class Crew:
    """Who works on `account` by `settings`. A crash of one of them is contained in the account: failing too
    often closes it to entries, and the actor goes on at a slower pace, because what is open must still be
    canceled and closed.
    """

    DECIDES: ClassVar = ("sizing", "reconciler", "guard")  # by settings, and sends nothing itself

    account: Account
    settings: Settings
    trades: Callable[[TripQuery], Awaitable[Trips]]
    told: Told
    mailboxes: dict[str, Ref[Look]] = field(init=False, default_factory=dict)
    outlook: Outlook = field(init=False)
    _inboxes: dict[str, Inbox[Look]] = field(init=False, default_factory=dict)
    _lives: dict[str, trio.CancelScope] = field(init=False, default_factory=dict)
    _all: trio.CancelScope = field(init=False, default_factory=trio.CancelScope)
    _ended: trio.Event = field(init=False, default_factory=trio.Event)

    def __post_init__(self) -> None:
        self.outlook = Outlook.of(self.account, self.settings, self.trades)
        for actor in self._makers():
            # one wake-up waits: a second would say nothing new
            name = f"{actor}/{self.account.name}"
            self.mailboxes[actor], self._inboxes[actor] = mailbox(name, 1, Look)

    def _makers(self) -> dict[str, tuple[Make[Look], Restart]]:
        account, risk, told = self.account, self.outlook.limits, self.told
        outlook, reduces = self.outlook, risk.on_position_drift == "reduce"
        return {
            "exchange": (lambda tasks: Exchange(tasks, account, self.settings.symbols), Exchange.RESTART),
            "sizing": (lambda tasks: Sizing(tasks, outlook), Sizing.RESTART),
            "follower": (lambda tasks: Follower(tasks, account), Follower.RESTART),
            "reconciler": (
                lambda tasks: Reconciler(tasks, account, told.drift, reduces, self._send_entries),
                Reconciler.RESTART,
            ),
            "guard": (lambda tasks: Guard(tasks, account, risk, told.unprotected), Guard.RESTART),
        }

    def _send_entries(self) -> None:
        """What was planned before the account was ready."""
        self.mailboxes["exchange"].offer(Look())

    async def run(self) -> None:
        try:
            with self._all:
                async with trio.open_nursery() as nursery:
                    for actor in self._inboxes:
                        nursery.start_soon(self._keep, actor)
        finally:
            self._ended.set()

    async def _keep(self, actor: str) -> None:
        """The actor under supervision; rebuilt by the settings of the moment when its life is cancelled."""
        while True:
            make, policy = self._makers()[actor]
            with trio.CancelScope() as self._lives[actor]:
                inbox, fail = self._inboxes[actor], self.account.fail
                await sustain(make, inbox, policy, fail, on_restart=self.told.restarted)
                return

    def use(self, settings: Settings) -> None:
        """Decide by these from now on. Who decides is rebuilt, as after a crash: the ledger says what is to
        be done. Who sends is not: no request in flight is given up for a limit that has changed.
        """
        self.settings = settings
        self.outlook = Outlook.of(self.account, self.settings, self.trades)
        if self.account.index is not None:
            self.account.index = SymbolIndex(self.account.venue.markets(), settings.symbols)
        for actor in self.DECIDES:
            if actor in self._lives:
                self._lives[actor].cancel()

    async def finish(self) -> None:
        """Return when it has nothing more to decide, send, follow or protect, or was taken down."""
        name = self.account.name

        def owes(ledger: Reader) -> bool:
            return bool(ledger.live_orders(name) or ledger.unsized(name, 1))

        while not self._ended.is_set() and await self.account.journal.read(owes):  # noqa: ASYNC110
            await trio.sleep(1.0)

    async def stop(self, within: float) -> None:
        """Take it down: no more entries, and `within` seconds for what is being sent to be answered. What has
        no answer by then is looked up by whoever takes the account up next.
        """
        account = self.account
        account.tell(ready=False, reason="being taken down")
        with trio.move_on_after(within):
            while await account.journal.read(self._sending):  # noqa: ASYNC110
                await trio.sleep(POLL_S)
        self._all.cancel()
        await self._ended.wait()
        with trio.move_on_after(CLOSE_S):
            await account.venue.close()

    def _sending(self, ledger: Reader) -> bool:
        return sending(ledger, (self.account.name,))


def sending(ledger: Reader, accounts: Container[str]) -> bool:
    """Whether a request of one of these is on its way to an exchange."""
    return any(one.state is State.SENDING and one.account in accounts for one in ledger.live_orders())
