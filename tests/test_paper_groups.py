"""Entries of the paper exchange with their protective legs: pending, live, one cancels the other."""

from decimal import Decimal
from typing import Any

import pytest

from fks.domain.orders import Leg, State
from fks.venues import paper_groups
from standins.paper import SPOT, SWAP, limit, order, placed, protection, rejection, state_of, venue

D = Decimal


async def test_legs_wait_for_their_entry_and_hold_nothing_until_it_fills() -> None:
    exchange = venue(balance={"USDT": D(1000), "BTC": D(5)})
    entry = limit("q1", "buy", "90", "2")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "0.5"), ("115", "1")]))
    exchange.hint(SPOT, D(120))  # above the take profit, but there is nothing to sell yet
    assert await state_of(exchange, "q1-tp0") is State.OPEN
    assert (await exchange.balance()).free["BTC"] == 5
    exchange.hint(SPOT, D(90))
    balance = await exchange.balance()
    assert (balance.total["BTC"], balance.free["BTC"]) == (D(7), D(5)), "all legs hold it once"


@pytest.mark.parametrize(
    ("mark", "filled", "other", "price"),
    [("115", "q1-tp0", "q1-sl", "110"), ("75", "q1-sl", "q1-tp0", "74.92")],
)
async def test_one_leg_fills_and_the_other_is_canceled(
    mark: str, filled: str, other: str, price: str
) -> None:
    exchange = venue()
    entry = order("q1")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "1")]))
    exchange.hint(SPOT, D(mark))
    found = await exchange.find(order(filled))
    assert found is not None
    assert (found.state, found.average) == (State.FILLED, D(price))
    assert await state_of(exchange, other) is State.CANCELED
    assert (await exchange.balance()).total["BTC"] == 0


async def test_stop_is_smaller_by_what_take_profits_filled() -> None:
    exchange = venue()
    entry = order("q1", "buy", "2")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "0.5"), ("120", "1.5")]))
    exchange.hint(SPOT, D(110))
    assert await state_of(exchange, "q1-sl") is State.OPEN
    exchange.hint(SPOT, D(80))
    found = await exchange.find(order("q1-sl"))
    assert found is not None
    assert (found.state, found.filled) == (State.FILLED, D("1.5"))
    assert await state_of(exchange, "q1-tp1") is State.CANCELED
    assert (await exchange.balance()).total["BTC"] == 0


async def test_entry_that_a_jump_fills_is_stopped_out_in_the_same_jump() -> None:
    exchange = venue()
    entry = limit("q1", "buy", "90")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "1")]))
    exchange.hint(SPOT, D(70))
    assert [await state_of(exchange, name) for name in ("q1", "q1-sl", "q1-tp0")] == [
        State.FILLED,
        State.FILLED,
        State.CANCELED,
    ]


async def test_canceled_entry_takes_its_legs_with_it() -> None:
    exchange = venue()
    entry = limit("q1", "buy", "90")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "1")]))
    report = await exchange.cancel(entry)
    assert report is not None
    assert report.state is State.CANCELED
    assert await exchange.open_orders() == []
    assert (await exchange.balance()).free["USDT"] == 1000


async def test_canceled_leg_leaves_the_other_alone() -> None:
    exchange = venue()
    entry = order("q1")
    legs = protection(entry, stop="80", targets=[("110", "1")])
    await placed(exchange, entry, *legs)
    await exchange.cancel(legs[1])
    assert await state_of(exchange, "q1-sl") is State.OPEN


async def test_leg_placed_alone_is_refused_once_nothing_is_left_to_protect() -> None:
    exchange = venue()
    entry = order("q1")
    stop, target = protection(entry, stop="80", targets=[("110", "1")])
    await placed(exchange, entry)
    await placed(exchange, target)
    exchange.hint(SPOT, D(110))
    assert (await rejection(exchange, stop)).code == "reduce_only"


async def test_a_bad_leg_rejects_the_entry_too() -> None:
    entry = order("q1")
    assert (await rejection(venue(), entry, *protection(entry, stop="80.001"))).code == "price_tick"
    assert (await rejection(venue(), entry, *protection(order("q2"), stop="80"))).code == "bad_order"


async def test_stop_of_a_swap_position_that_was_closed_meanwhile_opens_nothing() -> None:
    exchange = venue()
    entry = order("q1", "buy", "2", symbol=SWAP)
    await placed(exchange, entry, *protection(entry, stop="80"))
    await placed(exchange, order("q2", "sell", "2", symbol=SWAP, leg=Leg.CLOSE, reduce_only=True))
    exchange.hint(SWAP, D(75))
    assert await state_of(exchange, "q1-sl") is State.CANCELED
    assert await exchange.positions() == []


async def test_orders_at_rest_are_forgotten_in_the_end_but_not_an_entry_whose_leg_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paper_groups, "REMEMBERED", 3)
    exchange = venue(balance={"USDT": D(100_000)})
    entry = order("guarded", "buy", "1")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[]))
    for number in range(8):
        await placed(exchange, order(f"q{number}", "buy", "1"))
    assert await exchange.find(order("q0", "buy", "1")) is None
    assert await state_of(exchange, "q7") is State.FILLED
    assert await state_of(exchange, "guarded") is State.FILLED
    exchange.hint(SPOT, D(70))
    assert await state_of(exchange, "guarded-sl") is State.FILLED


async def test_a_sale_of_what_legs_guard_makes_them_smaller() -> None:
    exchange = venue()
    entry = order("q1")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "1")]))
    assert (await placed(exchange, order("part", "sell", "0.4"))).filled == D("0.4")
    assert [await state_of(exchange, name) for name in ("q1-sl", "q1-tp0")] == [State.OPEN] * 2
    exchange.hint(SPOT, D(75))
    stop = await exchange.find(order("q1-sl"))
    assert stop is not None
    assert stop.filled == D("0.6")
    assert await state_of(exchange, "q1-tp0") is State.CANCELED
    assert (await exchange.balance()).total["BTC"] == 0


async def test_a_sale_of_all_that_legs_guard_ends_them() -> None:
    exchange = venue(balance={"USDT": D(1000), "BTC": D(5)})
    entry = order("q1")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "1")]))
    await placed(exchange, order("part", "sell", "0.4"))
    await placed(exchange, order("rest", "sell", "0.6", reduce_only=True))
    assert await exchange.open_orders() == []
    exchange.hint(SPOT, D(75))
    assert (await exchange.balance()).total["BTC"] == 5


async def test_a_sale_that_rests_and_a_stop_sell_the_same_coins_once() -> None:
    exchange = venue()
    entry = order("q1")
    await placed(exchange, entry, *protection(entry, stop="80"))
    await placed(exchange, limit("out", "sell", "105", "0.4"))
    assert (await rejection(exchange, limit("twice", "sell", "106", "0.7"))).code == "insufficient_funds"
    exchange.hint(SPOT, D(79))
    assert await state_of(exchange, "q1-sl") is State.FILLED, "a sale that may never fill is no protection"
    assert (await exchange.balance()).total["BTC"] == 0
    exchange.hint(SPOT, D(105))
    assert await state_of(exchange, "out") is State.REJECTED
    assert (await exchange.balance()).total["BTC"] == 0


async def test_a_sale_takes_from_its_own_entry_then_its_strategys_then_the_oldest() -> None:
    exchange = venue(balance={"USDT": D(10_000)})
    for name, strategy in (("q1", ""), ("q2", "s"), ("q3", ""), ("q4", "s")):
        entry = order(name, strategy=strategy)
        await placed(exchange, entry, *protection(entry, stop="80"))
    guarded = {"q1": "1", "q2": "1", "q3": "1", "q4": "1"}

    async def sold(**changes: Any) -> None:
        sale = order(f"x{len(ended)}", "sell", **changes)
        await placed(exchange, sale)
        gone = {one for one in guarded if await state_of(exchange, f"{one}-sl") is State.CANCELED}
        ended.extend(sorted(gone - set(ended)))

    ended: list[str] = []
    await sold(leg=Leg.CLOSE, parent="q3")
    await sold(strategy="s")
    await sold()
    await sold()
    assert ended == ["q3", "q2", "q1", "q4"]


async def test_coins_of_an_entry_that_is_forgotten_are_sold_before_younger_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paper_groups, "REMEMBERED", 1)
    exchange = venue(balance={"USDT": D(10_000)})
    old = order("old")
    stop, target = protection(old, stop="80", targets=[("110", "0.4")])
    await placed(exchange, old, stop, target)
    exchange.hint(SPOT, D(110))
    await exchange.cancel(stop)
    young = order("young")
    await placed(exchange, young, *protection(young, stop="80"))
    await placed(exchange, limit("far", "buy", "50"))
    await exchange.cancel(limit("far", "buy", "50"))
    assert await exchange.find(old) is None
    await placed(exchange, order("sale", "sell", "1"))  # 0.6 of the old one's, 0.4 of the young one's
    exchange.hint(SPOT, D(75))
    found = await exchange.find(order("young-sl"))
    assert found is not None
    assert found.filled == D("0.6")


async def test_the_legs_of_a_sale_buy_its_coins_back() -> None:
    exchange = venue()
    await placed(exchange, order("q1"))
    sale = order("q2", "sell")
    await placed(exchange, sale, *protection(sale, stop="120", targets=[("90", "1")]))
    exchange.hint(SPOT, D(90))
    assert await state_of(exchange, "q2-tp0") is State.FILLED
    assert (await exchange.balance()).total["BTC"] == 1
