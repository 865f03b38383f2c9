"""Open orders are followed to their end; stops and take profits that the exchange does not link."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
import trio

from fakes import FakeVenue
from fks.domain.errors import Rejected
from fks.domain.messages import Order, Report
from fks.domain.orders import Leg, OrderType, State
from rig import Rig, until


async def legs_of(rig: Rig, alert: str) -> dict[Leg, tuple[State, Decimal]]:
    orders = await rig.orders(alert)
    return {order.leg: (order.state, order.amount) for order in orders}


async def test_a_resting_order_is_followed_through_partial_fills_to_its_end(tmp_path: Path) -> None:
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a", order_type="limit", price=Decimal(49_000))
        await trio.sleep(2)
        order = await rig.only()
        assert order.state is State.OPEN
        venue.put(order, State.PARTIAL, Decimal("0.004"))
        await trio.sleep(5)
        assert ((await rig.only()).state, (await rig.only()).filled) == (State.PARTIAL, Decimal("0.004"))
        venue.put(order, State.FILLED)
        await trio.sleep(5)
        assert (await rig.only()).state is State.FILLED
        fills = await rig.journal.read(lambda ledger: ledger.fills_of(order.id))
        assert [fill.amount for fill in fills] == [Decimal("0.004"), Decimal("0.006")]


@pytest.mark.fault(48)
async def test_a_fill_during_the_cancel_is_a_fill(tmp_path: Path) -> None:
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a", order_type="limit", price=Decimal(49_000))
        await trio.sleep(2)
        order = await rig.only()
        venue.put(order, State.FILLED)
        await rig.cancel(order)
        await trio.sleep(5)
        assert (await rig.only()).state is State.FILLED
        assert len(venue.cancelled) <= 1


@pytest.mark.fault(47)
async def test_a_canceled_remainder_keeps_its_partial_fill(tmp_path: Path) -> None:
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a", order_type="limit", price=Decimal(49_000))
        await trio.sleep(2)
        order = await rig.only()
        venue.put(order, State.PARTIAL, Decimal("0.004"))
        await rig.cancel(order)
        await trio.sleep(5)
        assert ((await rig.only()).state, (await rig.only()).filled) == (State.CANCELED, Decimal("0.004"))


@pytest.mark.fault(47, 48)
@pytest.mark.parametrize("crashed", [False, True], ids=["in one life", "a crash between"])
async def test_a_fill_that_shows_after_the_cancel_is_a_fill_and_gets_its_stop(
    tmp_path: Path, crashed: bool
) -> None:
    venue = FakeVenue("open")
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        alert = await rig.send(id="a", order_type="limit", price=Decimal(49_000), stop_loss=Decimal(48_000))
        await trio.sleep(2)
        (entry,) = (order for order in await rig.orders(alert) if order.leg is Leg.ENTRY)
        await rig.cancel(entry)
        await trio.sleep(0.5)
        assert {state for state, _ in (await legs_of(rig, alert)).values()} == {State.CANCELED}
        venue.put(entry, State.FILLED)
        if crashed:
            rig.crash()
            await trio.sleep(600)
            rig.start(nursery)
        await trio.sleep(20)
        orders = await rig.orders(alert)
        assert [one.state for one in orders if one.leg is Leg.ENTRY] == [State.FILLED]
        stops = [one.amount for one in orders if one.leg is Leg.STOP_LOSS and one.state is State.OPEN]
        assert stops == [entry.amount]
        asked = len([name for _, name in venue.found if name == entry.id])
        await trio.sleep(600)
        assert len([name for _, name in venue.found if name == entry.id]) == asked, "it is over now"
        nursery.cancel_scope.cancel()


async def test_an_end_without_an_answer_is_looked_at_until_there_is_one(tmp_path: Path) -> None:
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a", order_type="limit", price=Decimal(49_000))
        await trio.sleep(2)
        order = await rig.only()
        await rig.cancel(order)
        await trio.sleep(0.5)
        venue.put(order, State.CANCELED, Decimal("0.004"))
        venue.down_until = trio.current_time() + 30
        await trio.sleep(20)
        assert (await rig.only()).filled == 0
        await trio.sleep(20)
        assert ((await rig.only()).state, (await rig.only()).filled) == (State.CANCELED, Decimal("0.004"))


async def test_the_stop_goes_out_after_the_fill_for_what_was_filled(tmp_path: Path) -> None:
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        alert = await rig.send(id="a", order_type="limit", price=Decimal(49_000), stop_loss=Decimal(48_000))
        await trio.sleep(5)
        entry = next(order for order in await rig.orders(alert) if order.leg is Leg.ENTRY)
        assert len(venue.placed) == 1  # no stop without a position
        venue.put(entry, State.CANCELED, Decimal("0.004"))
        await trio.sleep(10)
        assert (await legs_of(rig, alert))[Leg.STOP_LOSS] == (State.OPEN, Decimal("0.004"))
        _, stop = venue.placed[-1]
        assert (stop.type, stop.stop_price, stop.side) == (OrderType.STOP, Decimal(48_000), "sell")


async def test_the_legs_of_an_unfilled_entry_are_never_sent(tmp_path: Path) -> None:
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        alert = await rig.send(id="a", order_type="limit", price=Decimal(49_000), stop_loss=Decimal(48_000))
        await trio.sleep(2)
        entry = next(order for order in await rig.orders(alert) if order.leg is Leg.ENTRY)
        venue.put(entry, State.CANCELED)
        await trio.sleep(10)
        assert len(venue.placed) == 1
        assert (await legs_of(rig, alert))[Leg.STOP_LOSS][0] is State.CANCELED


async def test_the_take_profit_waits_for_its_price_and_takes_the_stop_s_place(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        alert = await rig.send(id="a", stop_loss=Decimal(48_000), take_profit=Decimal(52_000))
        await trio.sleep(10)
        legs = await legs_of(rig, alert)
        assert legs[Leg.STOP_LOSS][0] is State.OPEN
        assert legs[Leg.TAKE_PROFIT][0] is State.PLANNED  # both would sell the same coins
        venue.price = Decimal(52_100)
        await trio.sleep(10)
        legs = await legs_of(rig, alert)
        assert legs[Leg.STOP_LOSS][0] is State.CANCELED
        assert legs[Leg.TAKE_PROFIT][0] is State.FILLED


async def test_the_stop_s_fill_ends_the_take_profit(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        alert = await rig.send(id="a", stop_loss=Decimal(48_000), take_profit=Decimal(52_000))
        await trio.sleep(10)
        stop = next(order for order in await rig.orders(alert) if order.leg is Leg.STOP_LOSS)
        venue.put(stop, State.FILLED)
        await trio.sleep(20)
        legs = await legs_of(rig, alert)
        assert legs[Leg.TAKE_PROFIT][0] is State.CANCELED
        assert len(venue.placed) == 2


async def test_a_stop_filled_while_it_is_canceled_leaves_nothing_for_the_take_profit(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        alert = await rig.send(id="a", stop_loss=Decimal(48_000), take_profit=Decimal(52_000))
        await trio.sleep(10)
        stop = next(order for order in await rig.orders(alert) if order.leg is Leg.STOP_LOSS)
        venue.put(stop, State.FILLED)  # the exchange is faster than the next look-up
        venue.price = Decimal(52_100)
        await trio.sleep(20)
        legs = await legs_of(rig, alert)
        assert (await rig.journal.read(lambda ledger: ledger.order(stop.id))).state is State.FILLED
        assert legs[Leg.TAKE_PROFIT][0] is State.CANCELED
        assert len(venue.placed) == 2


async def test_several_take_profits_each_make_the_stop_smaller(tmp_path: Path) -> None:
    venue = FakeVenue()
    half = {"share": Decimal("0.5")}
    targets = [{"price": Decimal(52_000), **half}, {"price": Decimal(54_000), **half}]
    async with Rig(tmp_path, venue).running() as rig:
        alert = await rig.send(id="a", stop_loss=Decimal(48_000), take_profit=targets)
        await trio.sleep(10)
        venue.price = Decimal(52_100)
        await trio.sleep(10)
        orders = await rig.orders(alert)
        profits = sorted((one.state, one.filled) for one in orders if one.leg is Leg.TAKE_PROFIT)
        assert profits == [(State.FILLED, Decimal("0.005")), (State.PLANNED, Decimal(0))]
        stops = [(one.state, one.amount) for one in orders if one.leg is Leg.STOP_LOSS]
        assert stops == [(State.CANCELED, Decimal("0.010")), (State.OPEN, Decimal("0.005"))]
        venue.price = Decimal(54_100)
        await trio.sleep(10)
        assert all(order.at_rest for order in await rig.orders(alert))
        (position,) = await rig.journal.read(lambda ledger: ledger.positions("main"))
        assert position.amount == 0


async def test_a_partial_fill_is_protected_at_once_and_growth_by_further_stops(tmp_path: Path) -> None:
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        limit = {"order_type": "limit", "price": Decimal(49_000), "amount": Decimal("0.1")}
        alert = await rig.send(id="a", stop_loss=Decimal(48_000), **limit)
        await trio.sleep(2)
        entry = next(order for order in await rig.orders(alert) if order.leg is Leg.ENTRY)
        for filled in ("0.04", "0.07"):
            venue.put(entry, State.PARTIAL, Decimal(filled))
            await trio.sleep(5)
        venue.put(entry, State.FILLED)
        await trio.sleep(5)
        stops = [order for order in await rig.orders(alert) if order.leg is Leg.STOP_LOSS]
        assert [stop.state for stop in stops] == [State.OPEN] * 3
        assert [stop.amount for stop in stops] == [Decimal("0.04"), Decimal("0.03"), Decimal("0.03")]


async def test_a_sale_of_protected_coins_makes_the_stop_smaller(tmp_path: Path) -> None:
    venue = FakeVenue()
    venue.funds["BTC"] = Decimal(0)
    async with Rig(tmp_path, venue).running() as rig:
        bought = await rig.send(id="a", amount=Decimal("0.1"), stop_loss=Decimal(48_000))
        await trio.sleep(10)
        await rig.send(id="b", action="sell", amount=Decimal("0.04"))
        await trio.sleep(10)
        stops = [order for order in await rig.orders(bought) if order.leg is Leg.STOP_LOSS]
        assert [(stop.state, stop.amount) for stop in stops] == [
            (State.CANCELED, Decimal("0.1")),
            (State.OPEN, Decimal("0.06")),
        ]
        (position,) = await rig.journal.read(lambda ledger: ledger.positions("main"))
        assert position.amount == Decimal("0.06")


async def test_a_stop_that_gives_way_comes_back_also_after_its_successor_has_filled(tmp_path: Path) -> None:
    venue = FakeVenue("open")
    venue.funds["BTC"] = Decimal(0)
    async with Rig(tmp_path, venue).running() as rig:
        limit = {"order_type": "limit", "price": Decimal(49_000), "amount": Decimal("0.1")}
        alert = await rig.send(id="a", stop_loss=Decimal(48_000), **limit)
        await trio.sleep(2)
        (entry,) = (order for order in await rig.orders(alert) if order.leg is Leg.ENTRY)
        for state, filled in ((State.PARTIAL, "0.06"), (State.FILLED, "0.1")):
            venue.put(entry, state, Decimal(filled))
            await trio.sleep(5)
        first, second = [order for order in await rig.orders(alert) if order.leg is Leg.STOP_LOSS]
        venue.put(second, State.FILLED)
        await trio.sleep(20)
        await rig.send(id="b", action="sell", amount=Decimal("0.02"))
        await trio.sleep(20)
        stops = [order for order in await rig.orders(alert) if order.leg is Leg.STOP_LOSS]
        assert [(stop.state, stop.amount) for stop in stops] == [
            (State.CANCELED, first.amount),
            (State.FILLED, second.amount),
            (State.OPEN, Decimal("0.04")),
        ]


async def test_a_close_leaves_no_orphan(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a", amount=Decimal("0.1"), stop_loss=Decimal(48_000), take_profit=Decimal(52_000))
        await trio.sleep(10)
        await rig.send(id="b", action="close", amount=None)
        await trio.sleep(10)
        assert all(order.at_rest for order in await rig.orders())
        (position,) = await rig.journal.read(lambda ledger: ledger.positions("main"))
        assert position.amount == 0


@pytest.mark.parametrize("sold", ["0", "0.04"])
async def test_what_a_close_has_not_sold_gets_its_stop_back(tmp_path: Path, sold: str) -> None:
    refused = Rejected("insufficient_funds", "too little")
    venue = FakeVenue("fill", "open", refused if sold == "0" else "open")
    async with Rig(tmp_path, venue).running() as rig:
        bought = await rig.send(id="a", amount=Decimal("0.1"), stop_loss=Decimal(48_000))
        await trio.sleep(10)
        closing = await rig.send(id="b", action="close", amount=None)
        await trio.sleep(3)
        if sold != "0":
            (close,) = await rig.orders(closing)
            venue.put(close, State.CANCELED, Decimal(sold))
        await trio.sleep(30)
        stops = [order for order in await rig.orders(bought) if order.leg is Leg.STOP_LOSS]
        left = Decimal("0.1") - Decimal(sold)
        assert [(stop.state, stop.amount) for stop in stops] == [
            (State.CANCELED, Decimal("0.1")),
            (State.OPEN, left),
        ]


class SlowToCancel(FakeVenue):
    async def cancel(self, order: Order) -> Report | None:
        await trio.sleep(5)
        return await super().cancel(order)


async def test_a_close_that_is_withdrawn_gives_the_stop_back(tmp_path: Path) -> None:
    venue = SlowToCancel("fill", "open")
    async with Rig(tmp_path, venue).running() as rig:
        bought = await rig.send(id="a", amount=Decimal("0.1"), stop_loss=Decimal(48_000))
        await trio.sleep(10)
        closing = await rig.send(id="b", action="close", amount=None)
        await until(lambda: rig.orders(closing))
        (close,) = await rig.orders(closing)
        await rig.cancel(close, waive=True)
        await trio.sleep(40)
        stops = [order for order in await rig.orders(bought) if order.leg is Leg.STOP_LOSS]
        assert stops[-1].state is State.OPEN
        assert sum(stop.remaining for stop in stops) == Decimal("0.1")


async def test_a_stop_that_a_human_cancels_stays_away(tmp_path: Path) -> None:
    venue = FakeVenue("fill", "open")
    async with Rig(tmp_path, venue).running() as rig:
        legs = {"stop_loss": Decimal(48_000), "take_profit": Decimal(52_000)}  # which goes on waiting
        bought = await rig.send(id="a", amount=Decimal("0.1"), **legs)
        await trio.sleep(10)
        (stop,) = [order for order in await rig.orders(bought) if order.leg is Leg.STOP_LOSS]
        await rig.cancel(stop, waive=True)
        await trio.sleep(30)
        (stop,) = [order for order in await rig.orders(bought) if order.leg is Leg.STOP_LOSS]
        assert stop.state is State.CANCELED


async def test_many_resting_orders_are_followed_with_one_list(tmp_path: Path) -> None:
    count = 30
    venue = FakeVenue(*["open"] * count)
    lists: list[float] = []
    tell = venue.open_orders

    async def counted() -> Sequence[Report]:
        lists.append(trio.current_time())
        return await tell()

    venue.open_orders = counted  # type: ignore[method-assign]
    async with Rig(tmp_path, venue).running() as rig:
        for number in range(count):
            await rig.send(id=f"n{number}", order_type="limit", price=Decimal(49_000))
        await trio.sleep(120)
        asked, listed = len(venue.found), len(lists)
        await trio.sleep(150)
        assert len(venue.found) == asked, "nothing has changed, so nothing is asked for by name"
        assert 10 <= len(lists) - listed <= 16, "and the list is asked for every 10 to 15 s by now"
        some = (await rig.orders())[:3]
        venue.put(some[0], State.FILLED)
        venue.put(some[1], State.PARTIAL, Decimal("0.004"))
        venue.put(some[2], State.CANCELED)
        await trio.sleep(20)
        now = {order.id: (order.state, order.filled) for order in await rig.orders()}
        assert [now[order.id] for order in some] == [
            (State.FILLED, Decimal("0.010")),
            (State.PARTIAL, Decimal("0.004")),
            (State.CANCELED, Decimal(0)),
        ]
        assert len(venue.found) == asked + 4, "the canceled one a second time: a fill may show late"


async def test_the_balance_follows_changes_at_once_and_a_flood_of_them_once_a_second(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        await trio.sleep(2)
        for spent in range(3):
            venue.funds = {"USDT": Decimal(1000 - spent)}
            await rig.send(id=f"a{spent}")
            await trio.sleep(0.2)
            told = rig.account.status.get().balance
            assert told is not None
            assert told.free == venue.funds
        asked = venue.asked_balance
        for number in range(100):
            await rig.send(id=f"b{number}")
            await trio.sleep(0.1)
        assert 8 <= venue.asked_balance - asked <= 16
