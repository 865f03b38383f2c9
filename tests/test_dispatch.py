"""Which planned orders may be sent now: exits first, and no order overtakes another that it depends on."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fks.domain.dispatch import dispatchable, is_exit
from fks.domain.messages import Order
from fks.domain.orders import AT_REST, IN_FLIGHT, Leg, Side, State
from fks.domain.protection import HELD
from makers import NOW, order

BUY, SELL = Side.BUY, Side.SELL


def entry(id: str, side: Side = BUY, **fields: Any) -> Order:  # noqa: A002 - the field's name
    return order(id, Leg.ENTRY, side, **fields)


def close(id: str, **fields: Any) -> Order:  # noqa: A002 - the field's name
    return order(id, Leg.CLOSE, SELL, **fields)


def stop(id: str, **fields: Any) -> Order:  # noqa: A002 - the field's name
    return order(id, Leg.STOP_LOSS, SELL, **fields)


def sent(*live: Order, now: float = NOW) -> list[str]:
    return [one.id for one in dispatchable(live, now)]


def test_what_can_only_reduce_is_an_exit() -> None:
    legs = {leg: is_exit(order("x", leg)) for leg in Leg}
    assert legs == {Leg.ENTRY: False, Leg.CLOSE: True, Leg.STOP_LOSS: True, Leg.TAKE_PROFIT: True}
    assert is_exit(entry("x", reduce_only=True))


def test_entries_of_one_side_are_independent() -> None:
    assert sent(entry("a"), entry("b"), entry("c", symbol="ETH/USDT")) == ["a", "b", "c"]
    assert sent(entry("a", state=State.UNKNOWN), entry("b")) == ["b"]


def test_opposite_sides_keep_their_order() -> None:
    assert sent(entry("a"), entry("b", SELL)) == ["a"]
    for state in (State.SENDING, State.UNKNOWN):
        assert sent(entry("a", state=state), entry("b", SELL)) == []
    assert sent(entry("a", state=State.OPEN), entry("b", SELL)) == ["b"]
    assert sent(entry("a"), entry("b", SELL, symbol="ETH/USDT")) == ["a", "b"]


def test_close_goes_before_open() -> None:
    assert sent(close("c"), entry("e")) == ["c"]
    assert sent(close("c", state=State.UNKNOWN), entry("e")) == []


def test_exits_go_first_and_never_wait_for_what_came_later() -> None:
    live = [entry("e1", symbol="ETH/USDT"), entry("e2", symbol="SOL/USDT"), close("c")]
    assert sent(*live) == ["c", "e1", "e2"]
    assert sent(close("c"), entry("e"), entry("f", SELL)) == ["c"]


def test_an_exit_waits_for_the_entry_before_it() -> None:
    """It would reduce what is not there yet, and the entry would stay."""
    assert sent(entry("e", state=State.SENDING), close("c")) == []
    assert sent(entry("e", not_before=NOW + 5), close("c")) == []


def test_a_protective_leg_waits_for_no_entry() -> None:
    assert sent(entry("e", state=State.UNKNOWN), stop("s")) == ["s"]
    assert sent(entry("e", SELL), stop("s")) == ["s", "e"]


def test_a_protective_leg_waits_until_another_exit_of_the_same_coins_is_certain() -> None:
    assert sent(stop("a", state=State.UNKNOWN), stop("b")) == []
    assert sent(stop("a", state=State.OPEN, cancel_requested=True), stop("b")) == []
    assert sent(stop("a", state=State.OPEN), stop("b")) == ["b"]


def test_held_and_attached_legs_never_go_alone_and_hold_up_nobody() -> None:
    held, attached = stop("h", not_before=HELD), stop("t", attached=True)
    assert sent(held, attached, entry("e"), entry("f")) == ["e", "f"]


def test_nothing_goes_before_its_time_or_after_its_cancel() -> None:
    assert sent(entry("a", not_before=NOW + 0.1)) == []
    assert sent(entry("a", not_before=NOW)) == ["a"]
    assert sent(entry("a", cancel_requested=True)) == []


def test_a_step_of_the_wall_clock_does_not_turn_the_order_around() -> None:
    """The ledger's order counts, not the time that was written into it."""
    assert sent(entry("a"), entry("b", SELL, created_at=NOW - 3600)) == ["a"]


orders = st.builds(
    lambda leg, side, symbol, state, more: order("x", leg, side, symbol=symbol, state=state, **more),
    st.sampled_from(Leg),
    st.sampled_from(Side),
    st.sampled_from(["BTC/USDT", "ETH/USDT"]),
    st.sampled_from([State.PLANNED, State.PLANNED, State.PLANNED, *State]),
    st.fixed_dictionaries(
        {},
        optional={
            "not_before": st.sampled_from([NOW - 1, NOW, NOW + 1, HELD]),
            "attached": st.booleans(),
            "cancel_requested": st.booleans(),
            "reduce_only": st.booleans(),
        },
    ),
)
ledgers = st.lists(orders, max_size=8).map(
    lambda found: [replace(one, id=f"q{n}") for n, one in enumerate(found) if one.state not in AT_REST]
)


@settings(max_examples=200)
@given(ledgers)
def test_never_overtakes(live: list[Order]) -> None:
    ready = dispatchable(live, NOW)
    place = {one.id: number for number, one in enumerate(live)}
    assert len({one.id for one in ready}) == len(ready)
    for one in ready:
        assert one.state is State.PLANNED
        assert one.not_before <= NOW
        assert not one.attached
        assert not one.cancel_requested
        if one.leg.protective:
            continue
        for earlier in live[: place[one.id]]:
            unsettled = earlier.state in IN_FLIGHT or (
                earlier.state is State.PLANNED and not earlier.leg.protective
            )
            if earlier.symbol == one.symbol and unsettled:
                same = not is_exit(one) and not is_exit(earlier) and one.side is earlier.side
                assert same, f"{one.id} overtakes {earlier.id}"
    exits = [is_exit(one) for one in ready]
    assert exits == sorted(exits, reverse=True)


@settings(max_examples=100)
@given(ledgers, orders)
def test_what_comes_later_holds_up_nobody(live: list[Order], later: Order) -> None:
    before = sent(*live)
    after = sent(*live, replace(later, id="later"))
    assert [one for one in after if one != "later"] == before


@settings(max_examples=100)
@given(ledgers)
def test_everything_comes_to_rest(live: list[Order]) -> None:
    """What waits for nothing outside is sent sooner or later: no two orders wait for each other."""
    live = [
        replace(one, state=State.PLANNED, not_before=0.0, attached=False, cancel_requested=False)
        for one in live
    ]
    while live:
        ready = {one.id for one in dispatchable(live, NOW)}
        assert ready
        live = [one for one in live if one.id not in ready]
