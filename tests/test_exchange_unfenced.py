"""Where an exchange has no fence nothing ever proves that an order is not there: how it ends all the same."""

from decimal import Decimal
from pathlib import Path

import pytest
import trio

from fakes import FakeVenue
from fks.actors.exchange import LOOK_UP_MOST_S
from fks.domain.errors import NotSent
from fks.domain.messages import Order
from fks.domain.orders import Leg, OrderType, State
from fks.domain.venue import Features
from fks.venues.account import LOOK_ON_S
from rig import Rig, until

UNFENCED = Features(order_types=frozenset(OrderType), window_s=None, lag_s=1.0)


async def cancel(rig: Rig, alert_id: str) -> None:
    """As `fks cancel` does."""
    (order,) = await rig.orders(alert_id)
    await rig.cancel(order, waive=True)


async def lost_beside_a_holding(rig: Rig) -> str:
    """The alert of an entry whose reply was lost; a tenth of a coin is held."""
    await rig.send(id="held", amount=Decimal("0.1"))
    await trio.sleep(5)
    return await rig.send(id="lost", amount=Decimal("0.2"))


def settled(rig: Rig, alert_id: str) -> object:
    async def check() -> bool:
        return all(order.at_rest for order in await rig.orders(alert_id)) and bool(await rig.orders(alert_id))

    return check


async def test_the_order_stays_unknown_and_a_human_is_asked(tmp_path: Path) -> None:
    venue = FakeVenue("never", features=UNFENCED)
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a")
        await trio.sleep(3000)
        assert (await rig.only()).state is State.UNKNOWN
        assert len(venue.placed) == 1
        (told,) = rig.alarms()
        assert told["code"] == "order.unprovable"
        assert f"if it is not there, `fks cancel {(await rig.only()).id}` ends it here" in told["detail"]


async def test_what_a_human_cancels_is_canceled_and_the_close_goes(tmp_path: Path) -> None:
    venue = FakeVenue("fill", "never", features=UNFENCED)
    async with Rig(tmp_path, venue).running() as rig:
        lost = await lost_beside_a_holding(rig)
        await trio.sleep(120)
        close = await rig.send(id="close", action="close", amount=None)
        await cancel(rig, lost)
        await trio.sleep(5)
        (order,) = await rig.orders(lost)
        assert order.state is State.CANCELED
        assert order.reason == "cancel requested; for 30 s the exchange has shown nothing of it"
        (sold,) = await rig.orders(close)
        assert (sold.state, sold.filled) == (State.FILLED, Decimal("0.1"))
        assert len(venue.placed) == 3
        assert rig.alarm_codes() == ["order.unprovable"]


async def test_a_close_alone_ends_what_is_nowhere(tmp_path: Path) -> None:
    venue = FakeVenue("fill", "never", features=UNFENCED)
    async with Rig(tmp_path, venue).running() as rig:
        lost = await lost_beside_a_holding(rig)
        await trio.sleep(1)
        close = await rig.send(id="close", action="close", amount=None)
        await trio.sleep(20)
        assert [one.state for one in await rig.orders(lost)] == [State.UNKNOWN], "it may yet show"
        await until(settled(rig, close), within=20)
        assert [one.state for one in await rig.orders(lost)] == [State.CANCELED]
        assert (await rig.orders(close))[0].filled == Decimal("0.1")
        assert len(venue.placed) == 3
        (told,) = rig.alarms()
        assert told["code"] == "order.unprovable"
        assert told["detail"].endswith("look at the exchange; it counts as canceled, as was asked")


async def test_it_counts_as_canceled_only_when_look_ups_have_answered(tmp_path: Path) -> None:
    venue = FakeVenue("lost", features=UNFENCED)
    async with Rig(tmp_path, venue).running() as rig:
        venue.blind_until = 1.0
        alert = await rig.send(id="a")
        await trio.sleep(0.5)
        await cancel(rig, alert)
        venue.down_until = 300.0
        await trio.sleep(299)
        venue.blind_until = 310.0  # they answer again, and lag behind
        await trio.sleep(20)
        assert (await rig.only()).state is State.UNKNOWN
        await trio.sleep(60)
        assert (await rig.only()).state is State.FILLED


async def test_a_new_life_takes_a_cancel_as_carried_out_as_well(tmp_path: Path) -> None:
    venue = FakeVenue("never", features=UNFENCED)
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        alert = await rig.send(id="a")
        await trio.sleep(1)
        await cancel(rig, alert)
        rig.crash()
        rig.start(nursery)
        await until(settled(rig, alert), within=40)
        assert (await rig.only()).state is State.CANCELED
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_counts_as_canceled_is_looked_at_once_more(tmp_path: Path, *, restarts: bool) -> None:
    venue = FakeVenue("never", features=UNFENCED)
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        alert = await rig.send(id="a")
        await trio.sleep(1)
        await cancel(rig, alert)
        await until(settled(rig, alert), within=40)
        order = await rig.only()
        venue.put(order, State.FILLED)
        if restarts:
            rig.crash()
            rig.start(nursery)
        await trio.sleep(5)
        assert ((await rig.only()).state, (await rig.only()).filled) == (State.FILLED, order.amount)
        assert rig.alarm_codes() == ["order.unprovable", "order.filled_late"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("after", [0.0, 60.0])
async def test_what_rests_there_after_all_is_canceled_there(tmp_path: Path, after: float) -> None:
    venue = FakeVenue("never", features=UNFENCED)
    async with Rig(tmp_path, venue).running() as rig:
        order = await given_up(rig)
        await trio.sleep(after)
        venue.put(order, State.OPEN)
        await trio.sleep(LOOK_UP_MOST_S + 5)
        assert venue.orders[order.client_order_id].state is State.CANCELED
        assert rig.alarm_codes() == ["order.unprovable"]
        asked = len(venue.found)
        await trio.sleep(LOOK_ON_S)
        assert len(venue.found) < asked + 5, "its end is known"


async def test_a_fill_that_shows_minutes_later_is_recorded_with_an_alarm(tmp_path: Path) -> None:
    venue = FakeVenue("never", features=UNFENCED)
    async with Rig(tmp_path, venue).running() as rig:
        order = await given_up(rig)
        await trio.sleep(LOOK_ON_S / 2)
        venue.put(order, State.FILLED)
        await trio.sleep(LOOK_UP_MOST_S + 5)
        assert (await rig.only()).filled == order.amount
        assert rig.alarm_codes() == ["order.unprovable", "order.filled_late"]


async def given_up(rig: Rig) -> Order:
    """A limit order that counts as canceled."""
    alert = await rig.send(id="a", order_type="limit", price=Decimal(49_000))
    await trio.sleep(1)
    await cancel(rig, alert)
    await until(settled(rig, alert), within=40)
    return await rig.only()


async def test_exits_go_while_orders_of_an_earlier_life_are_looked_up(tmp_path: Path) -> None:
    refused = NotSent("too many requests", retry_after=10.0)
    venue = FakeVenue("never", "fill", refused, "open", features=UNFENCED)
    async with Rig(tmp_path, venue).running() as rig, trio.open_nursery() as nursery:
        await rig.send(id="lost")
        await trio.sleep(1)
        guarded = await rig.send(id="guarded", symbol="ETH/USDT", stop_loss=Decimal(40_000))
        await trio.sleep(2)
        rig.crash()
        rig.start(nursery)
        await trio.sleep(15)
        (stop,) = [order for order in await rig.orders(guarded) if order.leg is Leg.STOP_LOSS]
        assert (stop.state, rig.account.status.get().ready) == (State.OPEN, False)
        nursery.cancel_scope.cancel()
