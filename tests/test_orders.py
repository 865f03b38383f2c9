"""The life of an order: what may follow what, pair by pair."""

from itertools import product

import pytest

from fks.domain.orders import AT_REST, IN_FLIGHT, LIVE, NEXT, IllegalTransition, Leg, Side, State, advance

# Written down a second time, on purpose: changing the table must be a decision, not a slip.
ALLOWED = {
    "planned": "sending canceled refused",
    "sending": "planned unknown open partial filled canceled rejected expired refused",
    "unknown": "planned open partial filled canceled rejected expired refused",
    "open": "partial filled canceled rejected expired",
    "partial": "filled canceled expired",
    "filled": "",
    "canceled": "filled",
    "rejected": "",
    "expired": "filled",
    "refused": "",
}


@pytest.mark.parametrize(("now", "to"), list(product(State, State)))
def test_only_the_tables_pairs_are_allowed(now: State, to: State) -> None:
    if to is now or to.value in ALLOWED[now.value].split():
        assert advance(now, to) is to
    else:
        with pytest.raises(IllegalTransition, match=f"{now.value} -> {to.value}"):
            advance(now, to)


def test_every_state_has_its_row_and_one_kind() -> None:
    assert set(NEXT) == set(State)
    assert AT_REST | IN_FLIGHT | LIVE | {State.PLANNED} == set(State)
    assert len(AT_REST) + len(IN_FLIGHT) + len(LIVE) + 1 == len(State)


def test_what_is_at_rest_never_lives_again() -> None:
    for state in AT_REST:
        assert NEXT[state] <= {State.FILLED}


def test_an_order_that_the_exchange_has_shown_is_never_planned_again() -> None:
    """Planned again means sent again: only what nobody has seen on the exchange may be."""
    seen = {State.OPEN, State.PARTIAL}
    reachable: set[State] = set()
    while seen - reachable:
        state = (seen - reachable).pop()
        reachable.add(state)
        seen |= NEXT[state]
    assert not reachable & {State.PLANNED, State.SENDING, State.UNKNOWN, State.REFUSED}


def test_every_order_can_come_to_rest() -> None:
    for state in set(State) - AT_REST:
        assert NEXT[state] & AT_REST or State.OPEN in NEXT[state]


def test_sides_and_legs() -> None:
    assert (Side.BUY.opposite, Side.SELL.opposite) == (Side.SELL, Side.BUY)
    assert [leg for leg in Leg if leg.protective] == [Leg.STOP_LOSS, Leg.TAKE_PROFIT]
