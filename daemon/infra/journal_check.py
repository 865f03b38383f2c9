"""What `fks journal verify` tells of a journal: whether it is sound. How full it is: `journal_stats`.

Everything works on a reader, so it runs beside the daemon or without it.
"""

import contextlib
import operator
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import apsw
import msgspec

from fks.domain import book
from fks.domain.attribution import Attribution
from fks.domain.messages import Position
from fks.domain.trades import RoundTrips
from fks.infra import journal_invariants
from fks.infra import sqlite_file as file
from fks.infra.chain import VerifyResult
from fks.infra.sqlite_reader import SqliteReader
from fks.infra.sqlite_schema import MIGRATIONS
from fks.infra.sqlite_sound import Finding, sound, told

__all__ = ["open_journal", "verify_journal"]

_ROUNDING = Decimal("1e-9")  # of a sum of money: mean prices have 28 digits
_BOOKS = "compare with the exchange; `fks journal export` has the fills"


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[SqliteReader]:
    """For a command beside the daemon: read-only, of this schema or an older one.

    Raises JournalBroken or SchemaTooNew.
    """
    connection = file.open_reader(path, len(MIGRATIONS))
    try:
        yield SqliteReader(connection)
    finally:
        connection.close()


def verify_journal(reader: SqliteReader) -> VerifyResult:
    """Integrity of the file, references, the event chain; then what every row must be to the others.

    `problems` names each thing that is wrong, where, and what to do; `records` counts the events that hold.
    Of an older schema, only what holds of every schema is looked at. Raises apsw.Error for no journal.
    """
    with reader.connection:  # one snapshot for all questions
        result = sound(reader.connection)
        problems = list(result.problems)
        if file.schema(reader.connection) == len(MIGRATIONS):
            for check in (books, *journal_invariants.CHECKS):
                problems += told(_readable(check, reader))
    return VerifyResult(records=result.records, problems=tuple(problems), head=result.head)


def _readable(check: Callable[[SqliteReader], Iterator[Finding]], reader: SqliteReader) -> Iterator[Finding]:
    """What it finds; a value that is no number or no word of ours is a finding too."""
    try:
        yield from check(reader)
    except (ValueError, ArithmeticError, msgspec.MsgspecError, KeyError, apsw.CorruptError) as error:
        what = f"a value in it cannot be read ({type(error).__name__}: {error})"
        yield Finding(f"the check of {check.__name__}", what, "restore a backup")


def books(reader: SqliteReader) -> Iterator[Finding]:
    """All fills folded anew, from where they are carried, once as positions and once as round trips."""
    fold, trips, after = Attribution(), RoundTrips(), 0
    gains: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    fees: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for one in reader.carried():
        key = (one.account, one.symbol)
        fold.begin(one)
        trips.begin(*key, one.shares)
        left = (book.EXACT.multiply(part.amount, part.average) for part in one.shares.values())
        gains[key] = book.EXACT.add(_gain(one.position), book.total(left))
        fees[key] = one.position.fees
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
    yield from _positions(reader, fold.positions)
    yield from _shares(reader, fold.shares)
    for (account, symbol), position in sorted(fold.positions.items()):
        same_gain = _same(gains[account, symbol], _gain(position))
        if not same_gain or not _same(fees[account, symbol], position.fees):
            where = f"the round trips of {account} in {symbol}"
            yield Finding(where, "they do not add up to its profit and fees", _BOOKS)


def _gain(position: Position) -> Decimal:
    """Cash taken less cash given, the profit once it is flat: however it is shared among strategies."""
    return book.EXACT.subtract(position.realized, book.EXACT.multiply(position.amount, position.average))


def _same(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= _ROUNDING * max(Decimal(1), abs(one), abs(other))


def _positions(reader: SqliteReader, folded: dict[tuple[str, str], Position]) -> Iterator[Finding]:
    stored = {(one.account, one.symbol): one for one in reader.positions()}
    for key in sorted(folded.keys() | stored.keys()):
        where = f"the position of {key[0]} in {key[1]}"
        yield from _differs(where, folded.get(key), stored.get(key))


def _differs(
    where: str,
    fold: Position | None,
    row: Position | None,
    same: Callable[[Decimal, Decimal], bool] = operator.eq,
) -> Iterator[Finding]:
    if fold and row:
        which = [
            f"{name} {getattr(row, name):f}, by the fills {getattr(fold, name):f}"
            for name in ("amount", "average", "realized", "fees")
            if not same(getattr(fold, name), getattr(row, name))
        ]
    else:
        which = ["there is no row"] if fold else ["there are no fills"]
    if which:
        yield Finding(where, f"it is not what its fills add up to: {', '.join(which)}", _BOOKS)


def _shares(reader: SqliteReader, shares: dict[tuple[str, str], dict[str, Position]]) -> Iterator[Finding]:
    folded = {(*key, name): share for key, named in shares.items() for name, share in named.items()}
    stored = {(one.account, one.symbol, name): one for name, one in reader.strategy_positions()}
    for key in sorted(folded.keys() | stored.keys()):
        where = f"the share of {key[2]} in the position of {key[0]} in {key[1]}"
        # A share may be a part that was rounded: the last of its 28 digits is no damage.
        yield from _differs(where, folded.get(key), stored.get(key), _same)
