"""What `fks journal` tells of a journal: whether it is sound, and how full it is.

All work on a reader, so that they run beside the daemon or without it.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from fks.domain import book
from fks.domain.attribution import Attribution
from fks.domain.messages import Event, Position
from fks.domain.trades import RoundTrips
from fks.infra import chain
from fks.infra import sqlite_codec as codec
from fks.infra import sqlite_file as file
from fks.infra.audit import VerifyResult, verify_events
from fks.infra.sqlite_reader import SqliteReader

__all__ = ["open_journal", "stats", "verify_journal"]

_ROUNDING = Decimal("1e-9")  # of a sum of money: mean prices have 28 digits


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[SqliteReader]:
    """For a command beside the daemon: read-only. Raises JournalBroken."""
    connection = file.open_reader(path)
    try:
        yield SqliteReader(connection)
    finally:
        connection.close()


def verify_journal(reader: SqliteReader) -> VerifyResult:
    """Integrity of the file, the event chain; positions, shares, round trips and filled amounts by the fills.

    `problems` names each thing that is wrong; `records` counts the events that hold.
    """
    with reader.connection:  # one snapshot for all questions
        problems = [str(row[0]) for row in reader.rows("PRAGMA integrity_check(10)") if row[0] != "ok"]
        events = verify_events(_events(reader), reader.chain_start() or (0, chain.GENESIS))
        problems += events.problems
        problems += _book(reader)
        problems += _filled(reader)
    return VerifyResult(records=events.records, problems=tuple(problems), head=events.head)


def _events(reader: SqliteReader) -> Iterator[tuple[Event, str]]:
    sql = f"SELECT {codec.EVENT}, hash FROM event ORDER BY seq"  # noqa: S608 - our own constants
    for row in reader.connection.execute(sql):
        yield codec.event(row[:-1]), str(row[-1])


def _book(reader: SqliteReader) -> list[str]:
    """All fills folded anew, once as positions and once as round trips."""
    fold, trips, after = Attribution(), RoundTrips(), 0
    gains: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    fees: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    while (chunk := reader.executions(after))[0]:
        executions, after = chunk
        for trip in (done for one in executions for part in fold.parts(one) for done in trips.add(part)):
            key = (trip.account, trip.symbol)
            gains[key] = book.EXACT.add(gains[key], trip.realized)
            fees[key] = book.EXACT.add(fees[key], trip.fees)
    for (account, _, symbol), held in trips.positions().items():
        key = (account, symbol)
        gains[key] = book.EXACT.add(gains[key], _gain(held))
        fees[key] = book.EXACT.add(fees[key], held.fees)
    return [
        *_positions(reader, fold.positions),
        *_shares(reader, fold.shares),
        *(
            f"the round trips of {account} in {symbol} do not add up to its position's profit and fees"
            for (account, symbol), position in sorted(fold.positions.items())
            if not _same(gains[account, symbol], _gain(position))
            or not _same(fees[account, symbol], position.fees)
        ),
    ]


def _gain(position: Position) -> Decimal:
    """Cash taken less cash given, the profit once it is flat: however it is shared among strategies."""
    return book.EXACT.subtract(position.realized, book.EXACT.multiply(position.amount, position.average))


def _same(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= _ROUNDING * max(Decimal(1), abs(one), abs(other))


def _positions(reader: SqliteReader, folded: dict[tuple[str, str], Position]) -> list[str]:
    stored = {(one.account, one.symbol): one for one in reader.positions()}
    return [
        f"the position of {account} in {symbol} is not what its fills add up to"
        for account, symbol in sorted(folded.keys() | stored.keys())
        if folded.get((account, symbol)) != stored.get((account, symbol))
    ]


def _shares(reader: SqliteReader, shares: dict[tuple[str, str], dict[str, Position]]) -> list[str]:
    folded = {(*key, name): share for key, named in shares.items() for name, share in named.items()}
    stored = {(one.account, one.symbol, name): one for name, one in reader.strategy_positions()}
    return [
        f"the share of {strategy} in the position of {account} in {symbol} is not what its fills add up to"
        for account, symbol, strategy in sorted(folded.keys() | stored.keys())
        if not _alike(folded.get((account, symbol, strategy)), stored.get((account, symbol, strategy)))
    ]


def _alike(one: Position | None, other: Position | None) -> bool:
    """A share may be a part that was rounded; the last of its 28 digits is no damage."""
    if one is None or other is None:
        return one is other
    numbers = ("amount", "average", "realized", "fees")
    return all(_same(getattr(one, name), getattr(other, name)) for name in numbers)


def _filled(reader: SqliteReader) -> list[str]:
    sums: dict[str, Decimal] = {}
    for order_id, amount in reader.rows("SELECT order_id, amount FROM fill"):
        sums[order_id] = book.EXACT.add(sums.get(order_id, Decimal(0)), Decimal(amount))
    stored = {
        row[0]: Decimal(row[1]) for row in reader.rows("SELECT id, filled FROM order_ WHERE filled <> '0'")
    }
    return [
        f"order {order_id}: {stored.get(order_id, 0)} filled, but its fills add up to {sums.get(order_id, 0)}"
        for order_id in sorted(sums.keys() | stored.keys())
        if sums.get(order_id) != stored.get(order_id)
    ]


def stats(reader: SqliteReader) -> dict[str, Any]:
    """JSON-ready: rows by table, alerts and orders by state, what is unfinished, sizes in bytes."""
    tables = ("alert", "intent", "order_", "attempt", "fill", "position", "event")
    counts = {name.rstrip("_"): _count(reader, f"SELECT count(*) FROM {name}") for name in tables}  # noqa: S608 - the names above
    path = Path(reader.connection.filename)
    log = path.with_name(path.name + "-wal")
    span = reader.first("SELECT min(received_at), max(received_at) FROM alert") or (None, None)
    return {
        "schema": reader.connection.pragma("user_version"),
        "rows": counts,
        "alerts": dict(reader.rows("SELECT state, count(*) FROM alert GROUP BY state ORDER BY state")),
        "orders": dict(reader.rows("SELECT state, count(*) FROM order_ GROUP BY state ORDER BY state")),
        "backlog": reader.backlog(),
        "oldest_alert": None if span[0] is None else chain.rfc3339(span[0]),
        "newest_alert": None if span[1] is None else chain.rfc3339(span[1]),
        "database_bytes": path.stat().st_size,
        "log_bytes": log.stat().st_size if log.exists() else 0,
    }


def _count(reader: SqliteReader, sql: str) -> int:
    row = reader.first(sql)
    return int(row[0]) if row else 0
