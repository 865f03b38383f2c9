"""Questions to the journal's database; see `fks.ledger.Reader` for what they mean."""

from decimal import Decimal
from typing import Any

import apsw
import msgspec

from fks.domain import book
from fks.domain.daily import Day
from fks.domain.messages import (
    Carried,
    Event,
    Exposure,
    Fill,
    Intent,
    Order,
    Position,
    Share,
    TradingRecord,
    TradingState,
)
from fks.domain.outcome import AlertState
from fks.domain.trades import Execution
from fks.domain.trading_state import Peak
from fks.infra import sqlite_codec as codec
from fks.infra.sqlite_day import read_day
from fks.infra.sqlite_schema import CUT_SHORT, FORGETTABLE, OWED, UNFINISHED, carried
from fks.infra.sqlite_shares import read_shares

_DAY = 86400.0
# Named, because SQLite would rather take an index that holds every order there ever was.
INDEXED = "order_ INDEXED BY order_unfinished"

_FILLS = ", ".join(f"f.{name}" for name in Fill.__struct_fields__)
_ORDERS = ", ".join(f"o.{name}" for name in Order.__struct_fields__)
_EXECUTIONS = (
    f"SELECT f.n, a.alert, {_FILLS}, {_ORDERS} FROM fill f CROSS JOIN order_ o ON o.id = f.order_id"  # noqa: S608 - our own constants
    " CROSS JOIN alert a ON a.id = o.alert_id"
    f" WHERE f.n > ? AND NOT {carried('f.n', 'f.account', 'f.order_id')} ORDER BY f.n LIMIT ?"
)


_CARRIED = carried("n", "fill.account", "order_id")
_SHARE = f"SELECT strategy, {codec.POSITION} FROM carried_share WHERE account = ? AND symbol = ?"  # noqa: S608 - our own constants


class _Seen(msgspec.Struct):
    price: Decimal | None = None


_seen = msgspec.json.Decoder(_Seen)


class SqliteReader:
    """A view through one connection; the caller holds a read transaction around it."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection

    def rows(self, sql: str, *values: str | float | None) -> list[codec.Row]:
        """All rows of a query."""
        return self.connection.execute(sql, values).fetchall()

    def first(self, sql: str, *values: str | float | None) -> codec.Row | None:
        """The first row of a query, if there is one."""
        cursor = self.connection.execute(sql, values)
        row = cursor.fetchone()
        cursor.close()
        return row

    def _orders(self, where: str, *values: str | float | None, table: str = "order_") -> list[Order]:
        sql = f"SELECT {codec.ORDER} FROM {table} WHERE {where}"  # noqa: S608 - our own constants
        return [codec.order(row) for row in self.rows(sql, *values)]

    def unsized(self, account: str, limit: int, after: str | None = None) -> list[Intent]:
        """See Reader."""
        where, values = "i.account = ? AND i.state = 'accepted'", [account]
        if after is not None:
            where += " AND i.n > (SELECT n FROM intent WHERE alert_id = ? AND account = ?)"
            values += [after, account]
        return self._intents(f"{where} ORDER BY i.n LIMIT ?", *values, limit)

    def intents_of(self, alert_id: str) -> list[Intent]:
        """See Reader."""
        return self._intents("i.alert_id = ? ORDER BY i.n", alert_id)

    def _intents(self, where: str, *values: str | int) -> list[Intent]:
        sql = f"SELECT {codec.INTENT} FROM intent i JOIN alert a ON a.id = i.alert_id WHERE {where}"  # noqa: S608 - our own constants
        return [codec.intent(row) for row in self.rows(sql, *values)]

    def live_orders(self, account: str | None = None) -> list[Order]:
        """See Reader."""
        if account is None:
            return self._orders(f"{UNFINISHED} ORDER BY n", table=INDEXED)
        return self._orders(f"account = ? AND {UNFINISHED} ORDER BY n", account, table=INDEXED)

    def ended_short(self, account: str, since: float, limit: int) -> list[Order]:
        """See Reader."""
        ended = f"{CUT_SHORT} AND send_by IS NOT NULL"
        where = f"{ended} AND account = ? AND updated_at >= ? ORDER BY updated_at DESC LIMIT ?"
        return self._orders(where, account, since, limit)

    def exposure(self, account: str, now: float) -> Exposure:
        """See Reader. `realized_today` is net of the fees whose worth in quote currency is known."""
        today = self.rows(
            "SELECT realized, fee_quote FROM fill WHERE account = ? AND time >= ?", account, now - now % _DAY
        )
        sent = self.first(
            "SELECT count(*) FROM attempt WHERE account = ? AND sent_at > ?", account, now - 60.0
        )
        return Exposure(
            positions={one.symbol: one for one in self.positions(account)},
            live=tuple(self.live_orders(account)),
            realized_today=_net(today),
            placed_last_minute=sent[0] if sent else 0,
            shares=read_shares(self.connection, account, now),
        )

    def last_entry(
        self, account: str, symbol: str, since: float, strategy: str | None = None
    ) -> float | None:
        """See Reader. A sale on spot opens nothing."""
        found = self.first(
            """SELECT max(sent_at) FROM attempt JOIN order_ ON order_.id = attempt.order_id
            WHERE attempt.account = ? AND sent_at > ? AND symbol = ? AND leg = 'entry' AND NOT reduce_only
              AND (side = 'buy' OR instr(symbol, ':') > 0) AND strategy = coalesce(?, strategy)""",
            account,
            since,
            symbol,
            strategy,
        )
        return found[0] if found else None

    def symbol_today(self, account: str, symbol: str, now: float) -> Share:
        """See Reader."""
        today = self.rows(
            """SELECT realized, fee_quote FROM fill JOIN order_ ON order_.id = fill.order_id
            WHERE fill.account = ? AND time >= ? AND symbol = ?""",
            account,
            now - now % _DAY,
            symbol,
        )
        sent = self.first(
            """SELECT count(*) FROM attempt JOIN order_ ON order_.id = attempt.order_id
            WHERE attempt.account = ? AND sent_at > ? AND symbol = ?""",
            account,
            now - 60.0,
            symbol,
        )
        return Share(realized_today=_net(today), placed_last_minute=sent[0] if sent else 0)

    def shares(self, account: str, symbol: str) -> dict[str, Decimal]:
        """See Reader."""
        sql = "SELECT strategy, amount FROM strategy_position WHERE account = ? AND symbol = ?"
        return {name: Decimal(amount) for name, amount in self.rows(sql, account, symbol)}

    def order(self, any_id: str) -> Order | None:
        """See Reader. Exchanges count their ids apart from each other: of two that agree, the newest."""
        for where in (
            "id = ?",
            "id = (SELECT order_id FROM attempt WHERE client_order_id = ?)",
            "exchange_order_id = ? ORDER BY n DESC LIMIT 1",
        ):
            if found := self._orders(where, any_id):
                return found[0]
        return None

    def orders(
        self,
        *,
        limit: int = 100,
        before: str | None = None,
        state: str | None = None,
        account: str | None = None,
    ) -> list[Order]:
        """See Reader."""
        where, values = _page("order_", before, state=state, account=account)
        return self._orders(f"{where} ORDER BY n DESC LIMIT ?", *values, limit)

    def orders_of(self, alert_id: str) -> list[Order]:
        """See Reader."""
        return self._orders("alert_id = ? ORDER BY n", alert_id)

    def legs_of(self, entry_id: str) -> list[Order]:
        """The protective orders of an entry."""
        return self._orders("parent = ? ORDER BY n", entry_id)

    def fills_of(self, order_id: str) -> list[Fill]:
        """See Reader."""
        sql = f"SELECT {codec.FILL} FROM fill WHERE order_id = ? ORDER BY n"  # noqa: S608 - our own constants
        return [codec.fill(row) for row in self.rows(sql, order_id)]

    def account_fills(self, account: str) -> list[tuple[Order, Fill]]:
        """See Reader."""
        kept = f"account = ? AND NOT {_CARRIED} ORDER BY n"
        sql = f"SELECT {codec.FILL} FROM fill WHERE {kept}"  # noqa: S608 - our own constants
        fills = [codec.fill(row) for row in self.rows(sql, account)]
        filled = self._orders("account = ? AND filled <> '0'", account)
        orders = {order.id: order for order in filled}
        return [(orders[fill.order_id], fill) for fill in fills]

    def executions(self, after: int, limit: int = 1000) -> tuple[list[Execution], int]:
        """See Reader."""
        rows = self.rows(_EXECUTIONS, after, limit)
        return [_execution(row) for row in rows], rows[-1][0] if rows else after

    def carried(self, after: int = 0, account: str | None = None) -> list[Carried]:
        """See Reader."""
        rows = self.rows(
            f"SELECT upto, price, {codec.POSITION} FROM carried WHERE upto > ?"  # noqa: S608 - our own constants
            " AND account = coalesce(?, account) ORDER BY account, symbol",
            after,
            account,
        )
        found = []
        for upto, price, *columns in rows:
            position = codec.position(tuple(columns))
            own = self.rows(_SHARE, position.account, position.symbol)
            found.append(
                Carried(
                    account=position.account,
                    symbol=position.symbol,
                    upto=upto,
                    price=Decimal(price),
                    position=position,
                    shares={row[0]: codec.position(row[1:]) for row in own},
                )
            )
        return found

    def alert_state(self, alert_id: str) -> AlertState | None:
        """See Reader."""
        row = self.first("SELECT state FROM alert WHERE id = ?", alert_id)
        return None if row is None else AlertState(row[0])

    def alert(self, alert_id: str) -> dict[str, Any] | None:
        """See Reader."""
        row = self.first(f"SELECT {codec.ALERT} FROM alert WHERE id = ?", alert_id)  # noqa: S608 - our own constants
        return None if row is None else codec.alert_row(row)

    def alerts(
        self, *, limit: int = 100, before: str | None = None, state: str | None = None
    ) -> list[dict[str, Any]]:
        """See Reader."""
        where, values = _page("alert", before, state=state)
        sql = f"SELECT {codec.ALERT} FROM alert WHERE {where} ORDER BY n DESC LIMIT ?"  # noqa: S608 - our own constants
        return [codec.alert_row(row) for row in self.rows(sql, *values, limit)]

    def positions(self, account: str | None = None) -> list[Position]:
        """See Reader."""
        sql = f"SELECT {codec.POSITION} FROM position WHERE account = coalesce(?, account)"  # noqa: S608 - our own constants
        return [codec.position(row) for row in self.rows(f"{sql} ORDER BY account, symbol", account)]

    def strategy_positions(self, account: str | None = None) -> list[tuple[str, Position]]:
        """See Reader."""
        sql = f"SELECT strategy, {codec.POSITION} FROM strategy_position WHERE account = coalesce(?, account)"  # noqa: S608 - our own constants
        rows = self.rows(f"{sql} ORDER BY account, symbol, strategy", account)
        return [(row[0], codec.position(row[1:])) for row in rows]

    def events(self, after: int, limit: int = 1000) -> list[Event]:
        """See Reader."""
        sql = f"SELECT {codec.EVENT} FROM event WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 - our own constants
        return [codec.event(row) for row in self.rows(sql, after, limit)]

    def last_event(self, kind: str) -> Event | None:
        """See Reader."""
        sql = f"SELECT {codec.EVENT} FROM event WHERE kind = ? ORDER BY seq DESC LIMIT 1"  # noqa: S608 - our own constants
        row = self.first(sql, kind)
        return None if row is None else codec.event(row)

    def day(self, since: float, until: float) -> Day:
        """See Reader."""
        return read_day(self.connection, since, until)

    def chain_hash(self, seq: int) -> str | None:
        """The hash of record `seq`; None when the journal does not have it (any more)."""
        row = self.first(
            "SELECT hash FROM event WHERE seq = ? UNION ALL SELECT hash FROM chain_anchor WHERE seq = ?",
            seq,
            seq,
        )
        return None if row is None else str(row[0])

    def chain_start(self) -> tuple[int, str] | None:
        """Where the kept events begin: the last pruned record and its hash, if any was pruned."""
        row = self.first("SELECT seq, hash FROM chain_anchor ORDER BY seq DESC LIMIT 1")
        return None if row is None else (row[0], row[1])

    def newest_alert(self) -> int:
        """See Reader."""
        row = self.first("SELECT max(n) FROM alert")
        return row[0] or 0 if row else 0

    def forgettable(self, after: int, upto: int, horizon: float, limit: int) -> list[tuple[int, str]]:
        """See Reader."""
        page = f"SELECT a.n, a.id FROM alert a WHERE a.n > ? AND a.n <= ? AND {FORGETTABLE}"  # noqa: S608 - our own constants
        rows = self.rows(f"{page} ORDER BY a.n LIMIT ?", after, upto, horizon, horizon, horizon, limit)
        return [(row[0], row[1]) for row in rows]

    def backlog(self) -> int:
        """See Reader. A leg that waits for its entry, or for its price, is not owed yet."""
        row = self.first(
            "SELECT (SELECT count(*) FROM intent WHERE state = 'accepted')"  # noqa: S608 - our own constants
            f" + (SELECT count(*) FROM {INDEXED} WHERE {UNFINISHED} AND {OWED}"
            " AND NOT (state = 'planned' AND not_before = 9e999))"
        )
        return int(row[0]) if row else 0

    def trading(self) -> dict[str | None, TradingState]:
        """See Reader."""
        rows = self.rows("SELECT account, state FROM trading")
        return {account or None: TradingState(state) for account, state in rows}

    def trading_records(self) -> dict[str | None, TradingRecord]:
        """See Reader."""
        return {
            account or None: TradingRecord(
                state=TradingState(state), by=by, at=at, why=why, resumed_at=resumed_at
            )
            for account, state, by, at, why, resumed_at in self.rows(
                "SELECT account, state, by, at, why, resumed_at FROM trading"
            )
        }

    def fills_after(self, account: str, n: int, limit: int) -> list[tuple[int, Order, Fill]]:
        """See Reader."""
        kept = f"n > ? AND +account = ? AND NOT {_CARRIED} ORDER BY n LIMIT ?"
        sql = f"SELECT n, {codec.FILL} FROM fill WHERE {kept}"  # noqa: S608 - our own constants
        return [
            (number, self._orders("id = ?", row[0])[0], codec.fill(tuple(row)))
            for number, *row in self.rows(sql, n, account, limit)
        ]

    def equity_peak(self, account: str) -> Peak | None:
        """See Reader."""
        row = self.first("SELECT equity, at FROM equity_peak WHERE account = ?", account)
        return None if row is None else Peak(Decimal(row[0]), row[1])


def _net(fills: list[codec.Row]) -> Decimal:
    """Of rows of a realised profit and a fee, both in quote currency."""
    gains, fees = (book.total(Decimal(row[at]) for row in fills) for at in (0, 1))
    return book.EXACT.subtract(gains, fees)


def _execution(row: codec.Row) -> Execution:
    order_at = 2 + len(Fill.__struct_fields__)
    order = codec.order(row[order_at:])
    price = _seen.decode(row[1]).price or order.reference_price
    return Execution(order, codec.fill(row[2:order_at]), order.strategy, price, row[0])


def _page(table: str, before: str | None, **equal: str | None) -> tuple[str, list[str]]:
    """The WHERE of one page, newest first: what is older than `before` and equal where asked."""
    terms, values = ["1"], []
    if before is not None:
        terms.append(f"n < (SELECT n FROM {table} WHERE id = ?)")  # noqa: S608 - our own constants
        values.append(before)
    for column, wanted in equal.items():
        if wanted is not None:
            terms.append(f"{column} = ?")
            values.append(wanted)
    return " AND ".join(terms), values
