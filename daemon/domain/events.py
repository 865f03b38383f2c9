"""The stable names of what the journal records; users, dashboards and actors match on them.

An order's state change is recorded as `order_<state>` (`order_planned`, `order_sending`, ...), an
alert's as `alert_<state>` (`domain.outcome.AlertState`); the others are here.
"""

from enum import StrEnum

from fks.domain.orders import AT_REST, LIVE, State
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
    WEBHOOK_DENIED = "webhook_denied"  # authentication failed; sampled
    ALARM = "alarm"  # data: code, detail
    STRATEGY_DRIFT = "strategy_drift"  # and followed: the book was not what the strategy assumed
    SUMMARY_SENT = "summary_sent"  # data: until, the end of the day that it is about (UTC seconds)
    JOURNAL_PRUNED = "journal_pruned"  # data: how many alerts and events, and from when on all is kept
    DAEMON_STARTED = "daemon_started"
    DAEMON_STOPPED = "daemon_stopped"


MISDIRECTED = frozenset({"alert.symbol", "alert.account"})
"""Codes of refusals that are an alarm: an authentic alert that can be traded nowhere."""


def order_event(state: State) -> str:
    return f"order_{state}"


def alert_event(state: AlertState) -> str:
    return f"alert_{state}"


ORDER_STATES = {order_event(state): state for state in State}
ALERT_STATES = {alert_event(state): state for state in AlertState}
"""What an event of an order's, or an alert's, new state tells."""

_ENDS = {order_event(state) for state in AT_REST}
_LIVES = {order_event(state) for state in LIVE}
_PLANNED = order_event(State.PLANNED)

# Who of an account's actors has something to look at. Missing one would cost a pulse, not an order.
_WAKES: dict[str, set[str]] = {
    "sizing": _ENDS | {alert_event(AlertState.ACCEPTED), Kind.TRADING_STATE},
    "exchange": _ENDS | _LIVES | {_PLANNED, Kind.ORDER_RESIZED},
    # what is planned may be held, waiting for something that has happened already
    "follower": _ENDS | _LIVES | {_PLANNED, Kind.ORDER_RESIZED, Kind.CANCEL_REQUESTED},
    "reconciler": {Kind.ALARM},
    "guard": {order_event(one) for one in State} | {Kind.FILL, Kind.CANCEL_REQUESTED, Kind.TRADING_STATE},
}
_BY_KIND = {
    kind: frozenset(actor for actor, kinds in _WAKES.items() if kind in kinds)
    for kind in set().union(*_WAKES.values())
}


def wakes(kind: str) -> frozenset[str]:
    """The actors that an event of this kind wakes: of its account, or of all when it names none."""
    return _BY_KIND.get(kind, frozenset())
