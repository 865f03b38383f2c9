"""The machine's disk under the real SQLite ledger: slow, at times full, failing, or without power."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import apsw
import trio

from fks.domain.messages import Event
from fks.infra import sqlite_file
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.sqlite_reader import SqliteReader
from fks.infra.sqlite_schema import MIGRATIONS
from fks.ledger import Committed, JournalBusy, Ledger
from simulation.files import File, FileSystem
from simulation.world import Dead, World

R = TypeVar("R")

JOURNAL = "journal"
POWER_FAILS = 0.03  # of commits
FAULT_WITHIN = 12  # writes and syncs; a commit has about that many
_system = FileSystem()


def opened() -> apsw.Connection:
    """The database as a start finds it on the disk, recovered by SQLite itself."""
    connection = apsw.Connection(JOURNAL, vfs=_system.NAME, statementcachesize=200)
    connection.pragma("locking_mode", "EXCLUSIVE")  # one connection: the log's index needs no shared memory
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # a process that died closes nothing
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # else each query is planned anew: 5 times slower
    sqlite_file._configure(connection, Path(JOURNAL))
    return connection


class Blank:
    """A device that does what it is told."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}

    def before(self) -> None: ...

    def sync(self, file: File) -> None:
        file.sync()


@cache
def empty_image() -> bytes:
    """A migrated database without a row, made once."""
    device = Blank()
    _system.mount(device)
    connection = opened()
    sqlite_file._migrate(connection, Path(JOURNAL), MIGRATIONS)
    sqlite_file._derive(connection)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    return bytes(device.files[JOURNAL].kept)


class Disk:
    """It outlives the daemon; of its files only what was synced is certain to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.files = {JOURNAL: File(empty_image())}
        self.full_until = 0.0
        self.reserve = True  # space is kept that only running orders may use
        self._fault: Callable[[], Exception] | None = None
        self._left = 0  # writes and syncs until then
        _system.mount(self)

    @property
    def full(self) -> bool:
        return not self.world.healthy and trio.current_time() < self.full_until

    # --- faults of one commit

    def commit_begins(self) -> None:
        """Full, failing or fine: the disk decides."""
        if self.full and self.reserve:
            self.fail(lambda: apsw.FullError("the simulated disk is full"))
        elif self.world.chance(0.002):
            self.fail(lambda: apsw.IOError("simulated EIO"))

    def fail(self, fault: Callable[[], Exception]) -> None:
        """The next write or sync, or one soon after, ends in that, and so does what follows."""
        self._fault = fault
        self._left = self.world.further.randint(0, FAULT_WITHIN) if self.world.wide else 0

    def commit_ended(self) -> None:
        self._fault = None

    def before(self) -> None:
        """See Device."""
        if self._fault is not None:
            if self._left == 0:
                raise self._fault()
            self._left -= 1

    def sync(self, file: File) -> None:
        """See Device."""
        file.sync()

    # --- what survives

    def power_cut(self, connection: apsw.Connection) -> None:
        """Every unsynced write is gone, or torn."""
        self._fault = None
        tear = self.world.further if self.world.wide else None
        left = {name: file.after_power_cut(tear) for name, file in self.files.items()}
        connection.close()
        self.files = left

    @contextmanager
    def durable(self, live: SqliteReader) -> Iterator[SqliteReader]:
        """What a power cut would leave for certain; `live` shows the same unless something is unsynced."""
        if not any(file.unsynced for file in self.files.values()):
            yield live
            return
        certain = Blank()
        certain.files = {name: file.after_power_cut(None) for name, file in self.files.items()}
        _system.mount(certain)
        connection = opened()
        try:
            yield SqliteReader(connection)
        finally:
            connection.close()
            _system.mount(self)


class Ballast(sqlite_file.Ballast):
    """The space in reserve, without its file."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        disk.reserve = True

    def fill(self) -> bool:
        if not self._disk.full:
            self._disk.reserve = True
        return self._disk.reserve

    def free(self) -> None:
        self._disk.reserve = False
        self._disk.commit_ended()


class SimStore(SqliteStore):
    """One life's view of the disk; `life` is the daemon's."""

    def __init__(self, disk: Disk, life: Any) -> None:
        self.disk = disk
        self.life = life
        self._connection = opened()
        sqlite_file._check(self._connection, Path(JOURNAL))
        super().__init__(Path(JOURNAL), -1, self._connection, disk.world.wall, Ballast(disk))
        self.reader = SqliteReader(self._connection)
        self._connection.set_commit_hook(self._before_commit)

    def _before_commit(self) -> bool:
        if self.life.alive:
            self.disk.commit_begins()
        return False

    @contextmanager
    def _reader(self) -> Iterator[SqliteReader]:
        yield self.reader

    def commit(self, operations: Sequence[Callable[[Ledger], Any]]) -> Committed:
        try:
            return super().commit(operations)
        finally:
            self.disk.commit_ended()

    async def commit_in_thread(self, operations: Sequence[Callable[[Ledger], Any]]) -> Committed:
        """Slow, and durable for a while before the daemon hears of it."""
        world = self.disk.world
        await trio.sleep(world.between(2, 6) if world.chance(0.004) else world.between(0.0005, 0.02))
        self._check_alive()
        if world.chance(0.004):
            raise JournalBusy("simulated lock")
        if world.wide and not world.healthy and world.further.random() < POWER_FAILS:
            self.disk.fail(self._power_fails)
        try:
            committed = self.commit(operations)
        finally:
            self._check_alive()
        if committed.events:
            world.note("disk", "durable", events=", ".join(map(_subject, committed.events)))
            world.occasion("durable")
        if world.chance(0.002):  # on the disk, and yet reported as failed
            raise self._fail(apsw.IOError("simulated EIO after the write"))
        if committed.events:
            await trio.sleep(world.between(0.0, 0.003))
            self._check_alive()
        return committed

    async def read_in_thread(self, query: Callable[[SqliteReader], R]) -> R:
        """What it tells may be outdated when the asker hears it."""
        world = self.disk.world
        self._check_alive()
        found = self.read(query)
        if world.chance(0.1):
            await trio.sleep(world.between(0.0, 0.05))
        else:
            await trio.lowlevel.checkpoint()
        return found

    def _power_fails(self) -> Exception:
        if self.life.alive:
            self.disk.world.note("disk", "loses power within a commit")
            self.life.crash()
        return apsw.IOError("no power")

    def _check_alive(self) -> None:
        if not self.life.alive:
            raise Dead

    def let_go(self) -> None:
        """The process is gone."""
        self._connection.set_commit_hook(None)
        self.disk.power_cut(self._connection)


def _subject(event: Event) -> str:
    """The event, and the order, account or alert that it is about."""
    return f"{event.kind} {event.order_id or event.account or event.alert_id or ''}".rstrip()


async def run_sync(work: Callable[..., Any], *args: Any, **_options: Any) -> Any:
    """In place of `trio.to_thread.run_sync`: a real thread's time would not be ours to order."""
    store = getattr(work, "__self__", None)
    if isinstance(store, SimStore) and work.__name__ == "commit":
        return await store.commit_in_thread(*args)
    if isinstance(store, SimStore) and work.__name__ == "read":
        return await store.read_in_thread(*args)
    await trio.lowlevel.checkpoint()
    return work(*args)
