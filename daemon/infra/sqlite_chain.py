"""Appending to the journal's event chain."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import apsw

from fks.domain.messages import Event, Order
from fks.domain.money import plain
from fks.infra import chain
from fks.infra import sqlite_codec as codec
from fks.infra.sqlite_reader import SqliteReader
from fks.ledger import JournalFull

Mark = tuple[int, str, int]

_INSERT = f"INSERT INTO event({codec.EVENT}, hash) VALUES (?,?,?,?,?,?,?,?)"  # noqa: S608 - our own constants
_TOLD = (
    "leg", "symbol", "side", "type", "amount", "price", "stop_price", "trail_percent", "attempt", "parent",
    "client_order_id", "exchange_order_id", "filled", "average", "reason", "send_by",
)  # fmt: skip


class SqliteChain(SqliteReader):
    """Used by one thread at a time, within the store's transaction.

    `appended` are the events of the batch so far. `spare` is set while the disk is full: then nothing new is
    accepted and nothing is noted, so that the last space goes to the orders that are under way.
    """

    def __init__(self, connection: apsw.Connection, wall: Callable[[], float]) -> None:
        super().__init__(connection)
        self.spare = False
        self.appended: list[Event] = []
        self._wall = wall
        last = self.first("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1") or self.chain_start()
        self._seq, self._head = last or (0, chain.GENESIS)

    def mark_point(self) -> Mark:
        """Where the chain stands, for `roll_back`."""
        return self._seq, self._head, len(self.appended)

    def roll_back(self, to: Mark) -> None:
        """Forget the events since `to`, together with the database's own roll-back."""
        self._seq, self._head, count = to
        del self.appended[count:]

    def probe(self) -> None:
        """See Ledger. SQLite writes the version's page although it is the same; an empty transaction would
        not reach the disk.
        """
        self.connection.pragma("user_version", self.connection.pragma("user_version"))

    def note(self, kind: str, *, account: str | None = None, **data: Any) -> None:
        """See Ledger. `alert_id` and `order_id` in `data` become the event's own. Raises JournalFull."""
        self._need_space()
        alert_id, order_id = data.pop("alert_id", None), data.pop("order_id", None)
        self._event(kind, data, alert_id, order_id, account)

    def _need_space(self) -> None:
        if self.spare:
            raise JournalFull("the disk is full: nothing new is taken until there is space again")

    def _order_event(self, kind: str, order: Order, more: dict[str, Any] | None = None) -> None:
        facts = {name: getattr(order, name) for name in _TOLD}
        told = {
            name: plain(one) if isinstance(one, Decimal) else one
            for name, one in facts.items()
            if one is not None
        }
        self._event(kind, {**told, **(more or {})}, order.alert_id, order.id, order.account)

    def _event(
        self,
        kind: str,
        data: dict[str, Any],
        alert_id: str | None = None,
        order_id: str | None = None,
        account: str | None = None,
    ) -> None:
        """Append to the chain. Raises TypeError for data that JSON cannot say (a Secret, for one)."""
        told = chain.encode_data(data)
        now = self._wall()
        row = (self._seq + 1, now, str(kind), alert_id, order_id, account, told.decode())
        event = codec.event(row)
        head = chain.digest(chain.line(event, told, self._head))
        self.connection.execute(_INSERT, (*row, head))
        self._seq, self._head = event.seq, head
        self.appended.append(event)
