"""The journal taken elsewhere: verified backups, putting one back, and exports for other programs."""

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from fks.domain.messages import TradingState
from fks.infra import csv_text
from fks.infra import sqlite_file as file
from fks.infra.audit import VerifyResult
from fks.infra.journal_check import open_journal, verify_journal
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.sqlite_reader import SqliteReader
from fks.infra.sqlite_schema import USER_VIEWS
from fks.ledger import JournalBroken

_STAMPED = re.compile(r"fks-\d{8}T\d{6}Z\.db")


def back_up(journal: Path, to: Path) -> tuple[Path, VerifyResult]:
    """A whole copy as of now, proven sound; into a folder under a name with the time.

    Runs beside the daemon. Raises JournalBroken when the copy does not hold (it is then kept as NAME.bad),
    apsw.Error or OSError.
    """
    if to.is_dir():
        to = to / f"fks-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db"
    with open_journal(journal) as reader:
        file.backup(reader.connection, to)
    to.chmod(0o600)
    with open_journal(to) as copy:
        result = verify_journal(copy)
    if result.problems:
        bad = to.rename(to.with_name(to.name + ".bad"))
        raise JournalBroken(f"the copy {bad} does not hold: {'; '.join(result.problems)[:300]}")
    return to, result


def prune_backups(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` of `back_up`'s own copies in `folder`; the deleted ones."""
    copies = sorted(one for one in folder.iterdir() if _STAMPED.fullmatch(one.name))
    old = copies[:-keep]
    for one in old:
        one.unlink()
    return old


def restore(copy: Path, journal: Path) -> Path | None:
    """Put a backup in the journal's place, halted; where the present one was moved to, if there was one.

    What happened since the backup is not in it: alerts accepted since would be taken as new when they were
    sent again. So the restored journal is halted until a human resumes. Raises JournalLocked while
    a daemon runs, JournalBroken when the copy does not hold, OSError.
    """
    with open_journal(copy) as reader:
        problems = verify_journal(reader).problems
    if problems:
        raise JournalBroken(f"{copy} does not hold, nothing was changed: {'; '.join(problems)[:300]}")
    lock = file.lock(journal)
    try:
        arriving = journal.with_name(journal.name + ".restoring")
        shutil.copyfile(copy, arriving)
        arriving.chmod(0o600)
        _sync(arriving)
        aside = _move_aside(journal)
        arriving.rename(journal)
        _sync(journal.parent)
    finally:
        os.close(lock)
    store = SqliteStore.open(journal, wall=time.time)
    try:
        store.commit(
            [lambda ledger: ledger.set_trading(None, TradingState.HALTED, "journal restore", time.time())]
        )
    finally:
        store.close()
    return aside


def _move_aside(journal: Path) -> Path | None:
    if not journal.exists():
        return None
    aside = journal.with_name(f"{journal.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    for suffix in ("", "-wal", "-shm"):  # its log belongs to it, and must not meet the other file
        part = journal.with_name(journal.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
