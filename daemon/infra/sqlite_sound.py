"""What holds of a journal of any schema: its pages, its references and its chain of events."""

from collections.abc import Iterable, Iterator
from typing import Any

import apsw
from msgspec import Struct

from fks.domain.messages import Event
from fks.infra import chain
from fks.infra import sqlite_codec as codec
from fks.infra.chain import VerifyResult

MOST = 20  # findings of one kind that are told
_RESTORE = "restore a backup"


class Finding(Struct, frozen=True):
    """One thing that is wrong: where, what, and what to do about it."""

    where: str
    what: str
    then: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.then}"


def told(findings: Iterable[Finding]) -> list[str]:
    """As lines, the first of them in full and the others as a number."""
    lines: list[str] = []
    more = 0
    for finding in findings:
        if len(lines) < MOST:
            lines.append(str(finding))
        else:
            more += 1
    return [*lines, f"and {more} more of this kind"] if more else lines


def sound(connection: apsw.Connection) -> VerifyResult:
    """The caller holds a read transaction. Raises apsw.Error for a file that cannot be read at all."""
    problems = told(_pages(connection))
    if not problems:  # else the other questions say no more than that
        problems = told(_references(connection))
    try:
        events = chain.verify_events(_events(connection), _start(connection))
    except apsw.CorruptError:
        if not problems:
            raise
        return VerifyResult(records=0, problems=tuple(problems), head="")  # the pages say why
    advice = "compare with `fks audit verify`, and keep both files as evidence"
    problems += [f"{problem}; {advice}" for problem in events.problems]
    return VerifyResult(records=events.records, problems=tuple(problems), head=events.head)


def _pages(connection: apsw.Connection) -> Iterator[Finding]:
    problems: list[str] = []
    try:
        rows = connection.execute("PRAGMA integrity_check(10)")
        problems.extend(" ".join(str(row[0]).split()) for row in rows)
    except apsw.CorruptError as error:  # so much that the check itself does not get through
        problems.append(str(error))
    for problem in problems:
        if problem != "ok":
            yield Finding("the file", problem, f"its pages are damaged: check the disk, and {_RESTORE}")


def _references(connection: apsw.Connection) -> Iterator[Finding]:
    broken: list[Any] = connection.execute("PRAGMA foreign_key_check").fetchall()
    for table, row, parent, _ in broken:
        key = row
        if row is not None and table in ("order_", "fill", "intent"):
            column = {"order_": "id", "fill": "trade_id", "intent": "alert_id"}[table]
            sql = f"SELECT {column} FROM {table} WHERE rowid = ?"  # noqa: S608 - names of ours
            key = connection.execute(sql, (row,)).get
        what = f"it belongs to a row of {parent.rstrip('_')} that is gone"
        yield Finding(f"{table.rstrip('_')} {key}", what, f"somebody deleted that: {_RESTORE}")


def _events(connection: apsw.Connection) -> Iterator[tuple[Event, str]]:
    sql = f"SELECT {codec.EVENT}, hash FROM event ORDER BY seq"  # noqa: S608 - our own constants
    for row in connection.execute(sql):
        yield codec.event(row[:-1]), str(row[-1])


def _start(connection: apsw.Connection) -> tuple[int, str]:
    row = connection.execute("SELECT seq, hash FROM chain_anchor ORDER BY seq DESC LIMIT 1").fetchone()
    return (row[0], row[1]) if row else (0, chain.GENESIS)
