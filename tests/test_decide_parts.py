"""A close or a cancel of one side only, and a close of a part of the position."""

from decimal import Decimal
from typing import Any

import pytest

from decide_cases import planned, refusal
from fks.domain.decide import decide
from fks.domain.messages import Order, TradingState
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.view import Rules
from makers import SPOT, SWAP, dec, exposure, intent, market, order, view

BOTH = (order("b", state=State.OPEN), order("s", side=Side.SELL, state=State.OPEN))


@pytest.mark.parametrize(("held", "side"), [("2", "long"), ("-2", "short")])
def test_a_close_of_one_side_closes_that_side_only(held: str, side: str) -> None:
    known = view(market(SWAP), position=dec(held))
    assert planned(intent("close", position_side=side), known)[0].amount == dec(2)
    other = "short" if side == "long" else "long"
    assert refusal(intent("close", position_side=other), known) == "close.nothing"
    assert refusal(intent("close", position_side=other, share=dec("0.5")), known) == "close.nothing"


def test_a_cancel_of_one_side_leaves_the_other() -> None:
    known = view(exposure=exposure(live=BOTH))
    for side, expected in ((None, ("b", "s")), ("long", ("b",)), ("short", ("s",))):
        assert decide(intent("cancel", position_side=side), known, Rules()).cancel == expected


@pytest.mark.parametrize(("held", "side"), [("2", Side.SELL), ("-2", Side.BUY)])
def test_a_part_of_a_contracts_position_is_closed_by_what_can_only_reduce(held: str, side: Side) -> None:
    known = view(market(SWAP), position=dec(held), exposure=exposure({SWAP: dec(held)}))
    (part,) = planned(intent("close", symbol=SWAP, share=dec("0.25")), known)
    assert (part.leg, part.side, part.type, part.amount) == (Leg.ENTRY, side, OrderType.MARKET, dec("0.5"))
    assert part.reduce_only


def test_a_part_of_the_coins_is_sold_whatever_the_alert_says_of_sizes() -> None:
    held = exposure({SPOT: dec(2)})
    alert = intent("close", share=dec("0.5"), percent=dec(5), price=dec(90))
    (part,) = planned(alert, view(exposure=held, total_base=dec(2), free_base=dec(2)))
    assert (part.side, part.amount, part.reduce_only) == (Side.SELL, dec(1), True)


def test_a_part_of_nothing_is_refused() -> None:
    assert refusal(intent("close", share=Decimal("0.5")), view()) == "close.nothing"


def test_reduce_only_trading_lets_a_part_be_closed() -> None:
    known = view(
        market(SWAP), position=dec(2), exposure=exposure({SWAP: dec(2)}), trading=TradingState.REDUCE
    )
    assert planned(intent("close", symbol=SWAP, share=dec("0.5")), known)[0].amount == dec(1)


def test_the_whole_share_is_a_close() -> None:
    (close,) = planned(intent("close", share=dec(1)), view(exposure=exposure({SPOT: dec(2)})))
    assert (close.leg, close.amount) == (Leg.CLOSE, dec(2))


@pytest.mark.parametrize(("held", "side"), [("2", Side.SELL), ("-2", Side.BUY)])
def test_an_amount_is_the_part_that_a_close_closes(held: str, side: Side) -> None:
    known = view(market(SWAP), position=dec(held), exposure=exposure({SWAP: dec(held)}))
    (part,) = planned(intent("close", symbol=SWAP, amount=dec("0.4")), known)
    assert (part.leg, part.side, part.amount, part.reduce_only) == (Leg.ENTRY, side, dec("0.4"), True)


@pytest.mark.parametrize("amount", ["2", "2.5"])
def test_an_amount_of_all_there_is_or_more_closes_all_of_it(amount: str) -> None:
    """What is less than a step does not make it a part."""
    live = (order("s", Leg.STOP_LOSS, Side.SELL, state=State.OPEN),)
    known = view(exposure=exposure({SPOT: dec("2.0004")}, live))
    decision = decide(intent("close", amount=dec(amount)), known, Rules())
    assert [(one.leg, one.amount) for one in decision.orders] == [(Leg.CLOSE, dec(2))]
    assert decision.cancel == ("s",)


def test_a_close_of_an_amount_ends_what_may_still_fill() -> None:
    known = view(exposure=exposure(live=(order("e", state=State.OPEN),)))
    assert decide(intent("close", amount=dec(1)), known, Rules()).cancel == ("e",)
    assert refusal(intent("close", amount=dec(1)), view()) == "close.nothing"


@pytest.mark.parametrize("size", [{"amount": dec("0.4")}, {"share": dec("0.5")}])
def test_who_says_that_he_is_flat_closes_all_of_it(size: dict[str, Decimal]) -> None:
    """A strategy names its order's contracts, which need not be all that is held here."""
    known = view(market(SWAP), position=dec(2), exposure=exposure({SWAP: dec(2)}))
    (close,) = planned(intent("close", symbol=SWAP, market_position=" Flat ", **size), known)
    assert (close.leg, close.amount) == (Leg.CLOSE, dec(2))


def under_way(symbol: str, amount: str, **more: Any) -> Order:
    """A part that is being closed."""
    return order("p", side=Side.SELL, symbol=symbol, amount=dec(amount), reduce_only=True, **more)


@pytest.mark.parametrize("symbol", [SPOT, SWAP])
@pytest.mark.parametrize(
    ("size", "leg", "amount"),
    [
        ({"amount": dec("0.5")}, Leg.ENTRY, "0.5"),
        ({"share": dec("0.5")}, Leg.ENTRY, "0.4"),  # of what is left
        ({"amount": dec("0.8")}, Leg.CLOSE, "2"),
        ({"amount": dec(1)}, Leg.CLOSE, "2"),
    ],
)
def test_parts_that_are_under_way_are_no_more_than_is_held(
    symbol: str, size: dict[str, Decimal], leg: Leg, amount: str
) -> None:
    known = exposure({symbol: dec(2)}, (under_way(symbol, "1.2"),))
    there = {"total_base": dec(2), "free_base": dec(2)} if symbol == SPOT else {"position": dec(2)}
    decision = decide(
        intent("close", symbol=symbol, **size), view(market(symbol), exposure=known, **there), Rules()
    )
    assert [(one.leg, one.amount) for one in decision.orders] == [(leg, dec(amount))]


def test_a_part_of_what_is_all_on_its_way_out_waits_for_it_as_a_close() -> None:
    known = exposure({SPOT: dec(2)}, (order("c", Leg.CLOSE, Side.SELL, amount=dec(2)),))
    assert planned(intent("close", share=dec("0.5")), view(exposure=known))[0].leg is Leg.CLOSE


def test_what_neither_sells_the_position_nor_is_certain_to_leaves_a_part_a_part() -> None:
    """A stop gives way; a reduce-only limit of a contract rests, and holds nothing."""
    resting = under_way(SWAP, "2", type=OrderType.LIMIT, price=dec(60_000), state=State.OPEN)
    stop = order("s", Leg.STOP_LOSS, Side.SELL, symbol=SWAP, amount=dec(2), state=State.OPEN)
    known = exposure({SWAP: dec(2)}, (resting, stop))
    (part,) = planned(intent("close", amount=dec(1)), view(market(SWAP), position=dec(2), exposure=known))
    assert (part.leg, part.amount) == (Leg.ENTRY, dec(1))


@pytest.mark.parametrize("symbol", [SPOT, SWAP])
def test_a_fill_that_only_the_exchange_shows_is_not_taken_off_twice(symbol: str) -> None:
    known = exposure({symbol: dec(3)}, (under_way(symbol, "1", state=State.SENDING),))
    there = {"total_base": dec(2), "free_base": dec(2)} if symbol == SPOT else {"position": dec(2)}
    (part,) = planned(intent("close", amount=dec(1)), view(market(symbol), exposure=known, **there))
    assert (part.leg, part.amount) == (Leg.ENTRY, dec(1))


def test_a_part_takes_nothing_of_its_alert_that_is_for_entries() -> None:
    unused = {"time_in_force": "day", "margin_mode": "?", "leverage": 5, "post_only": True}
    known = view(market(SWAP), position=dec(2), exposure=exposure({SWAP: dec(2)}))
    (part,) = planned(intent("close", amount=dec(1), trail_percent=dec(1), **unused), known)
    assert (part.time_in_force, part.margin_mode, part.leverage) == (None, None, None)
    assert (part.post_only, part.trail_percent) == (False, None)


def test_where_the_balance_is_not_told_the_stop_gives_way_to_a_part() -> None:
    stop = order("s", Leg.STOP_LOSS, Side.SELL, state=State.OPEN)
    known = view(exposure=exposure({SPOT: dec(1)}, (stop,)), free_base=None)
    assert decide(intent("close", amount=dec("0.4")), known, Rules()).cancel == ("s",)
    assert decide(intent("sell", amount=dec("0.4")), known, Rules()).cancel == ()
