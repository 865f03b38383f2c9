"""What has become of an alert, told from its intents and orders."""

from collections.abc import Sequence
from enum import StrEnum

from fks.domain.messages import Intent, IntentState, Order
from fks.domain.money import ZERO
from fks.domain.orders import IN_FLIGHT, State


class AlertState(StrEnum):
    ACCEPTED = "accepted"  # on disk; an account has not decided yet
    WORKING = "working"  # decided; an order is planned, on its way or unknown
    PLACED = "placed"  # all that was to be sent is on the exchange, some still open
    DONE = "done"  # all at rest, and something was executed or canceled
    REFUSED = "refused"  # all at rest, and nothing came of it


ENDED = (AlertState.DONE, AlertState.REFUSED)


def alert_state(intents: Sequence[Intent], orders: Sequence[Order]) -> AlertState:
    """The least advanced of its parts decides. Protective legs count only once their entry is at rest."""
    if any(intent.state is IntentState.ACCEPTED for intent in intents):
        return AlertState.ACCEPTED
    own = [order for order in orders if not order.leg.protective]
    if any(order.state is State.PLANNED or order.state in IN_FLIGHT for order in own):
        return AlertState.WORKING
    if any(not order.at_rest for order in orders):
        return AlertState.PLACED
    if any(order.filled > ZERO or order.state is State.CANCELED for order in own):
        return AlertState.DONE
    # A `cancel` alert has no orders of its own: it did what it asked for once it was decided.
    decided = any(intent.state is IntentState.PLANNED for intent in intents)
    return AlertState.DONE if decided and not own else AlertState.REFUSED
