"""What the sender of an alert is told of its outcome. Pure: from the ledger's rows to a status and a body."""

from collections.abc import Sequence
from typing import Any

from fks.domain.alerts import Alert
from fks.domain.messages import Intent, Order
from fks.domain.outcome import AlertState
from fks.domain.views import order_view

SETTLED = frozenset({AlertState.PLACED, AlertState.DONE, AlertState.REFUSED})


def success(alert_id: str, alert: Alert, orders: Sequence[Order]) -> dict[str, Any]:
    """The 200's body. `order_id` is the exchange's own id of the first order: what its web page shows."""
    first = next((order for order in orders if not order.leg.protective), None)
    return {
        "status": "success",
        "alert_id": alert_id,
        "order_id": first.exchange_order_id if first else None,
        "symbol": first.symbol if first else alert.symbol,
        "action": alert.action.value,
        "exchange": first.account if first else alert.exchange,
        "orders": [order_view(order) for order in orders],
    }


def refusal(intents: Sequence[Intent], orders: Sequence[Order]) -> tuple[str, str]:
    """Code and text of why nothing came of an alert."""
    for intent in intents:
        if intent.code is not None:
            return intent.code, intent.reason or intent.code
    for order in orders:
        if order.reason and not order.leg.protective:
            code, _, _ = order.reason.partition(": ")
            return f"order.{order.state}" if " " in code else code, order.reason
    return "order.refused", "nothing was placed"
