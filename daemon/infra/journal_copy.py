"""The journal taken elsewhere: verified backups, putting one back, and exports for other programs."""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import apsw
import msgspec

from fks.domain.messages import TradingState
from fks.infra import csv_text
from fks.infra import sqlite_file as file
from fks.infra.audit import last_record, rotated
from fks.infra.chain import VerifyResult
from fks.infra.journal_check import open_journal, verify_journal
from fks.infra.journal_stats import LastBackup, backup_note
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.sqlite_reader import SqliteReader
from fks.infra.sqlite_schema import USER_VIEWS
from fks.ledger import JournalBroken

_STAMPED = re.compile(r"fks-\d{8}T\d{6}Z\.db")


def back_up(journal: Path, to: Path) -> tuple[Path, VerifyResult]:
    """A whole copy as of now, proven sound; into a folder under a name with the time.

    Runs beside the daemon. Raises JournalBroken when the copy does not hold (it is then kept as NAME.bad),
    SchemaTooNew, apsw.Error or OSError.
    """
    now = datetime.now(UTC)
    if to.is_dir():
        to = to / f"fks-{now:%Y%m%dT%H%M%SZ}.db"
    with open_journal(journal) as reader:
        result = file.backup(reader.connection, to, _verified)
    note = LastBackup(now.isoformat(timespec="seconds"), str(to.absolute()), result.records, result.head)
    with contextlib.suppress(OSError):  # who backs up may have no right to write there
        backup_note(journal).write_bytes(msgspec.json.encode(note))
        file.give_to_owner(backup_note(journal))
    return to, result


def _verified(copy: Path) -> VerifyResult:
    with open_journal(copy) as reader:
        return verify_journal(reader)


def prune_backups(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` of `back_up`'s own copies in `folder`; the deleted ones."""
    copies = sorted(one for one in folder.iterdir() if _STAMPED.fullmatch(one.name))
    old = copies[:-keep]
    for one in old:
        one.unlink()
    return old


def restore(copy: Path, journal: Path, audit: Path) -> list[Path]:
    """Put a backup in the journal's place, halted; where what was there before is now: journal, audit file.

    What happened since the backup is not in it: alerts accepted since would be taken as new when they were
    sent again. So the restored journal is halted before it has its name. The audit file moves too (to a name
    that no rotated one has) when it tells of more than the backup knows: the daemon begins a new one.

    Raises JournalLocked while a daemon runs, JournalBroken when the copy does not hold, SchemaTooNew,
    apsw.Error or OSError.
    """
    problems = _verified(copy).problems
    if problems:
        raise JournalBroken(f"{copy} does not hold, nothing was changed: {'; '.join(problems)[:300]}")
    lock = file.lock(journal)
    try:
        arriving = journal.with_name(journal.name + ".restoring")
        for left in arriving.parent.glob(arriving.name + "*"):  # by one that died
            left.unlink()
        with open_journal(copy) as reader:  # not its bytes: it may have a log
            file.backup(reader.connection, arriving)
        strange = _halt(arriving, audit)
        file.give_to_owner(arriving)
        file.sync(arriving)
        stamp = f"before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        kept = _keep(journal, stamp)
        arriving.rename(journal)
        kept += [one.rename(one.with_name(f"{stamp}-{one.name}")) for one in strange]
        file.sync(journal.parent)
    finally:
        os.close(lock)
    return kept


def _halt(journal: Path, audit: Path) -> list[Path]:
    """And bring it to this version's schema; the audit files that end with what it does not know."""
    store = SqliteStore.open(journal, wall=time.time, ballast_bytes=0)
    try:
        ends = {path: last_record(path) for path in (audit, *rotated(audit)) if path.exists()}
        strange = store.read(
            lambda reader: [path for path, end in ends.items() if end and reader.chain_hash(end[0]) != end[1]]
        )
        store.commit(
            [lambda ledger: ledger.set_trading(None, TradingState.HALTED, "journal restore", time.time())]
        )
    finally:
        store.close()
    for suffix in (".lock", ".ballast", ".v*.bak"):
        for left in journal.parent.glob(journal.name + suffix):
            left.unlink()
    return strange


def _keep(journal: Path, stamp: str) -> list[Path]:
    """The present journal under a second name. Whoever dies here finds one journal or the other, never none:
    a daemon would begin an empty one.
    """
    if not journal.exists():
        return []
    with contextlib.suppress(apsw.Error):  # a damaged one is kept with its log
        present = apsw.Connection(str(journal), flags=apsw.SQLITE_OPEN_READWRITE)
        present.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        present.close()
    aside = journal.with_name(f"{journal.name}.{stamp}")
    aside.hardlink_to(journal)
    for suffix in ("-wal", "-shm"):  # its log belongs to it, and must not meet the other file
        part = journal.with_name(journal.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return [aside]


def columns(reader: SqliteReader, table: str) -> list[str]:
    """The names of the columns of one of USER_VIEWS. Raises ValueError for another."""
    if table not in USER_VIEWS:
        raise ValueError(f"{table!r} is not one of {', '.join(USER_VIEWS)}")
    return [str(column[1]) for column in reader.connection.execute(f"PRAGMA table_info({table})")]


def rows(reader: SqliteReader, table: str) -> Iterator[Sequence[Any]]:
    """Every row of one of USER_VIEWS, in the order of `columns`."""
    names = ", ".join(columns(reader, table))
    yield from reader.connection.execute(f"SELECT {names} FROM {table}")  # noqa: S608 - names of ours


def write_csv(reader: SqliteReader, table: str, out: TextIO) -> None:
    """`table` as `csv_text.write` writes it."""
    csv_text.write(out, columns(reader, table), rows(reader, table))
