"""The stable names of what the journal records; users, dashboards and actors match on them.

An order's state change is recorded as `order_<state>` (`order_planned`, `order_sending`, ...), an
alert's as `alert_<state>` (`domain.outcome.AlertState`); the others are here.
"""

from enum import StrEnum

from fks.domain.orders import State
from fks.domain.outcome import AlertState


class Kind(StrEnum):
    INTENT_PLANNED = "intent_planned"
    INTENT_REFUSED = "intent_refused"
    FILL = "fill"
    CANCEL_REQUESTED = "cancel_requested"
    ORDER_RESIZED = "order_resized"
    TRADING_STATE = "trading_state"
    ALERT_CONFLICT = "alert_conflict"  # same key, other body: an alarm
    ALERT_REJECTED = "alert_rejected"  # authentic, but refused before it was accepted
    WEBHOOK_DENIED = "webhook_denied"  # address, signature or rate
    ALARM = "alarm"  # data: code, detail
    DAEMON_STARTED = "daemon_started"
    DAEMON_STOPPED = "daemon_stopped"


def order_event(state: State) -> str:
    return f"order_{state}"


def alert_event(state: AlertState) -> str:
    return f"alert_{state}"
