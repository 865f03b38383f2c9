"""The journal's file: its owner, its identity, its health, its schema and the space kept in reserve.

Never open or close the database file by other means than `apsw` within the daemon's process: closing
any descriptor of it drops the locks of all (POSIX), silently.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apsw

from fks.infra.chain import VerifyResult
from fks.infra.sqlite_schema import APPLICATION_ID, DERIVED, Migration
from fks.infra.sqlite_sound import sound
from fks.ledger import JournalBroken, JournalLocked, SchemaTooNew

BUSY_MS = 700  # two commits may wait one after the other, and a sender is answered within 2 s
CHECKPOINT_PAGES = 1000
BALLAST_BYTES = 8 << 20

_PRAGMAS: dict[str, int | str] = {
    "synchronous": "FULL",  # NORMAL lost acknowledged writes in simulated power cuts
    "foreign_keys": 1,
    "recursive_triggers": 1,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "mmap_size": 0,
    "temp_store": "MEMORY",
    "cache_size": -16384,
    "journal_size_limit": 64 << 20,
    "wal_autocheckpoint": 0,  # the store does it, because SQLite's own swallows a failed fsync
}


def lock(path: Path) -> int:
    """Own the journal until the returned descriptor is closed.

    Raises JournalLocked when another process does, JournalBroken when the folder cannot be written.
    """
    lock_file = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_to_owner(lock_file)
    except OSError as error:
        raise JournalBroken(
            f"cannot write {lock_file}: {error.strerror}. The journal needs a writable folder: "
            "check its owner, and that the file system is not mounted read-only"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise JournalLocked(
            f"another daemon (pid {owner}) holds the journal {path}: stop that one first"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def open_writer(path: Path, migrations: Sequence[Migration]) -> apsw.Connection:
    """The one connection that writes, after the file was proven ours, sound and of a known schema.

    Raises JournalBroken or SchemaTooNew; the file is left as it is.
    """
    connection: apsw.Connection | None = None
    try:
        if not path.exists():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=200)
        connection.set_busy_timeout(BUSY_MS)
        _identify(connection, path, len(migrations))
        _check(connection, path)
        _configure(connection, path)
        _migrate(connection, path, migrations)
        _derive(connection)
    except (apsw.Error, OSError) as error:
        _close(connection)
        raise JournalBroken(
            f"cannot open the journal {path} ({type(error).__name__}: {error}). The file was kept as it is: "
            f"{advice(error)}"
        ) from error
    except BaseException:
        _close(connection)
        raise
    return connection


def advice(error: Exception) -> str:
    """What to do when SQLite, or the disk, refuses a journal."""
    match error:
        case apsw.FullError():
            return "free some space on its disk, then start again"
        case apsw.BusyError():
            return "another program has it locked, end that one"
        case apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError() | OSError():
            return "check its owner, and that the file system is not mounted read-only"
    return "restore a backup, or move it away to begin a new journal"


def open_reader(path: Path, newest: int | None = None) -> apsw.Connection:
    """A connection that cannot write, for any process. Raises JournalBroken when there is no database.

    `newest`: the highest schema that the caller can read; SchemaTooNew is raised for one beyond it, and
    JournalBroken for a file that is empty or another program's.
    """
    connection: apsw.Connection | None = None
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, statementcachesize=200)
        connection.set_busy_timeout(BUSY_MS)
        if newest is not None:
            _identify(connection, path, newest)
            _refuse_empty(connection, path)
    except apsw.Error as error:
        _close(connection)
        raise JournalBroken(f"cannot read the journal {path} ({error}): {advice(error)}") from error
    except BaseException:
        _close(connection)
        raise
    return connection


def _close(connection: apsw.Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(apsw.Error):
            connection.close()


def _identify(connection: apsw.Connection, path: Path, known: int) -> None:
    ours = connection.pragma("application_id") == APPLICATION_ID
    version = schema(connection)
    if not ours and connection.execute("SELECT count(*) FROM sqlite_schema").get:
        raise JournalBroken(f"{path} is another program's database: set [journal] url to a file of its own")
    if ours and version > known:
        raise SchemaTooNew(
            f"the journal {path} has schema {version}, this program knows up to {known}: install the newer "
            "version again, or restore the backup that was made before the upgrade"
        )


def _refuse_empty(connection: apsw.Connection, path: Path) -> None:
    if not schema(connection):
        raise JournalBroken(f"{path} is empty: the daemon makes a journal of it at its next start")


def schema(connection: apsw.Connection) -> int:
    """How many migrations the file has seen; 0 for an empty one."""
    version = connection.pragma("user_version")
    assert isinstance(version, int)
    return version


def _check(connection: apsw.Connection, path: Path) -> None:
    problems = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if problems != ["ok"]:
        raise JournalBroken(
            f"the journal {path} is damaged ({'; '.join(map(str, problems))[:300]}). The file was kept as it "
            "is: restore a backup, or move it away to begin a new journal"
        )


def _configure(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("journal_mode", "wal") != "wal":
        raise JournalBroken(f"the file system of {path} cannot keep a write-ahead log: use a local disk")
    for name, value in _PRAGMAS.items():
        connection.pragma(name, value)
    assert connection.pragma("synchronous") == 2
    assert connection.pragma("foreign_keys") == 1


def _migrate(connection: apsw.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """All steps in one transaction: whoever dies in the middle finds the old journal again."""
    version = schema(connection)
    if version == len(migrations):
        return
    if version:
        backup(connection, path.with_name(f"{path.name}.v{version}.bak"))
    with _exclusive(connection):
        for migration in migrations[version:]:
            if isinstance(migration, str):
                connection.execute(migration)
            else:
                migration(connection)
        connection.pragma("user_version", len(migrations))
        connection.pragma("application_id", APPLICATION_ID)


def _derive(connection: apsw.Connection) -> None:
    """Make views and triggers as this version has them. Nothing is written when they are so already."""
    derived = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type IN ('view', 'trigger')")
    have = {row[0]: row[1] for row in derived}
    changed = {name: made for name, made in DERIVED.items() if have.get(name) != made[1]}
    if not changed:
        return
    with _exclusive(connection):
        for name, (kind, statement) in changed.items():
            connection.execute(f"DROP {kind} IF EXISTS {name}; {statement}")


@contextlib.contextmanager
def _exclusive(connection: apsw.Connection) -> Iterator[None]:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check(path: Path) -> VerifyResult:
    """Whether that file's pages, references and chain hold, whatever its schema. Raises JournalBroken."""
    connection = open_reader(path)
    try:
        connection.execute("BEGIN")
        return sound(connection)
    except apsw.Error as error:
        raise JournalBroken(f"{path} cannot be read as a journal: {error}") from error
    finally:
        connection.close()


def backup(
    connection: apsw.Connection, to: Path, check: Callable[[Path], VerifyResult] = check
) -> VerifyResult:
    """A whole copy as of now, under its name only once it is complete, on disk and proven sound.

    `VACUUM INTO` reads one snapshot; SQLite's page-wise backup never ends while the daemon writes.
    An existing file `to` is replaced. Raises JournalBroken when the copy does not hold (it is then kept as
    NAME.bad), apsw.Error or OSError.
    """
    temporary = to.with_name(to.name + ".part")
    temporary.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # it is nobody else's to read
    try:
        connection.execute("VACUUM INTO ?", (str(temporary),))
        result = check(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if result.problems:
        bad = temporary.rename(to.with_name(to.name + ".bad"))
        raise JournalBroken(f"the copy {bad} does not hold: {'; '.join(result.problems)[:300]}")
    sync(temporary)
    temporary.rename(to)
    sync(to.parent)
    return result


def give_to_owner(path: Path) -> None:
    """What root makes in the daemon's folder is the daemon's: else it could not start with it."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Ballast:
    """Space that is given back when the disk is full, so that what is in flight can still be written down."""

    def __init__(self, path: Path, size: int = BALLAST_BYTES) -> None:
        self._path = path.with_name(path.name + ".ballast")
        self._size = size

    def fill(self) -> bool:
        """Take the space (again). False when the disk has less than twice as much."""
        if self._path.exists() and self._path.stat().st_size >= self._size:
            return True
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < 2 * self._size:
            return False
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError:
            self.free()
            return False
        return True

    def free(self) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
