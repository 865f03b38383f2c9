"""One account's actors around a fake exchange and the real ledger, wired as the supervisor wires them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import trio

from fakes import FakeMeter, FakeVenue, InlineJournal, wall
from fks.actors.exchange import Exchange
from fks.actors.follower import Follower
from fks.actors.guard import Guard
from fks.actors.sizing import Sizing
from fks.actors.trades import Trades
from fks.domain import ids
from fks.domain.alerts import Alert, parse_alert
from fks.domain.events import Kind, wakes
from fks.domain.limits import Breaker, BreakerRules, Bucket
from fks.domain.messages import AccountStatus, Event, Intent, Look, NewAlert, Order
from fks.domain.settings import RiskSettings, SizingSettings, StrategySettings
from fks.domain.venue import Venue
from fks.kernel import Latest, Ref, mailbox, sustain
from fks.venues.account import Account
from fks.venues.outlook import Outlook


class Rig:
    """`start` begins a life of the actors, `crash` ends it; the ledger and the exchange go on.

    There is no reconciler: `agrees` says in its place that the exchange holds what the book says.
    """

    def __init__(
        self,
        folder: Path,
        venue: Venue,
        *,
        limits: RiskSettings | None = None,
        sizing: SizingSettings | None = None,
        breaker: BreakerRules | None = None,
        patience_s: float = 30.0,
        strategies: dict[str, StrategySettings] | None = None,
        agrees: bool = True,
    ) -> None:
        self.journal = InlineJournal(folder / "fks.db")
        self.venue = venue
        self.account = Account(
            name="main",
            venue=venue,
            journal=self.journal,
            bucket=Bucket(100.0, 100.0),
            breaker=Breaker(breaker or BreakerRules()),
            status=Latest(AccountStatus(account="main", type="fake")),
            meter=FakeMeter(),
            wall=wall,
            patience_s=patience_s,
        )
        trades = Trades(self.journal, dict)
        self.outlook = Outlook(
            self.account, sizing or SizingSettings(), limits or RiskSettings(), trades, strategies or {}
        )
        self.agrees = agrees
        self.unprotected = 0.0  # seconds, as the guard told last
        self.life: trio.CancelScope | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Rig"]:
        async with trio.open_nursery() as nursery:
            self.start(nursery)
            yield self
            nursery.cancel_scope.cancel()
        self.journal.store.close()

    def start(self, nursery: trio.Nursery) -> None:
        self.life = trio.CancelScope()
        nursery.start_soon(self._live, self.life)

    def crash(self) -> None:
        assert self.life is not None
        self.life.cancel()
        self.account.tell(ready=False, connected=False)
        self.account.ended.clear()

    async def _live(self, scope: trio.CancelScope) -> None:
        boxes = {name: mailbox(name, 1, Look) for name in ("exchange", "sizing", "follower", "guard")}

        def wake(events: Sequence[Event]) -> None:
            for event in events:
                for actor in wakes(event.kind) & boxes.keys():
                    boxes[actor][0].offer(Look())

        self.journal.observers = [wake]
        makers: dict[str, Any] = {
            "exchange": lambda tasks: Exchange(tasks, self.account, {}),
            "sizing": lambda tasks: Sizing(tasks, self.outlook),
            "follower": lambda tasks: Follower(tasks, self.account),
            "guard": lambda tasks: Guard(tasks, self.account, self.outlook.limits, self._note),
        }
        actors: dict[str, Any] = {
            "exchange": Exchange,
            "sizing": Sizing,
            "follower": Follower,
            "guard": Guard,
        }
        with scope:
            async with trio.open_nursery() as nursery:
                if self.agrees:
                    nursery.start_soon(self._agree, boxes["exchange"][0])
                for name, (_, inbox) in boxes.items():
                    nursery.start_soon(sustain, makers[name], inbox, actors[name].RESTART, self.account.fail)

    async def _agree(self, exchange: Ref[Look]) -> None:
        while True:
            status = await self.account.status.changed()
            if status.resolved and not status.ready:
                self.account.tell(ready=True, reason="")
                exchange.offer(Look())

    def _note(self, _account: str, seconds: float) -> None:
        self.unprotected = seconds

    async def send(self, **fields: Any) -> str:
        """Accept an alert as the front would; return its id."""
        new = new_alert(**fields)
        await self.journal.write(lambda ledger: ledger.accept(new))
        return new.id

    async def orders(self, alert_id: str | None = None) -> list[Order]:
        found: list[Order]
        if alert_id is None:
            found = await self.journal.read(lambda ledger: ledger.orders(limit=1000))
        else:
            found = await self.journal.read(lambda ledger: ledger.orders_of(alert_id))
        return found

    async def intent(self, alert_id: str) -> Intent:
        """The alert's only one."""
        (intent,) = await self.journal.read(lambda ledger: ledger.intents_of(alert_id))
        found: Intent = intent
        return found

    async def cancel(self, order: Order, *, waive: bool = False) -> None:
        """As the desk does; with `waive`, as a human who wants its stop away."""
        await self.journal.write(
            lambda ledger: ledger.request_cancel([order.id], wall(), "test", waive=waive)
        )

    def alarms(self) -> list[dict[str, Any]]:
        """What each has told, oldest first."""
        return [event.data for event in self.journal.events if event.kind == Kind.ALARM]

    def alarm_codes(self) -> list[str]:
        return [told["code"] for told in self.alarms()]

    async def only(self) -> Order:
        """The one order there is."""
        (order,) = await self.orders()
        return order


def new_alert(**fields: Any) -> NewAlert:
    raw = {"symbol": "BTC/USDT", "action": "buy", "amount": Decimal("0.01"), **fields}
    age = raw.pop("age", 0.0)
    given = {name: value for name, value in raw.items() if value is not None}
    alert: Alert = parse_alert({"id": str(len(raw)), **given})
    key = ids.alert_key(alert, ("main",))
    return NewAlert(
        id=ids.alert_id(key),
        key=key,
        digest=ids.digest(raw),
        source="test",
        alert=alert,
        body=raw,
        accounts=("main",),
        received_at=wall(),
        good_until=wall() - age + 300.0,
    )


async def until(condition: Any, within: float = 600.0) -> None:
    """Wait, in virtual time, for an async condition."""
    with trio.fail_after(within):
        while not await condition():  # noqa: ASYNC110 - nobody could set an event
            await trio.sleep(0.1)


__all__ = ["FakeVenue", "Rig", "new_alert", "until"]
