"""A stop loss that travels with its entry, and is an order of its own from then on: exactly one, always."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec import structs

from fakes import wall
from fks.domain.errors import Rejected, Unknown
from fks.domain.messages import Order, Report
from fks.domain.orders import Leg, OrderType, State
from fks.domain.venue import Features
from rig import FakeVenue, Rig, until

LAG_S = 5.0
FEATURES = Features(
    order_types=frozenset(OrderType), window_s=30.0, lag_s=LAG_S, oco=True, attached_stop=True
)
WISH: dict[str, Any] = {"stop_loss": Decimal(48_000)}


class AttachingVenue(FakeVenue):
    """Attached stops are born `birth_s` after their entry has filled; never, when that is None."""

    def __init__(self, *script: str | Exception, birth_s: float | None = 0.0) -> None:
        super().__init__(*script, features=FEATURES)
        self.birth_s = birth_s
        self.unborn: list[tuple[str, Order]] = []  # with their entry's name
        self.filled: dict[str, float] = {}  # when
        self.loose = False

    async def place(self, order: Order, legs: Sequence[Order], at: float) -> Sequence[Report]:
        self.unborn += [(order.client_order_id, leg) for leg in legs]
        return await super().place(order, legs, at)

    async def find(self, order: Order) -> Report | None:
        self._bear()
        return await super().find(order)

    def _bear(self) -> None:
        now = trio.current_time()
        for entry, leg in list(self.unborn):
            report = self.orders.get(entry)
            if report is None or report.state is not State.FILLED or self.birth_s is None:
                continue
            if now >= self.filled.setdefault(entry, now) + self.birth_s:
                self.unborn.remove((entry, leg))
                self.put(leg, State.OPEN)
                name = leg.client_order_id
                self.orders[name] = structs.replace(self.orders[name], loose=self.loose)

    def stops(self) -> list[Report]:
        """Those that rest."""
        self._bear()
        return [one for one in self.orders.values() if one.state is State.OPEN]


async def settled(rig: Rig, stops: int = 1) -> tuple[Order, ...]:
    """The entry and its stops, once one of so many rests on the exchange."""

    async def rests() -> bool:
        found = [one for one in await rig.orders() if one.leg is Leg.STOP_LOSS]
        return len(found) == stops and any(one.state is State.OPEN for one in found)

    await until(rests)
    await trio.sleep(2 * LAG_S)  # whatever might still come
    return tuple(sorted(await rig.orders(), key=lambda one: one.leg is not Leg.ENTRY))


async def test_stop_travels_with_its_entry_and_then_stands_alone(tmp_path: Path) -> None:
    venue = AttachingVenue()
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(**WISH)
        entry, stop = await settled(rig)
        on_disk = rig.journal.kinds()
    assert [order.leg for _, order in venue.placed] == [Leg.ENTRY]
    assert (entry.state, stop.state, stop.attached) == (State.FILLED, State.OPEN, False)
    assert stop.exchange_order_id == f"x-{stop.client_order_id}"
    assert [one.client_order_id for one in venue.stops()] == [stop.client_order_id]
    assert on_disk.index("order_sending") < on_disk.index("order_filled")
    assert on_disk.count("order_sending") == 2  # both were claimed before the first byte


async def test_stop_that_did_not_come_along_is_sent_alone(tmp_path: Path) -> None:
    venue = AttachingVenue(birth_s=None)
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(**WISH)
        entry, stop = await settled(rig)
    (_, first), (at, second) = venue.placed
    assert (first.leg, second.leg, second.id) == (Leg.ENTRY, Leg.STOP_LOSS, stop.id)
    assert second.client_order_id != stop.id  # another attempt, another name
    assert LAG_S <= at < 15
    assert (stop.state, stop.attached, stop.amount) == (State.OPEN, False, entry.filled)
    assert len(venue.stops()) == 1


async def test_stop_that_is_born_late_is_waited_for(tmp_path: Path) -> None:
    venue = AttachingVenue(birth_s=LAG_S - 1)
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(**WISH)
        await settled(rig)
    assert len(venue.placed) == 1
    assert len(venue.stops()) == 1


async def test_stop_is_waited_for_as_long_as_its_entry_rests(tmp_path: Path) -> None:
    venue = AttachingVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(**WISH)
        await trio.sleep(60)
        venue.put(venue.placed[0][1], State.FILLED)
        _, stop = await settled(rig)
    assert len(venue.placed) == 1
    assert [one.client_order_id for one in venue.stops()] == [stop.id]


async def test_stop_waits_as_long_as_its_entry_may_still_fill(tmp_path: Path) -> None:
    venue = AttachingVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(**WISH)
        await trio.sleep(60)
        assert len(venue.placed) == 1
        _, entry = venue.placed[0]
        venue.put(entry, State.CANCELED, filled=Decimal("0.004"))  # the exchange attaches nothing to a part
        _, stop = await settled(rig)
    assert stop.amount == Decimal("0.004")
    assert len(venue.stops()) == 1


async def test_stop_that_could_open_a_position_gives_way_to_one_that_cannot(tmp_path: Path) -> None:
    venue = AttachingVenue()
    venue.loose = True
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(**WISH)
        await settled(rig, stops=2)
        first, second = [one for one in await rig.orders() if one.leg is Leg.STOP_LOSS]
    live, gone = (first, second) if first.state is State.OPEN else (second, first)
    assert (gone.state, live.amount) == (State.CANCELED, Decimal("0.01"))
    assert [one.client_order_id for one in venue.stops()] == [live.client_order_id]
    assert [order.leg for _, order in venue.placed] == [Leg.ENTRY, Leg.STOP_LOSS]


@pytest.mark.parametrize("birth_s", [0.0, 3.0, None])
@pytest.mark.parametrize(
    ("step", "moment"),
    [("fill", 0.02), ("fill", 0.06), ("fill", 1.06), ("fill", 7.6), ("lost", 0.6), ("never", 38.0)],
)
async def test_a_crash_at_any_moment_leaves_exactly_one_stop(
    tmp_path: Path, moment: float, step: str, birth_s: float | None
) -> None:
    venue = AttachingVenue(step, birth_s=birth_s)
    rig = Rig(tmp_path, venue)
    async with trio.open_nursery() as nursery:
        rig.start(nursery)
        await rig.send(**WISH)
        await trio.sleep(moment)
        rig.crash()
        rig.start(nursery)
        entry, stop = await settled(rig)
        nursery.cancel_scope.cancel()
    rig.journal.store.close()
    executed = [one for one in venue.orders.values() if one.state is State.FILLED]
    assert len(executed) == 1
    assert (entry.filled, stop.amount, stop.attached) == (Decimal("0.01"), Decimal("0.01"), False)
    assert [one.client_order_id for one in venue.stops()] == [stop.client_order_id]


async def test_stop_of_a_refused_entry_never_was(tmp_path: Path) -> None:
    venue = AttachingVenue(Rejected("insufficient_funds", "no money"))
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(**WISH)
        await trio.sleep(60)
        states = [one.state for one in await rig.orders()]
    assert states == [State.REJECTED] * 2
    assert not venue.stops()


@pytest.mark.parametrize("birth_s", [0.0, 4.0, None])
async def test_close_leaves_no_stop_behind(tmp_path: Path, birth_s: float | None) -> None:
    venue = AttachingVenue(birth_s=birth_s)
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(**WISH)
        await trio.sleep(0.5)  # the stop has not been seen yet
        await rig.send(action="close", amount=None)
        await trio.sleep(60)
        orders = {one.leg: one for one in await rig.orders()}
    assert orders[Leg.CLOSE].state is State.FILLED
    assert orders[Leg.STOP_LOSS].at_rest
    assert not venue.stops()


async def test_entry_whose_fate_is_unknown_keeps_its_stop_unknown_too(tmp_path: Path) -> None:
    venue = AttachingVenue(Unknown("reset"))
    venue.down_until = 60.0
    async with Rig(tmp_path, venue).running() as rig:
        venue.down_until = trio.current_time() + 60
        await rig.send(**WISH)
        await trio.sleep(30)
        assert {one.state for one in await rig.orders()} <= {State.UNKNOWN, State.SENDING, State.PLANNED}
        assert len(venue.placed) <= 1


async def test_ledger_detaches_each_leg_once(tmp_path: Path) -> None:
    venue = AttachingVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(**WISH)
        await trio.sleep(1)
        stop = next(one for one in await rig.orders() if one.leg is Leg.STOP_LOSS)
        assert stop.attached

        def twice(ledger: Any) -> tuple[Order, Order]:
            told = {"reason": "absent", "send_by": stop.send_by}
            return ledger.detach(stop.id, wall(), **told), ledger.detach(stop.id, wall(), **told)

        first, second = await rig.journal.write(twice)
    assert first == second
    assert (first.state, first.attached, first.attempt) == (State.PLANNED, False, 2)
