"""One life of the daemon: the real supervisor's graph on the simulated machine."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import trio

from fks.actors import supervisor
from fks.actors.journal import JournalActor
from fks.domain.dispatch import is_exit
from fks.domain.errors import Fatal
from fks.domain.limits import BreakerRules
from fks.domain.messages import Order
from fks.domain.orders import Leg, OrderType, State
from fks.domain.secret import Secret
from fks.domain.settings import (
    AccountSettings,
    RiskSettings,
    ServerSettings,
    Settings,
    WebhookSecret,
    WebhookSettings,
)
from fks.infra.config import Loaded
from fks.infra.listeners import Listeners
from fks.infra.metrics import Metrics
from fks.infra.notify_socket import NotifySocket
from fks.kernel import mailbox
from fks.ledger import Journal, Write
from simulation.book import Book
from simulation.disk import Disk, SimStore
from simulation.venue import SimVenue
from simulation.world import WINDOW_S, Dead, Rule, World

SECRET = "a-webhook-secret-of-24-bytes"
LIMIT_NOTIONAL = Decimal(360)  # three and a half coins at the lowest price
MOST_HELD = Decimal("3.7")  # what that buys there
PATIENCE_S, DRAIN_S, FRESH_S = 4.0, 5.0, 30.0
_BREAKER = BreakerRules(window_s=10.0, min_calls=5, failure_threshold=5, cooldown_s=3.0)

Reply = tuple[int, bytes]


@dataclass(slots=True)
class SimDaemon(supervisor.Daemon):
    """The real one, without what only looks on, without signals, and with a door that is called directly."""

    life: Any = None

    async def _serve(self, actors: trio.Nursery, app: Any, name: str, *_rest: Any) -> None:
        if name != "door":
            return
        closed = trio.Event()
        self.closed.append(closed)

        async def door() -> None:
            async with trio.open_nursery() as requests:
                self.life.door = partial(requests.start_soon, self.life.handle, app)
                try:
                    await self.stopping.wait()
                finally:
                    self.life.door = None
            closed.set()

        actors.start_soon(door)

    async def _observe(self, *_actor: Any) -> None:
        """The audit's and the metrics' actors change nothing."""

    async def _obey_signals(self, *_of: Any) -> None:
        """`Life.stop` is the signal."""


class Life:
    """From a start to a crash or a clean stop. Dead, it reaches neither disk nor exchange nor sender."""

    def __init__(
        self,
        world: World,
        disk: Disk,
        books: dict[str, Book],
        make_venue: type[SimVenue] = SimVenue,
    ) -> None:
        self.world = world
        self.disk = disk
        self.books = books
        self.alive = True
        self.door: Callable[..., None] | None = None
        self.store = SimStore(disk, self)
        self.make_venue = make_venue
        self._scope = trio.CancelScope()
        self._waiting: list[trio.Event] = []  # senders without an answer
        self.daemon: SimDaemon | None = None

    async def run(self) -> None:
        """Return when the process has ended, whatever ended it."""
        ref, inbox = mailbox("journal", JournalActor.MAILBOX, Write)
        journal = Journal(ref, self.store)
        loaded = Loaded(settings=settings(tuple(self.books)), path=None, state_dir=Path())
        alone = NotifySocket({}, 0)
        self.daemon = SimDaemon(
            loaded, self.store, metrics(), ref, inbox, journal, Listeners((), ()), alone, life=self
        )
        try:
            with self._scope:
                await self.daemon.run(trio.TASK_STATUS_IGNORED)
        except* Dead:
            pass
        except* Fatal as fatal:
            self.world.note("daemon", "gave up", reason=_leaf(fatal))
        except* Exception as error:  # noqa: BLE001 - whatever else ends the process is what is looked for
            if self.alive:  # in a crash anything may have been under way
                self.world.violation(Rule.FELL, "".join(traceback.format_exception(_leaf(error))))
        finally:
            self._end()
            self.store.let_go()

    def crash(self) -> None:
        self.world.crashes += 1
        self.world.note("daemon", "CRASH")
        self._end()
        self._scope.cancel()

    def stop(self) -> None:
        """SIGTERM."""
        self.world.note("daemon", "SIGTERM")
        if self.daemon is not None:
            self.daemon.told.set()

    def _end(self) -> None:
        self.alive = False
        self.door = None
        for sender in self._waiting:
            sender.set()

    # --- the door

    async def post(self, body: bytes) -> Reply | None:
        """The daemon's reply; None when it went away before, or there is nobody."""
        if self.door is None:
            return None
        answer: list[Reply] = []
        answered = trio.Event()
        self._waiting.append(answered)
        self.door(body, answer, answered)
        await answered.wait()
        return answer[0] if answer else None

    async def handle(self, app: Any, body: bytes, answer: list[Reply], answered: trio.Event) -> None:
        scope = {
            "type": "http", "method": "POST", "path": "/webhook", "headers": [], "client": ("127.0.0.1", 1),
        }  # fmt: skip
        started: list[int] = []

        async def receive() -> dict[str, Any]:
            await trio.lowlevel.checkpoint()
            return {"type": "http.request", "body": body}

        async def send(message: dict[str, Any]) -> None:
            if not self.alive:
                raise Dead
            if message["type"] == "http.response.start":
                started.append(message["status"])
                return
            self.world.occasion("reply")
            answer.append((started[0], message["body"]))
            answered.set()

        await app(scope, receive, send)

    # --- the exchange

    def before_placement(self, order: Order, legs: Sequence[Order]) -> None:
        """No placement without a durable intent: what a power cut would leave now must hold the claim."""
        self.world.sent += 1
        window = WINDOW_S if self.books[order.account].fenced else PATIENCE_S
        since, claimed = self.world.halted_since, (order.send_by or 0.0) - window
        if since is not None and claimed > since and not is_exit(order):
            self.world.violation(
                Rule.HALTED, f"{order.leg} {order.id} was claimed {claimed - since:.3f} s later"
            )
        ages = order.leg is Leg.ENTRY and not (order.reduce_only and order.type is OrderType.MARKET)
        if ages and claimed > order.good_until:
            self.world.violation(
                Rule.STALE, f"{order.id} was claimed {claimed - order.good_until:.3f} s late"
            )
        with self.disk.durable(self.store.reader) as known:
            for one in (order, *legs):
                kept = known.order(one.id)
                if kept is None or kept.state is not State.SENDING or kept.amount != one.amount:
                    found = kept and f"{kept.state} for {kept.amount}"
                    self.world.violation(Rule.NO_INTENT, f"{one.leg} {one.id} is on the disk as {found}")


def _leaf(error: BaseException) -> BaseException:
    return _leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def make_venue(maker: Any, name: str, _own: AccountSettings) -> SimVenue:
    """In place of `AccountMaker`'s way to an exchange."""
    life: Life = maker._store.life
    return life.make_venue(life.books[name], life)


@cache
def metrics() -> Metrics:
    """One for all: making them costs more than a run."""
    return Metrics("simulated", 0.0)


@cache
def settings(accounts: tuple[str, ...]) -> Settings:
    return Settings(
        default_exchange=accounts[0],
        timeout=PATIENCE_S,
        server=ServerSettings(drain_s=DRAIN_S, admin_token=Secret("x" * 32)),
        webhook=WebhookSettings(
            secrets=(WebhookSecret(secret=Secret(SECRET), name="simulated"),), max_age_s=FRESH_S
        ),
        risk=RiskSettings(max_position_notional=LIMIT_NOTIONAL, max_price_deviation=Decimal("0.1")),
        exchanges={name: AccountSettings(type="simulated", breaker=_BREAKER) for name in accounts},
    )
