"""One seed, from the first alert to the verdict."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import apsw
import structlog
import trio
import trio._core._run as scheduler
from trio.testing import MockClock

from fks.actors import supervisor
from fks.infra import sqlite_file
from fks.ledger import JournalBroken
from fks.venues.accounts import AccountMaker
from simulation.alerts import script
from simulation.book import Book
from simulation.bugs import NONE, Bug
from simulation.disk import Disk, run_sync
from simulation.human import Human
from simulation.life import MOST_HELD, Life, make_venue
from simulation.tradingview import Sender
from simulation.verdict import differences, judge, owed, unprotected
from simulation.world import HIGHEST, LOWEST, Crashes, Rule, Violation, World

TROUBLE_S = 4.0, 9.0  # at least and at most; then all is healthy
LONG_S = 32.0, 45.0  # what was accepted before such a rest of the machine is too old after it
REST_S = 400.0  # and so long it may take to come to rest
FAILURES = frozenset({"actor_failed", "observer_failed", "journal_observer_failed"})
ALARMS = frozenset({"order.impossible", "account.failed", "order.unprovable"})


@dataclass(frozen=True, slots=True)
class Result:
    """What one seed came to."""

    seed: int
    violations: tuple[Violation, ...]
    trace: tuple[str, ...]
    crashes: int
    sent: int
    virtual_s: float

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()

    def report(self, bug: str = NONE.name) -> list[str]:
        """A line for each rule that was broken, and how to see it again; nothing when none was."""
        broken: dict[Rule, list[str]] = {}
        for rule, detail in self.violations:
            broken.setdefault(rule, []).append(detail.strip().splitlines()[-1])
        told = [
            f"seed {self.seed}: {rule}: {first}" + f" (and {len(more)} more)" * bool(more)
            for rule, (first, *more) in broken.items()
        ]
        planted = f" --bug {bug}" if bug != NONE.name else ""
        again = f"  again: PYTHONPATH=tests python -m simulation --seed {self.seed}{planted} --trace"
        return [*told, again] if told else []


@dataclass(slots=True)
class Run:
    world: World
    bug: Bug
    disk: Disk
    books: dict[str, Book]
    sender: Sender
    crashes: Crashes = field(init=False)
    over: bool = False

    def __post_init__(self) -> None:
        self.crashes = Crashes(self.world, self._strike)

    def _strike(self) -> None:
        life = self.sender.life
        if life is not None and life.alive:
            life.crash()

    async def __call__(self) -> float:
        world = self.world
        trio.lowlevel.add_instrument(self.crashes)
        for book in self.books.values():
            book.introduce()
        try:
            async with trio.open_nursery() as nursery:
                world.nursery = nursery
                nursery.start_soon(self._lives)
                nursery.start_soon(self._trouble)
                if world.wide and world.further.random() < 0.3:
                    nursery.start_soon(self._operate)
                async with trio.open_nursery() as alerts:
                    for firing in script(world, self.books):
                        alerts.start_soon(self.sender.send, firing)
                    await trio.sleep(world.between(*TROUBLE_S))
                    self.crashes.stop()
                    world.healthy = True
                    world.note("world", "HEALTHY")
                await self._rest()
                self.over = True
                nursery.cancel_scope.cancel()
        finally:
            trio.lowlevel.remove_instrument(self.crashes)
        return trio.current_time()

    async def _lives(self) -> None:
        """systemd."""
        world = self.world
        while not self.over:
            try:
                life = Life(world, self.disk, self.books, self.bug.venue)
            except (JournalBroken, apsw.CorruptError) as error:
                world.violation(Rule.DAMAGED, str(error))
                world.nursery.cancel_scope.cancel()
                return
            self.sender.life = life
            self.crashes.new_life()
            world.note("daemon", "START")
            await life.run()
            await trio.sleep(world.between(0.05, 4.0))
            if world.wide and not world.healthy and world.further.random() < 0.25:
                world.note("machine", "is off")
                await trio.sleep(world.further.uniform(*LONG_S))

    async def _trouble(self) -> None:
        """What happens to the machine and the market meanwhile."""
        world = self.world
        if world.random.random() < 0.15:
            self.disk.full_until = world.between(1, 10)
        stop_at = world.between(1, 10) if world.random.random() < 0.25 else None
        while not world.healthy:
            await trio.sleep(world.between(0.2, 3))
            if world.healthy:
                return
            if world.random.random() < 0.4:
                step = world.random.choice((-2, -1, 1, 2))
                world.price = min(HIGHEST, max(LOWEST, world.price + step))
                world.note("market", "moves", price=world.price)
                for book in self.books.values():
                    book.match()
            if stop_at is not None and trio.current_time() > stop_at and self.sender.life is not None:
                self.sender.life.stop()
                stop_at = None

    async def _operate(self) -> None:
        """Somebody at the desk."""
        human = Human(self.world)
        while not self.world.healthy:
            await trio.sleep(self.world.further.uniform(0.1, 3))
            await human.act(self.sender.life)

    async def _rest(self) -> None:
        """Wait until nothing is owed, twice in a row; then judge."""
        calm = 0
        with trio.move_on_after(REST_S):
            while calm < 2:
                await trio.sleep(0.7)
                await self._end_unprovable()
                calm = calm + 1 if self._at_rest() else 0
        life = self.sender.life
        if life is None or not life.alive:
            self.world.violation(Rule.RESTLESS, "the daemon does not live")
            return
        judge(self.world, life.store.reader, self.books, self.sender)

    async def _end_unprovable(self) -> None:
        """Where there is no fence, a human who has looked at the exchange."""
        life = self.sender.life
        if self.world.unfenced and life is not None and life.alive and life.daemon is not None:
            await Human(self.world).end(life, life.store.reader.live_orders())

    def _at_rest(self) -> bool:
        life = self.sender.life
        if life is None or not life.alive:
            return False
        ledger = life.store.reader
        return not (
            owed(ledger, self.books) or differences(ledger, self.books) or unprotected(ledger, self.books)
        )


class _Time:
    """In place of the module `time`, where the supervisor reads the wall clock."""

    def __init__(self, world: World) -> None:
        self.time = world.wall


class _NoFile:
    def __init__(self, *_of: Any) -> None: ...


@contextmanager
def _simulated(run: Run) -> Iterator[None]:
    """The machine under the daemon: its clock, threads and scheduler, and no desk, no files."""
    with ExitStack() as stack:
        for target, name, substitute in (
            (trio.to_thread, "run_sync", run_sync),
            (scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
            (supervisor, "time", _Time(run.world)),
            (AccountMaker, "_ccxt", make_venue),
            (supervisor, "make_desk", lambda _deps: None),
            (supervisor, "AuditExporter", _NoFile),
            (supervisor, "BACKLOG_S", 5.0),
            (sqlite_file, "CHECKPOINT_PAGES", 40 if run.world.wide else sqlite_file.CHECKPOINT_PAGES),
            *run.bug.patches(),
        ):
            stack.enter_context(patch.object(target, name, substitute))
        yield


def simulate(seed: int, bug: Bug = NONE, *, wide: bool | None = None, verbose: bool = False) -> Result:
    """One execution. `wide`: see World; every other seed is. `verbose`: with the daemon's own log lines."""
    world = World(seed, wide=seed % 2 == 1 if wide is None else wide)
    accounts = ["main"] if world.random.random() < 0.8 else ["main", "other"]
    if world.wide and world.further.random() < 0.4:
        accounts = ["main", "other"]
    swap = world.random.random() < 0.4
    books = {name: Book(world, name, swap=swap, limit=MOST_HELD) for name in accounts}
    run = Run(world, bug, bug.disk(world), books, Sender(world))
    scheduler._r.seed(seed)
    with _simulated(run), _logging(world, verbose=verbose):
        ended = trio.run(run, clock=MockClock(autojump_threshold=0))
    return Result(seed, tuple(world.violations), tuple(world.trace), world.crashes, world.sent, ended)


def _told(line: Mapping[str, Any]) -> dict[str, Any]:
    """A log line's fields, without what says nothing or says it twice."""
    twice = "client_order_id" if line.get("client_order_id") == line.get("order_id") else None
    return {name: one for name, one in line.items() if one is not None and name not in ("exc_info", twice)}


@contextmanager
def _logging(world: World, *, verbose: bool) -> Iterator[None]:
    """Failures of the daemon that no fault of the world explains are violations."""

    def listen(_logger: Any, _method: str, line: Any) -> Any:
        event = line.pop("event")
        if verbose:
            world.note("log", event, **_told(line))
        if event in FAILURES:
            world.violation(Rule.FELL, f"{line.get('actor')} {event}: {sys.exc_info()[1]!r}")
        unprovable = line.get("code") == "order.unprovable" and line["account"] in world.unfenced
        if event == "alarm" and line["code"] in ALARMS and not unprovable:
            world.violation(Rule.FELL, f"{line['code']}: {line['detail']}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, listen],
        wrapper_class=structlog.make_filtering_bound_logger("debug" if verbose else "error"),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
