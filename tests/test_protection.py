"""What the orders of one symbol that wait for each other need now."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fks.domain.messages import Order
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.protection import HELD, Family, Ground, Steps, needs_mark, next_steps
from makers import NOW, dec, order

ENTRY = order("e", state=State.FILLED, filled=dec(1))
NOTHING = Steps()


def leg(id: str, kind: Leg, amount: str = "1", **fields: Any) -> Order:  # noqa: A002 - the field's name
    defaults: dict[str, Any] = {"not_before": HELD, "parent": "e"}
    return order(id, kind, Side.SELL, amount=dec(amount), **{**defaults, **fields})


STOP, TAKE = leg("s", Leg.STOP_LOSS, stop_price=dec(90)), leg("t", Leg.TAKE_PROFIT, price=dec(110))
OPEN_STOP = replace(STOP, state=State.OPEN, not_before=0.0)


def ground(
    position: str = "1", mark: str | None = None, *, oco: bool = False, booked: str | None = None
) -> Ground:
    return Ground(
        step=dec("0.001"),
        minimum=dec(0),
        booked=dec(position if booked is None else booked),
        position=dec(position),
        mark=None if mark is None else dec(mark),
        oco=oco,
    )


def steps(
    *legs: Order,
    entry: Order = ENTRY,
    position: str = "1",
    mark: str | None = None,
    oco: bool = False,
) -> Steps:
    """Of one family that is alone on its symbol."""
    live = [one for one in (entry, *legs) if not one.at_rest]
    return next_steps(live, [Family(entry, legs)], {"e": entry}, ground(position, mark, oco=oco))


@pytest.mark.parametrize("state", [State.PLANNED, State.SENDING, State.UNKNOWN, State.OPEN])
def test_nothing_is_sent_before_the_entry_has_filled(state: State) -> None:
    waiting = replace(ENTRY, state=state, filled=dec(0))
    assert steps(STOP, TAKE, entry=waiting, position="0") == NOTHING


def test_the_stop_goes_first_and_for_what_was_filled() -> None:
    assert steps(STOP, TAKE) == Steps(release=(("s", dec(1)),))
    part = replace(ENTRY, state=State.CANCELED, filled=dec("0.4"))
    assert steps(STOP, TAKE, entry=part, position="0.4") == Steps(release=(("s", dec("0.4")),))


def test_linked_legs_go_together() -> None:
    assert set(steps(STOP, TAKE, oco=True).release) == {("s", dec(1)), ("t", dec(1))}


def test_a_take_profit_without_a_stop_goes_at_once() -> None:
    assert steps(TAKE) == Steps(release=(("t", dec(1)),))


def test_never_more_than_is_left_after_fees_and_rounded_down() -> None:
    assert steps(STOP, position="0.9995") == Steps(release=(("s", dec("0.999")),))
    assert steps(STOP, position="5") == Steps(release=(("s", dec(1)),))


def test_an_entry_that_never_filled_needs_no_legs() -> None:
    ended = replace(ENTRY, state=State.CANCELED, filled=dec(0))
    assert steps(STOP, TAKE, entry=ended, position="0") == Steps(cancel=("s", "t"))


def test_what_one_leg_has_closed_the_others_do_not_close_again() -> None:
    done = replace(TAKE, state=State.FILLED, filled=dec(1))
    assert steps(OPEN_STOP, done, position="0") == Steps(cancel=("s",))
    assert steps(OPEN_STOP, done, position="1") == Steps(cancel=("s",))  # that one is another entry's
    assert steps(replace(OPEN_STOP, cancel_requested=True), done, position="0") == NOTHING
    part = replace(TAKE, state=State.CANCELED, filled=dec("0.25"))
    assert steps(STOP, part, position="0.75") == Steps(release=(("s", dec("0.75")),))


def test_a_position_that_is_gone_or_has_turned_is_not_protected() -> None:
    """A stop of a long position must not sell into a short one."""
    for position in ("0", "-1", "0.0009"):
        assert steps(STOP, TAKE, position=position) == Steps(cancel=("s", "t"))
    short = replace(ENTRY, side=Side.SELL)
    buy_stop = replace(STOP, side=Side.BUY)
    assert steps(buy_stop, entry=short, position="-1") == Steps(release=(("s", dec(1)),))
    assert steps(buy_stop, entry=short, position="1") == Steps(cancel=("s",))


def test_of_several_stops_the_last_one_gives_way_first_whatever_it_is_called() -> None:
    """Its successor is a new one; that of an earlier stop is there already."""
    first = replace(OPEN_STOP, id="z", amount=dec("0.9"))
    second = replace(OPEN_STOP, id="a", amount=dec("0.1"))
    found = steps(first, second, position="0.6")
    assert found.cancel == ("a",)
    assert [(one.amount, one.not_before) for one in found.add] == [(dec("0.1"), HELD)]


def test_what_is_left_of_a_position_belongs_to_the_newest_entry() -> None:
    newer = replace(ENTRY, id="f", created_at=NOW + 60)
    other = replace(STOP, id="u", parent="f")
    families = [Family(ENTRY, (STOP,)), Family(newer, (other,))]
    found = next_steps([STOP, other], families, {"e": ENTRY, "f": newer}, ground("1.5"))
    assert dict(found.release) == {"u": dec(1), "s": dec("0.5")}


def test_of_two_entries_made_at_once_it_is_always_the_same_one() -> None:
    """Or each would cancel the other's stop for its own, forever."""
    twin = replace(ENTRY, id="f")
    other = replace(STOP, id="u", parent="f")
    families, parents = [Family(ENTRY, (STOP,)), Family(twin, (other,))], {"e": ENTRY, "f": twin}
    found = [next_steps([STOP, other], one, parents, ground("1.5")) for one in (families, families[::-1])]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("mark", "side", "reached"),
    [
        (None, Side.SELL, False),
        ("109.99", Side.SELL, False),
        ("110", Side.SELL, True),
        ("111", Side.SELL, True),
        ("110.01", Side.BUY, False),
        ("110", Side.BUY, True),
    ],
)
def test_at_the_mark_the_stop_makes_room_and_nothing_is_sold_twice(
    mark: str | None, side: Side, *, reached: bool
) -> None:
    """The stop holds the coins: only when it is known to be gone does the take profit go."""
    found = steps(
        replace(OPEN_STOP, side=side),
        replace(TAKE, side=side),
        entry=replace(ENTRY, side=side.opposite),
        position="-1" if side is Side.BUY else "1",
        mark=mark,
    )
    assert (found.cancel, found.release) == ((("s",), ()) if reached else ((), ()))
    assert len(found.add) == reached  # the stop comes back, should the price turn meanwhile


@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN, State.OPEN, State.PARTIAL])
@pytest.mark.parametrize("asked", [False, True])
def test_no_take_profit_is_released_beside_a_stop_that_may_live(state: State, *, asked: bool) -> None:
    stop = replace(OPEN_STOP, state=state, cancel_requested=asked)
    assert steps(stop, TAKE, mark="120").release == ()


def test_after_the_stop_is_gone_the_take_profit_covers_what_it_left() -> None:
    gone = replace(OPEN_STOP, state=State.CANCELED, cancel_requested=True, filled=dec("0.3"))
    assert ("t", dec("0.7")) in steps(gone, TAKE, position="0.7", mark="120").release


def test_a_mark_is_needed_only_for_a_held_take_profit() -> None:
    assert needs_mark([OPEN_STOP, TAKE])
    assert not needs_mark([STOP, replace(TAKE, not_before=0.0)])
    assert not needs_mark([STOP, replace(TAKE, attached=True)])
    assert not needs_mark([replace(TAKE, state=State.OPEN)])


@given(
    st.integers(1, 2000),
    st.integers(0, 2000),
    st.integers(-100, 3000),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.booleans(),
)
def test_take_profits_together_never_cover_more_than_is_left(
    amount: int, filled: int, position: int, weights: list[int], with_stop: bool
) -> None:
    thousandth = Decimal("0.001")
    entry = replace(
        ENTRY, amount=amount * thousandth, filled=min(filled, amount) * thousandth, state=State.CANCELED
    )
    takes = [
        leg(f"t{n}", Leg.TAKE_PROFIT, str(Decimal(weight) * entry.amount / sum(weights)))
        for n, weight in enumerate(weights)
    ]
    legs = [*takes, replace(STOP, amount=entry.amount)] if with_stop else takes
    found = dict(steps(*legs, entry=entry, position=str(position * thousandth), oco=True).release)
    left = max(Decimal(0), min(entry.filled, position * thousandth))
    stop = found.pop("s", None)
    assert sum(found.values()) <= left
    assert all(one > 0 and one % thousandth == 0 for one in found.values())
    if with_stop:
        assert (stop or 0) == left


def test_a_price_that_turns_while_the_stop_makes_way_brings_the_stop_back() -> None:
    (successor,) = steps(OPEN_STOP, TAKE, mark="111").add
    gone = replace(OPEN_STOP, state=State.CANCELED, cancel_requested=True)
    assert steps(gone, successor, TAKE, mark="109") == Steps(release=((successor.id, dec(1)),))
    assert steps(gone, successor, TAKE, mark="111") == Steps(release=(("t", dec(1)),))


def test_a_stop_gives_way_when_the_position_shrinks_and_comes_back_smaller() -> None:
    (successor,) = steps(OPEN_STOP, position="0.6").add
    going = replace(OPEN_STOP, cancel_requested=True)
    assert steps(going, successor, position="0.6") == NOTHING  # until it is known to be gone
    gone = replace(going, state=State.CANCELED)
    assert steps(gone, successor, position="0.6") == Steps(release=((successor.id, dec("0.6")),))
    assert steps(gone, successor, position="0") == Steps(cancel=(successor.id,))


def test_a_reduce_only_stop_minds_no_sale_that_rests_at_its_price() -> None:
    """Simulation seed 66481: the price may go to the stop, and the sale never happen."""
    resting = order(
        "l", side=Side.SELL, type=OrderType.LIMIT, amount=dec("0.6"), price=dec(110), state=State.OPEN
    )
    firm = replace(STOP, reduce_only=True)
    coins = next_steps([STOP, resting], [Family(ENTRY, (STOP,))], {"e": ENTRY}, ground())
    contracts = next_steps([firm, resting], [Family(ENTRY, (firm,))], {"e": ENTRY}, ground())
    assert (coins.release, contracts.release) == ((("s", dec("0.4")),), (("s", dec(1)),))
    for sooner in (replace(resting, state=State.SENDING), replace(resting, type=OrderType.MARKET)):
        steps = next_steps([firm, sooner], [Family(ENTRY, (firm,))], {"e": ENTRY}, ground())
        assert steps.release == (("s", dec("0.4")),)  # what is left is soon known


def test_a_close_leaves_what_comes_after_it_alone() -> None:
    close = order("c", Leg.CLOSE, Side.SELL, amount=dec(1), not_before=HELD, alert_id="a2")
    later = order("n", alert_id="a3")
    assert next_steps([OPEN_STOP, close, later], [], {}, ground()) == Steps(cancel=("s",))
    assert next_steps([close, later], [], {}, ground()) == Steps(release=(("c", dec(1)),))


def test_a_close_ends_what_shows_and_says_so_when_nothing_shows_of_what_is_booked() -> None:
    close = order("c", Leg.CLOSE, Side.SELL, amount=dec(1), not_before=HELD, alert_id="a2")
    assert next_steps([close], [], {}, ground("0.4", booked="1")) == Steps(release=(("c", dec("0.4")),))
    assert next_steps([close], [], {}, ground("0", booked="1")) == Steps(refuse=close)
    assert next_steps([close], [], {}, ground("-1", booked="-1")) == Steps(cancel=("c",))
    assert next_steps([close], [], {}, ground("0")) == Steps(cancel=("c",))


# --- several strategies on one symbol

OF_A = order("ea", state=State.FILLED, filled=dec(1), strategy="a", created_at=NOW + 1)
OF_B = order("eb", state=State.FILLED, filled=dec(2), amount=dec(2), strategy="b", created_at=NOW)
STOP_A = replace(OPEN_STOP, id="sa", parent="ea", strategy="a")
STOP_B = replace(OPEN_STOP, id="sb", parent="eb", strategy="b", amount=dec(2))
FAMILIES = [Family(OF_A, (STOP_A,)), Family(OF_B, (STOP_B,))]


def shared(position: str, *live: Order, a: str, b: str) -> Steps:
    here = replace(ground(position), shares={"a": dec(a), "b": dec(b)})
    return next_steps(live, FAMILIES, {"ea": OF_A, "eb": OF_B}, here)


def test_a_strategys_reduction_shrinks_its_own_stop_not_an_older_ones() -> None:
    gone = shared("2.4", STOP_A, STOP_B, a="0.4", b="2")
    assert gone.cancel == ("sa",)
    assert [(one.strategy, one.parent) for one in gone.add] == [("a", "ea")]


def test_a_strategys_own_close_waits_for_and_ends_only_what_is_its_own() -> None:
    close = order("c", Leg.CLOSE, Side.SELL, strategy="a", amount=dec(9), not_before=HELD, created_at=NOW + 2)
    assert shared("3", STOP_A, STOP_B, close, a="1", b="2").cancel == ("sa",)
    assert shared("3", STOP_B, close, a="1", b="2").release == (("c", dec(1)),)
    assert shared("0.5", STOP_B, close, a="1", b="2").release == (("c", dec("0.5")),)
    assert shared("2", STOP_B, close, a="0", b="2").cancel == ("c",)
    everything = replace(close, strategy="")
    assert shared("3", STOP_A, STOP_B, everything, a="1", b="2").cancel == ("sa", "sb")
    assert shared("3", everything, a="1", b="2").release == (("c", dec(3)),)
