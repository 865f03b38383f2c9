"""What has become of an alert, told from its parts; and what its sender is told."""

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from fks.domain.messages import Intent, IntentState, Order
from fks.domain.orders import AT_REST, Leg, State
from fks.domain.outcome import AlertState, alert_state
from makers import alert, dec, intent, order

PLANNED = replace(intent(), state=IntentState.PLANNED)
REFUSED = replace(intent(), state=IntentState.REFUSED, code="risk.halted", reason="trading is halted")


def one(state: str, filled: str = "0", leg: Leg = Leg.ENTRY, **fields: Any) -> Order:
    return order(f"q-{state}-{leg}", leg, state=State(state), filled=dec(filled), **fields)


STOP, HELD_STOP = one("open", leg=Leg.STOP_LOSS), one("planned", leg=Leg.STOP_LOSS)


@pytest.mark.parametrize(
    ("intents", "orders", "expected"),
    [
        ([intent()], [], "accepted"),
        ([PLANNED, intent()], [one("filled", "1")], "accepted"),
        ([REFUSED, intent()], [], "accepted"),
        ([PLANNED], [one("planned")], "working"),
        ([PLANNED], [one("sending")], "working"),
        ([PLANNED], [one("unknown")], "working"),
        ([PLANNED], [one("unknown"), one("filled", "1", Leg.CLOSE)], "working"),
        ([PLANNED], [one("open")], "placed"),
        ([PLANNED], [one("partial", "0.5")], "placed"),
        ([PLANNED], [one("open"), HELD_STOP], "placed"),
        ([PLANNED], [one("filled", "1"), STOP], "placed"),
        ([PLANNED], [one("filled", "1"), HELD_STOP], "placed"),
        ([PLANNED], [one("filled", "1")], "done"),
        ([PLANNED], [one("filled", "1"), one("canceled", leg=Leg.STOP_LOSS)], "done"),
        ([PLANNED], [one("canceled")], "done"),
        ([PLANNED], [one("expired", "0.2")], "done"),
        ([PLANNED], [one("expired")], "refused"),
        ([PLANNED], [one("rejected"), one("refused", leg=Leg.STOP_LOSS)], "refused"),
        ([PLANNED], [one("refused")], "refused"),
        ([PLANNED], [one("rejected"), one("filled", "1", Leg.CLOSE)], "done"),
        ([REFUSED], [], "refused"),
        ([PLANNED, REFUSED], [one("filled", "1")], "done"),
        ([PLANNED, REFUSED], [one("rejected")], "refused"),
        ([PLANNED], [], "done"),  # a cancel
        ([PLANNED, REFUSED], [], "done"),
    ],
)
def test_the_least_advanced_part_decides(intents: list[Intent], orders: list[Order], expected: str) -> None:
    assert alert_state(intents, orders) == expected


def test_every_alert_ends_in_exactly_one_outcome() -> None:
    """At rest in all parts is an end; anything else is none."""
    for states in itertools.product(State, repeat=2):
        orders = [one(states[0]), one(states[1], leg=Leg.CLOSE)]
        ended = alert_state([PLANNED], orders) in (AlertState.DONE, AlertState.REFUSED)
        assert ended == all(state in AT_REST for state in states)


def test_done_implies_that_something_was_executed_or_canceled() -> None:
    for state in AT_REST:
        done = alert_state([PLANNED], [one(state)]) is AlertState.DONE
        assert done == (state is State.CANCELED)
        assert alert_state([PLANNED], [one(state, "0.1")]) is AlertState.DONE


def test_the_alert_of_an_intent_is_not_looked_at() -> None:
    assert alert_state([replace(PLANNED, alert=alert("cancel"))], []) is AlertState.DONE
