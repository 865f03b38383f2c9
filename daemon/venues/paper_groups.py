"""The paper exchange's orders, and the groups that an entry and its protective legs form.

A leg is pending until its entry has filled. Then the group guards what is left, `filled by the entry -
filled by its legs`, and no leg may fill more than that: a take profit's fill makes the stop smaller,
and once nothing is left the others have no purpose (one cancels the other).
"""

from collections.abc import Iterator
from decimal import Decimal

from fks.domain.messages import Order
from fks.domain.money import ZERO
from fks.venues.paper_order import Working


class Orders:
    """Every order accepted or restored, live ones apart."""

    def __init__(self) -> None:
        self.open: dict[str, Working] = {}  # by client order id, in order of arrival
        self._all: dict[str, Working] = {}
        self._entries: dict[str, Working] = {}  # by the order's own id: what a leg calls its parent
        self._legs: dict[str, list[Working]] = {}  # by their entry's id

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
        """It has come to rest: keep it, but no longer among the open ones."""
        self.open.pop(working.order.client_order_id, None)

    def entry_of(self, order: Order) -> Working | None:
        """What a protective leg protects; None for other orders, and when it is not here."""
        return self._entries.get(order.parent or "") if order.leg.protective else None

    def left(self, entry: Working) -> Decimal:
        """What the entry has filled and no leg has closed yet."""
        return entry.filled - sum((leg.filled for leg in self._legs.get(entry.order.id, ())), ZERO)

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


def group_of(order: Order) -> str:
    """The id that an entry and its legs share."""
    return (order.parent if order.leg.protective else None) or order.id
