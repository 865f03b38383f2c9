"""What a span of time came to, for the daily summary; see `fks.domain.daily`."""

from collections import Counter, defaultdict
from decimal import Decimal

import apsw
import msgspec

from fks.domain import book
from fks.domain.daily import AccountDay, Day
from fks.domain.events import Kind

_SLACK_S = 3600.0  # how far the wall clock may have been set back: rows are numbered in the order of writing


class _Told(msgspec.Struct):
    code: str = ""


_told = msgspec.json.Decoder(_Told)


def read_day(connection: apsw.Connection, since: float, until: float) -> Day:
    """Alerts, orders and alarms of `[since, until)` by what is recorded now; fills by their own time."""
    span = {"since": since, "until": until, "before": since - _SLACK_S}
    alarms = Counter(
        _told.decode(data).code
        for (data,) in connection.execute(
            _new("data", "event", "seq", "time") + f" AND kind = '{Kind.ALARM}'",
            span,
        )
    )
    return Day(
        alerts=dict(connection.execute(_by_state("alert", "received_at"), span)),
        orders=dict(connection.execute(_by_state("order_", "created_at"), span)),
        accounts=_accounts(connection, since, until),
        alarms=dict(alarms),
    )


def _accounts(connection: apsw.Connection, since: float, until: float) -> dict[str, AccountDay]:
    fills: dict[str, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    rows = connection.execute(
        "SELECT f.account, f.realized, f.fee_quote FROM (SELECT DISTINCT account FROM position) p"
        " CROSS JOIN fill f ON f.account = p.account AND f.time >= ? AND f.time < ?",
        (since, until),
    )
    for account, realized, fee in rows:
        fills[account].append((Decimal(realized), Decimal(fee)))
    return {
        account: AccountDay(
            len(parts), book.total(gain for gain, _ in parts), book.total(fee for _, fee in parts)
        )
        for account, parts in fills.items()
    }


def _new(columns: str, table: str, number: str, time: str) -> str:
    """Walks back from the newest row, not through all there ever were: the times have no index."""
    first = f"(SELECT {number} FROM {table} WHERE {time} < :before ORDER BY {number} DESC LIMIT 1)"  # noqa: S608 - our own constants
    return (
        f"SELECT {columns} FROM {table} WHERE {number} > coalesce({first}, 0)"  # noqa: S608 - our own constants
        f" AND {time} >= :since AND {time} < :until"
    )


def _by_state(table: str, time: str) -> str:
    return _new("state, count(*)", table, "n", time) + " GROUP BY state"
