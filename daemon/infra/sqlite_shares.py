"""The strategies' shares of the positions, kept with every fill; see `fks.domain.shares`."""

from decimal import Decimal

import apsw

from fks.domain import book, shares
from fks.domain.messages import Fill, Order, Position, Share
from fks.domain.money import ZERO, plain
from fks.domain.orders import Leg
from fks.infra import sqlite_codec as codec

_DAY = 86400.0
_COLUMNS = f"strategy, {codec.POSITION}, day, net_before"
_UPSERT = (
    f"INSERT INTO strategy_position({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET"  # noqa: S608 - our own constants
    " amount = excluded.amount, average = excluded.average, realized = excluded.realized,"
    " fees = excluded.fees, day = excluded.day, net_before = excluded.net_before"
)


def book_shares(connection: apsw.Connection, order: Order, fill: Fill, before: Decimal) -> None:
    """In the transaction of the fill. `before`: the account's signed position without it."""
    if not order.strategy and order.leg is not Leg.CLOSE:
        return
    rows: list[codec.Row] = connection.execute(
        f"SELECT {_COLUMNS} FROM strategy_position WHERE account = ? AND symbol = ?",  # noqa: S608 - our own constants
        (order.account, order.symbol),
    ).fetchall()
    known = {row[0]: (codec.position(row[1:-2]), row[-2], Decimal(row[-1])) for row in rows}
    held = {name: position.amount for name, (position, _, _) in known.items()}
    for name, part in shares.attribute(order, fill, before, held):
        empty = Position(account=order.account, symbol=order.symbol)
        position, day, net_before = known.get(name, (empty, 0, ZERO))
        today = max(day, int(fill.time // _DAY))
        if today > day:
            net_before = _net(position)
        after = book.apply(position, order.side, part, *book.currencies(order.symbol))
        numbers = [plain(one) for one in (after.amount, after.average, after.realized, after.fees)]
        connection.execute(_UPSERT, (name, order.account, order.symbol, *numbers, today, plain(net_before)))


def read_shares(connection: apsw.Connection, account: str, now: float) -> dict[str, Share]:
    """By strategy; of those that hold something, or did something today or within the last minute."""
    today = int(now // _DAY)
    sent = connection.execute(
        "SELECT o.strategy, count(*) FROM attempt t JOIN order_ o ON o.id = t.order_id"
        " WHERE t.account = ? AND t.sent_at > ? AND o.strategy <> '' GROUP BY o.strategy",
        (account, now - 60.0),
    )
    found = {name: Share(placed_last_minute=count) for name, count in sent}
    holdings = connection.execute(
        f"SELECT {_COLUMNS} FROM strategy_position"  # noqa: S608 - our own constants
        " WHERE account = ? AND (amount <> '0' OR day >= ?)",
        (account, today),
    )
    for name, *columns, day, net_before in holdings:
        share, position = found.get(name, Share()), codec.position(tuple(columns))
        gained = book.EXACT.subtract(_net(position), Decimal(net_before)) if day >= today else ZERO
        found[name] = Share(
            positions={**share.positions, position.symbol: position},
            realized_today=book.EXACT.add(share.realized_today, gained),
            placed_last_minute=share.placed_last_minute,
        )
    return found


def _net(position: Position) -> Decimal:
    return book.EXACT.subtract(position.realized, position.fees)
