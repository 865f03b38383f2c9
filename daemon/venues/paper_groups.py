"""The paper exchange's orders, and the groups that an entry and its protective legs form.

A leg is pending until its entry has filled. Then the group guards what is left, `filled by the entry -
filled by its legs`, and no leg may fill more than that: a take profit's fill makes the stop smaller,
and once nothing is left the others have no purpose (one cancels the other). What the owner closes himself
counts as well: on spot the legs hold the coins, but not against him.
"""

from collections import deque
from collections.abc import Iterator
from decimal import Decimal

from fks.domain.messages import Order
from fks.domain.money import ZERO
from fks.venues.paper_order import Working

REMEMBERED = 2_000  # groups of orders at rest; the exchange's memory must end somewhere


class Orders:
    """Every order accepted or restored, live ones apart."""

    def __init__(self) -> None:
        self.open: dict[str, Working] = {}  # by client order id, in order of arrival
        self._all: dict[str, Working] = {}
        self._entries: dict[str, Working] = {}  # by the order's own id: what a leg calls its parent
        self._legs: dict[str, list[Working]] = {}  # by their entry's id
        self._rested: deque[Working] = deque()  # oldest first; a leg goes with its entry
        # Entries of which something is held: by symbol, then by the order's own id, oldest first.
        self._held: dict[str, dict[str, Working]] = {}

    def __contains__(self, order: Order) -> bool:
        return order.client_order_id in self._all

    def get(self, client_order_id: str) -> Working | None:
        return self._all.get(client_order_id)

    def add(self, working: Working) -> None:
        order = working.order
        self._all[order.client_order_id] = self._entries[order.id] = working
        self.open[order.client_order_id] = working
        if order.leg.protective and order.parent:
            self._legs.setdefault(order.parent, []).append(working)

    def rest(self, working: Working) -> None:
        """It has come to rest: keep it for a while, but no longer among the open ones."""
        was_open = self.open.pop(working.order.client_order_id, None) is not None
        if was_open and self.entry_of(working.order) is None:
            self._rested.append(working)

    def forget(self) -> None:
        """Those that came to rest long ago: the journal has them at rest, nobody asks any more. An entry
        stays while one of its legs lives.
        """
        for _ in range(len(self._rested) - REMEMBERED):
            entry = self._rested.popleft()
            legs = self._legs.get(entry.order.id, [])
            if any(leg.live for leg in legs):
                self._rested.append(entry)
                continue
            entry.closed += sum((leg.filled for leg in legs), ZERO)  # it may be held yet
            for one in (entry, *legs):
                self._all.pop(one.order.client_order_id, None)
                self._entries.pop(one.order.id, None)
            self._legs.pop(entry.order.id, None)

    def entry_of(self, order: Order) -> Working | None:
        """What a protective leg protects; None for other orders, and when it is not here."""
        return self._entries.get(order.parent or "") if order.leg.protective else None

    def left(self, entry: Working) -> Decimal:
        """What the entry has filled and nobody has closed yet."""
        return entry.filled - sum((leg.filled for leg in self._legs.get(entry.order.id, ())), entry.closed)

    def count(self, working: Working, amount: Decimal) -> list[Working]:
        """A fill changes who holds what. The entries that it leaves nothing of, if it is the owner's.

        It takes from what he holds as his own book does (`domain.protection_watch`): from the entry that it
        names, from those of its strategy, and then from the oldest. Beyond that it opens, but a sale on spot.
        """
        order, held = working.order, self._held.setdefault(working.order.symbol, {})
        if order.leg.protective:
            guarded = self.entry_of(order)
            if guarded and self.left(guarded) <= 0:
                held.pop(guarded.order.id, None)
            return []
        opposite = [one for one in held.values() if one.buying is not working.buying]
        emptied = []
        for entry in sorted(opposite, key=lambda one: _distance(order, one.order)):
            part = min(amount, max(ZERO, self.left(entry)))
            entry.closed += part
            amount -= part
            if working.market.settle:  # what closes opens nothing (on spot its legs buy the coins back)
                working.closed += part
            if self.left(entry) <= 0:
                del held[entry.order.id]
                emptied.append(entry)
        if amount and (working.buying or working.market.settle):
            held.setdefault(order.id, working)
        return emptied

    def fillable(self, working: Working) -> Decimal:
        """How much of the order may fill now; 0 while it is pending."""
        own = working.order.amount - working.filled
        entry = self.entry_of(working.order)
        return own if entry is None else max(ZERO, min(own, self.left(entry)))

    def purposeless(self, working: Working) -> Iterator[Working]:
        """The live legs of this order's group, when there is nothing to guard, now or later."""
        entry = self.entry_of(working.order) or working
        if not entry.live and self.left(entry) <= 0:
            yield from (leg for leg in self._legs.get(entry.order.id, ()) if leg.live)


def _distance(sale: Order, entry: Order) -> int:
    if entry.id == sale.parent:
        return 0
    return 1 if entry.strategy == sale.strategy else 2


def group_of(order: Order) -> str:
    """The id that an entry and its legs share."""
    return (order.parent if order.leg.protective else None) or order.id
