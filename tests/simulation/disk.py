"""A disk that forgets what was not synced, under the real SQLite ledger."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import apsw
import trio

from fks.infra import sqlite_file
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.sqlite_reader import SqliteReader
from fks.infra.sqlite_schema import APPLICATION_ID, MIGRATIONS
from fks.ledger import Committed, JournalBusy, Ledger
from simulation.world import Dead, World

R = TypeVar("R")


@cache
def empty_image() -> bytes:
    """A migrated database without a row, made once."""
    connection = apsw.Connection(":memory:")
    for number, script in enumerate(MIGRATIONS, start=1):
        connection.execute(script)
        connection.pragma("user_version", number)
    connection.pragma("application_id", APPLICATION_ID)
    sqlite_file._derive(connection)
    image = connection.serialize("main")
    connection.close()
    return image


def opened(image: bytes) -> apsw.Connection:
    """The database as a start would find it on the disk."""
    connection = apsw.Connection(":memory:", statementcachesize=200)
    connection.deserialize("main", image)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # else each query is planned anew: 5 times slower
    connection.execute("PRAGMA foreign_keys = 1; PRAGMA recursive_triggers = 1")
    return connection


class Disk:
    """`image` is what a power cut leaves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.image = empty_image()
        self.full_until = 0.0

    @property
    def full(self) -> bool:
        return not self.world.healthy and trio.current_time() < self.full_until


class Ballast(sqlite_file.Ballast):
    """The space in reserve, without its file."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.freed = False

    def fill(self) -> bool:
        if not self._disk.full:
            self.freed = False
        return not self.freed

    def free(self) -> None:
        self.freed = True


class SimStore(SqliteStore):
    """One life's view of the disk; `life` is the daemon's."""

    def __init__(self, disk: Disk, life: Any) -> None:
        self.disk = disk
        self.life = life
        self._connection = opened(disk.image)
        self._space = Ballast(disk)
        super().__init__(Path("journal"), -1, self._connection, disk.world.wall, self._space)
        self.reader = SqliteReader(self._connection)
        self._changes = self._connection.total_changes()
        self._connection.set_commit_hook(self._before_commit)

    def _before_commit(self) -> bool:
        if self.disk.full and not self._space.freed:
            raise apsw.FullError("the simulated disk is full")
        if self.disk.world.chance(0.002):
            raise apsw.IOError("simulated EIO")
        return False

    @contextmanager
    def _reader(self) -> Iterator[SqliteReader]:
        yield self.reader

    def commit(self, operations: Sequence[Callable[[Ledger], Any]]) -> Committed:
        committed = super().commit(operations)
        if self._connection.total_changes() != self._changes:
            self._changes = self._connection.total_changes()
            self.sync()
        return committed

    def sync(self) -> None:
        """What was written survives from here on."""
        self.disk.image = self._connection.serialize("main")

    async def commit_in_thread(self, operations: Sequence[Callable[[Ledger], Any]]) -> Committed:
        """Slow, and durable for a while before the daemon hears of it."""
        world = self.disk.world
        await trio.sleep(world.between(2, 6) if world.chance(0.004) else world.between(0.0005, 0.02))
        self._check_alive()
        if world.chance(0.004):
            raise JournalBusy("simulated lock")
        committed = self.commit(operations)
        if committed.events:
            world.note("disk", "durable", events=",".join(event.kind for event in committed.events))
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

    def _check_alive(self) -> None:
        if not self.life.alive:
            raise Dead

    def let_go(self) -> None:
        """The process is gone."""
        self._connection.set_commit_hook(None)
        self._connection.close()


async def run_sync(work: Callable[..., Any], *args: Any, **_options: Any) -> Any:
    """In place of `trio.to_thread.run_sync`: a real thread's time would not be ours to order."""
    store = getattr(work, "__self__", None)
    if isinstance(store, SimStore) and work.__name__ == "commit":
        return await store.commit_in_thread(*args)
    if isinstance(store, SimStore) and work.__name__ == "read":
        return await store.read_in_thread(*args)
    await trio.lowlevel.checkpoint()
    return work(*args)
