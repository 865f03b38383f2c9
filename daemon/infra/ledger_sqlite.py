"""The journal on one machine: SQLite, one writer, any number of readers."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from fks.infra import sqlite_file as file
from fks.infra.sqlite_reader import SqliteReader
from fks.infra.sqlite_schema import MIGRATIONS, Migration
from fks.infra.sqlite_writer import SqliteLedger
from fks.ledger import Committed, JournalBroken, JournalBusy, JournalFull, Ledger

R = TypeVar("R")

_SPARE_READERS = 4
# The operation's own fault: it is undone, the batch goes on. Every other SQLite error is the disk's.
_OWN_FAULT = (apsw.ConstraintError, apsw.SQLError, apsw.MismatchError, apsw.TooBigError, apsw.RangeError)


class SqliteStore:
    """Implements `fks.ledger.Store`; it may be used from several threads at once."""

    def __init__(
        self, path: Path, lock: int, writer: apsw.Connection, wall: Callable[[], float], ballast: file.Ballast
    ) -> None:
        self._path = path
        self._lock = lock
        self._writer = writer
        self._ledger = SqliteLedger(writer, wall)
        self._ballast = ballast
        self._writing = threading.Lock()
        self._readers: list[SqliteReader] = []
        self._broken: str | None = None
        self._log_pages = 0
        writer.set_wal_hook(self._note_log_pages)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        wall: Callable[[], float],
        migrations: Sequence[Migration] = MIGRATIONS,
        ballast_bytes: int = file.BALLAST_BYTES,
        durable: bool = True,
    ) -> "SqliteStore":
        """Own the journal at `path`, made if there is none, brought to this version's schema if older.

        `wall` tells UTC epoch seconds. Without `durable` nothing is forced onto the disk: for a journal that
        is thrown away. Raises JournalLocked, SchemaTooNew or JournalBroken.
        """
        lock = file.lock(path)
        try:
            writer = file.open_writer(path, migrations)
            if not durable:
                writer.pragma("synchronous", "OFF")
            ballast = file.Ballast(path, ballast_bytes)
            ballast.fill()
            return cls(path, lock, writer, wall, ballast)
        except BaseException:
            os.close(lock)
            raise

    def commit(self, operations: Sequence[Callable[[Ledger], Any]]) -> Committed:
        """See Store. When the disk is full the reserve is freed and the batch is run a second time,
        without what is new; so an operation must have no effect but on the ledger it is given.
        """
        with self._writing:
            if self._broken is not None:
                raise JournalBroken(self._broken)
            if self._ledger.spare and self._ballast.fill():
                self._ledger.spare = False
            try:
                try:
                    committed = self._transaction(operations)
                except apsw.FullError:
                    if self._ledger.spare:
                        raise
                    self._ballast.free()
                    self._ledger.spare = True
                    committed = self._transaction(operations)
            except apsw.FullError as error:
                raise JournalFull(f"no space left for the journal {self._path}: free some") from error
            except apsw.BusyError as error:
                raise JournalBusy(f"another program keeps the journal {self._path} locked") from error
            except apsw.Error as error:
                raise self._fail(error) from error
            self._checkpoint()
            return committed

    def _transaction(self, operations: Sequence[Callable[[Ledger], Any]]) -> Committed:
        ledger = self._ledger
        start = ledger.mark_point()
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            results = [self._run(operation) for operation in operations]
            self._writer.execute("COMMIT")
        except BaseException:
            ledger.roll_back(start)
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        events = tuple(ledger.appended)
        ledger.appended.clear()
        return Committed(tuple(results), events)

    def _run(self, operation: Callable[[Ledger], Any]) -> Any:
        """The operation's value, or what it raised after its every trace was undone."""
        before = self._ledger.mark_point()
        self._writer.execute("SAVEPOINT operation")
        try:
            value = operation(self._ledger)
        except Exception as error:
            if isinstance(error, apsw.Error) and not isinstance(error, _OWN_FAULT):
                raise
            self._writer.execute("ROLLBACK TO operation; RELEASE operation")
            self._ledger.roll_back(before)
            return error
        self._writer.execute("RELEASE operation")
        return value

    def _note_log_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._log_pages = pages
        return 0  # SQLITE_OK

    def _checkpoint(self) -> None:
        """Copy the log into the database now and then. What was committed stands, whatever happens here:
        only the next batch hears of a disk that failed. A full disk leaves the log longer.
        """
        if self._log_pages < file.CHECKPOINT_PAGES:
            return
        try:
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.FullError, apsw.BusyError):
            return
        except apsw.Error as error:
            self._fail(error)

    def _fail(self, error: apsw.Error) -> JournalBroken:
        self._broken = (
            f"the journal {self._path} failed ({type(error).__name__}: {error}). What was acknowledged is on "
            "disk as far as the disk keeps its word; check the disk, then start again"
        )
        return JournalBroken(self._broken)

    def read(self, query: Callable[[SqliteReader], R]) -> R:
        """See Store: `query` sees one snapshot. Raises what it raises, JournalBusy or JournalBroken."""
        try:
            with self._reader() as reader:
                reader.connection.execute("BEGIN")
                try:
                    return query(reader)
                finally:
                    reader.connection.execute("ROLLBACK")
        except apsw.BusyError as error:
            raise JournalBusy(f"another program keeps the journal {self._path} locked") from error
        except apsw.Error as error:
            raise JournalBroken(
                f"cannot read the journal {self._path} ({type(error).__name__}: {error})"
            ) from error

    @contextlib.contextmanager
    def _reader(self) -> Iterator[SqliteReader]:
        """A connection that nobody else uses meanwhile; kept for the next unless the query failed."""
        try:
            reader = self._readers.pop()  # list.pop and append are atomic
        except IndexError:
            reader = SqliteReader(file.open_reader(self._path))
        try:
            yield reader
        except BaseException:
            reader.connection.close()
            raise
        if len(self._readers) < _SPARE_READERS:
            self._readers.append(reader)
        else:
            reader.connection.close()

    def close(self) -> None:
        """Let go of the journal. Readers must be done. Closing twice is closing once."""
        with self._writing:
            if self._lock < 0:
                return
            self._broken = f"the journal {self._path} is closed"
            while self._readers:
                self._readers.pop().connection.close()
            with contextlib.suppress(apsw.Error):
                self._writer.close()
            os.close(self._lock)
            self._lock = -1
