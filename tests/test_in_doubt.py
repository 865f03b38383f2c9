"""What an exchange may show late of an order that it called canceled: until it was asked again it counts."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import trio

from fakes import FakeVenue
from fks.domain.errors import Rejected
from fks.domain.messages import IntentState, Order, Report
from fks.domain.orders import State
from fks.domain.settings import RiskSettings
from rig import Rig


async def test_an_entry_at_the_limit_waits_for_what_a_canceled_order_may_show_late(tmp_path: Path) -> None:
    limits = RiskSettings(max_position_notional=Decimal(1100))
    venue = FakeVenue("open", "fill", "open")
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await canceled(rig, "a")
        below = await rig.send(id="b")  # 0.01 at 50,000 each
        await trio.sleep(0.3)
        assert [one.state for one in await rig.orders(below)] == [State.FILLED], "there is room for both"
        at = await rig.send(id="c")
        await trio.sleep(0.3)
        assert (await rig.intent(at)).state is IntentState.ACCEPTED, "it depends on what shows"
        await trio.sleep(3)
        assert (await rig.intent(at)).state is IntentState.PLANNED, "nothing has shown"


async def test_an_entry_is_refused_when_a_canceled_order_shows_a_fill(tmp_path: Path) -> None:
    limits = RiskSettings(max_position_notional=Decimal(800))
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        first = await canceled(rig, "a")
        second = await rig.send(id="b")
        await trio.sleep(0.3)
        venue.put(first, State.FILLED)
        await trio.sleep(5)
        assert (await rig.intent(second)).code == "risk.max_position_notional"
        told = rig.alarms()
        assert [one["code"] for one in told] == ["order.filled_late"]
        assert told[0]["detail"].startswith("buy of 0.01 BTC/USDT shows after the order was canceled")


async def test_a_fill_that_shows_while_the_ledger_is_read_is_not_missed(tmp_path: Path) -> None:
    limits = RiskSettings(max_position_notional=Decimal(800))
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        first = await canceled(rig, "a")
        venue.put(first, State.FILLED)
        read = rig.journal.read

        async def slowly(query: Any, *, within: float = 5.0) -> Any:
            found = await read(query, within=within)
            await trio.sleep(1.5)  # in which the look-up comes and is written down
            return found

        rig.outlook.account.journal.read = slowly  # type: ignore[method-assign]
        second = await rig.send(id="b")
        await trio.sleep(30)
        assert (await rig.intent(second)).code == "risk.max_position_notional"


async def test_a_close_does_not_wait_behind_an_entry_in_doubt(tmp_path: Path) -> None:
    limits = RiskSettings(max_position_notional=Decimal(1100))
    venue = FakeVenue("fill", "open")
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await rig.send(id="held")
        await trio.sleep(1)
        await canceled(rig, "a")
        entry, close = await rig.send(id="b"), await rig.send(id="c", action="close", amount=None)
        await trio.sleep(0.2)
        assert (await rig.intent(entry)).code == "risk.max_position_notional"
        assert (await rig.intent(close)).state is IntentState.PLANNED


class Stale(FakeVenue):
    """Its look-ups may still show an order as open that has ended."""

    async def cancel(self, order: Order) -> Report | None:
        if order.client_order_id in self.cancelled:
            raise Rejected("order_not_found", "there is no such open order")
        return await super().cancel(order)


async def test_a_doubt_that_stays_refuses_the_entry_after_a_while(tmp_path: Path) -> None:
    limits = RiskSettings(max_position_notional=Decimal(800))
    venue = Stale("open")
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        first = await canceled(rig, "a")
        venue.put(first, State.OPEN)  # look-ups have not caught up with its end
        second = await rig.send(id="b")
        await trio.sleep(10)
        assert (await rig.intent(second)).state is IntentState.ACCEPTED
        await trio.sleep(10)
        assert (await rig.intent(second)).code == "risk.max_position_notional"
        venue.put(first, State.FILLED)
        await trio.sleep(5)
        assert (await rig.orders())[0].filled == first.amount, "it is asked for until its end shows"
        assert rig.account.ended == {}


async def test_a_new_life_is_in_doubt_of_what_ended_in_the_last_one(tmp_path: Path) -> None:
    limits = RiskSettings(max_position_notional=Decimal(800))
    rig = Rig(tmp_path, FakeVenue("open"), limits=limits)
    async with rig.running(), trio.open_nursery() as nursery:
        await canceled(rig, "a")
        rig.crash()
        second = await rig.send(id="b")
        rig.start(nursery)
        await trio.sleep(0.5)
        assert (await rig.intent(second)).state is IntentState.ACCEPTED
        await trio.sleep(3)
        assert (await rig.intent(second)).state is IntentState.PLANNED
        nursery.cancel_scope.cancel()


async def canceled(rig: Rig, name: str) -> Order:
    """A resting entry that has just been canceled, with nothing filled."""
    alert = await rig.send(id=name, order_type="limit", price=Decimal(49_000))
    await trio.sleep(1)
    (order,) = await rig.orders(alert)
    await rig.cancel(order)
    await trio.sleep(0.3)
    (order,) = await rig.orders(alert)
    assert order.state is State.CANCELED
    return order
