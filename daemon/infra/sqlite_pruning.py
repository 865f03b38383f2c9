"""Forgetting what is old; see `fks.ledger.Ledger` and `fks.domain.retention` for what may go.

The database's triggers hold the same rules once more: an order that is not at rest, a fill that is not
carried and an event beyond the anchor cannot be deleted.
"""

import json
from collections.abc import Sequence

from fks.domain.messages import Carried, Position
from fks.domain.money import plain
from fks.infra import sqlite_codec as codec
from fks.infra.sqlite_chain import SqliteChain
from fks.infra.sqlite_schema import FORGETTABLE

_GIVEN = "(SELECT value FROM json_each(?))"
_ORDERS = f"(SELECT id FROM order_ WHERE alert_id IN {_GIVEN})"  # noqa: S608 - our own constants
_DELETIONS = (  # what refers to something before what it refers to
    f"DELETE FROM unprotected WHERE order_id IN {_ORDERS}",  # noqa: S608
    f"DELETE FROM fill WHERE order_id IN {_ORDERS}",  # noqa: S608
    f"DELETE FROM attempt WHERE order_id IN {_ORDERS}",  # noqa: S608
    f"DELETE FROM order_ WHERE alert_id IN {_GIVEN}",  # noqa: S608
    f"DELETE FROM intent WHERE alert_id IN {_GIVEN}",  # noqa: S608
    f"DELETE FROM alert WHERE id IN {_GIVEN}",  # noqa: S608
)
_SHARE = f"INSERT INTO carried_share(strategy, {codec.POSITION}) VALUES (?,?,?,?,?,?,?)"  # noqa: S608


class SqlitePruning(SqliteChain):
    """Each call is a slice of some milliseconds."""

    def carry(self, carried: Carried) -> None:
        """See Ledger. Raises ValueError when more is carried already."""
        market = (carried.account, carried.symbol)
        done = self.first("SELECT upto FROM carried WHERE account = ? AND symbol = ?", *market)
        if done is not None and done[0] > carried.upto:
            raise ValueError(f"{carried.symbol} of {carried.account} is carried up to {done[0]} already")
        self.rows(
            "INSERT OR REPLACE INTO carried(account, symbol, upto, price, amount, average, realized, fees)"
            " VALUES (?,?,?,?,?,?,?,?)",
            *market, carried.upto, plain(carried.price), *_numbers(carried.position),
        )  # fmt: skip
        self.rows("DELETE FROM carried_share WHERE account = ? AND symbol = ?", *market)
        for strategy, share in carried.shares.items():
            self.rows(_SHARE, strategy, *market, *_numbers(share))

    def forget(self, alert_ids: Sequence[str], horizon: float) -> int:
        """See Ledger."""
        again = f"SELECT a.id FROM alert a WHERE a.id IN {_GIVEN} AND {FORGETTABLE}"  # noqa: S608 - our own constants
        old = [row[0] for row in self.rows(again, json.dumps(alert_ids), horizon, horizon, horizon)]
        for statement in _DELETIONS:
            self.rows(statement, json.dumps(old))
        return len(old)

    def trim(self, exported: int, horizon: float, limit: int) -> int:
        """See Ledger."""
        oldest = self.rows(
            "SELECT seq, hash, time FROM event WHERE seq <= ? ORDER BY seq LIMIT ?", exported, limit
        )
        young = next((at for at, row in enumerate(oldest) if row[2] >= horizon), len(oldest))
        if young:
            seq, head, _ = oldest[young - 1]
            self.rows("INSERT INTO chain_anchor(seq, hash) VALUES (?,?)", seq, head)
            self.rows("DELETE FROM chain_anchor WHERE seq < ?", seq)
            self.rows("DELETE FROM event WHERE seq <= ?", seq)
        return young


def _numbers(position: Position) -> list[str]:
    return [plain(one) for one in (position.amount, position.average, position.realized, position.fees)]
