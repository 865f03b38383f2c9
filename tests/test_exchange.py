"""What becomes of an order when replies are lost, refused, late or never come."""

import math
from decimal import Decimal
from pathlib import Path

import pytest
import structlog
import trio

from fakes import FakeVenue
from fks.actors.exchange import PLACEMENTS
from fks.domain.errors import NotSent, Rejected, Throttled
from fks.domain.limits import BreakerRules
from fks.domain.orders import OrderType, State
from fks.domain.outcome import AlertState
from fks.domain.venue import Features
from rig import Rig, until


async def has_placed(venue: FakeVenue, number: int) -> bool:
    return len(venue.placed) == number


def settled(rig: Rig, alert_id: str) -> object:
    async def check() -> bool:
        return all(order.at_rest for order in await rig.orders(alert_id)) and bool(await rig.orders(alert_id))

    return check


async def test_an_alert_becomes_one_filled_order(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        alert = await rig.send(id="a")
        await until(settled(rig, alert))
        order = await rig.only()
        assert (order.state, order.filled) == (State.FILLED, Decimal("0.01"))
        assert order.exchange_order_id == f"x-{order.client_order_id}"
        assert await rig.journal.read(lambda ledger: ledger.alert_state(alert)) is AlertState.DONE


async def test_the_claim_is_on_disk_before_the_first_byte(tmp_path: Path) -> None:
    seen = []
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        venue.before_reply = lambda order: seen.append(
            rig.journal.store.read(lambda one: one.order(order.id))
        )
        await until(settled(rig, await rig.send(id="a")))
        (claimed,) = seen
        assert claimed is not None
        assert claimed.state is State.SENDING
        assert claimed.send_by is not None


async def test_a_lost_reply_is_looked_up_not_resent(tmp_path: Path) -> None:
    venue = FakeVenue("lost")
    async with Rig(tmp_path, venue).running() as rig:
        await until(settled(rig, await rig.send(id="a")))
        assert (await rig.only()).state is State.FILLED
        assert len(venue.placed) == 1
        assert "order_unknown" in rig.journal.kinds()


@pytest.mark.fault(42)
async def test_silence_ends_in_a_look_up(tmp_path: Path) -> None:
    venue = FakeVenue("hang")
    async with Rig(tmp_path, venue, patience_s=10.0).running() as rig:
        await until(settled(rig, await rig.send(id="a")))
        assert (await rig.only()).state is State.FILLED
        assert len(venue.placed) == 1


async def test_what_never_arrived_is_sent_anew_only_behind_the_fence(tmp_path: Path) -> None:
    venue = FakeVenue("never")
    async with Rig(tmp_path, venue).running() as rig:
        await until(settled(rig, await rig.send(id="a")))
        (first_at, first), (again_at, again) = venue.placed
        assert first.send_by is not None
        assert again_at - first_at > 5.0 + 1.0  # the exchange's window and its look-up's lag
        assert (first.id, again.attempt) == (again.id, 2)
        assert first.client_order_id != again.client_order_id
        assert (await rig.only()).state is State.FILLED


async def test_an_absence_seen_before_the_fence_proves_nothing(tmp_path: Path) -> None:
    venue = FakeVenue("lost")
    venue.blind_until = 5.0  # executed, but invisible for a while
    async with Rig(tmp_path, venue).running() as rig:
        await until(settled(rig, await rig.send(id="a")))
        assert len(venue.placed) == 1
        assert (await rig.only()).state is State.FILLED


async def test_a_stale_signal_is_refused_with_an_alarm_rather_than_sent_anew(tmp_path: Path) -> None:
    venue = FakeVenue("never")
    venue.down_until = 400.0  # the proof comes after the alert's 300 s
    async with Rig(tmp_path, venue).running() as rig:
        venue.down_until = 0.0
        alert = await rig.send(id="a", age=299.0)
        await until(settled(rig, alert))
        assert (await rig.only()).state is State.REFUSED
        assert len(venue.placed) == 1
        assert "alarm" in rig.journal.kinds()
        assert await rig.journal.read(lambda ledger: ledger.alert_state(alert)) is AlertState.REFUSED


@pytest.mark.fault(49)
async def test_a_rejection_ends_the_order_and_refuses_the_alert(tmp_path: Path) -> None:
    venue = FakeVenue(Rejected("insufficient_funds", "not enough USDT"))
    async with Rig(tmp_path, venue).running() as rig:
        alert = await rig.send(id="a")
        await until(settled(rig, alert))
        order = await rig.only()
        assert order.state is State.REJECTED
        assert order.reason == "insufficient_funds: not enough USDT"
        (alarm,) = [event for event in rig.journal.events if event.kind == "alarm"]
        assert alarm.order_id == order.id
        assert alarm.data == {"code": "order.rejected", "detail": order.reason}
        assert await rig.journal.read(lambda ledger: ledger.alert_state(alert)) is AlertState.REFUSED


@pytest.mark.fault(39, 40)
async def test_what_was_provably_not_sent_is_sent_again_under_the_same_id(tmp_path: Path) -> None:
    venue = FakeVenue(NotSent("connection refused"), NotSent("connection refused"))
    async with Rig(tmp_path, venue).running() as rig:
        await until(settled(rig, await rig.send(id="a")))
        assert len({order.client_order_id for _, order in venue.placed}) == 1
        assert len(venue.placed) == 3
        assert (await rig.only()).state is State.FILLED


async def test_a_close_that_a_long_stop_of_the_daemon_made_late_is_sent_with_an_alarm(tmp_path: Path) -> None:
    venue = FakeVenue("fill", NotSent("connection refused"))
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        await rig.send(id="held")
        await trio.sleep(3)
        close = await rig.send(id="close", action="close", amount=None)
        await until(lambda: has_placed(venue, 2))
        await trio.sleep(0.1)
        rig.crash()
        await trio.sleep(3000)
        assert "alarm" not in rig.journal.kinds()
        rig.start(nursery)
        await until(settled(rig, close))
        assert (await rig.orders(close))[0].state is State.FILLED
        (alarm,) = [event for event in rig.journal.events if event.kind == "alarm"]
        assert alarm.data["code"] == "order.late"
        nursery.cancel_scope.cancel()


@pytest.mark.fault(52)
async def test_retry_after_is_obeyed(tmp_path: Path) -> None:
    venue = FakeVenue(NotSent("too many requests", retry_after=40.0))
    async with Rig(tmp_path, venue).running() as rig:
        await until(settled(rig, await rig.send(id="a")))
        (first, _), (second, _) = venue.placed
        assert second - first >= 40.0


@pytest.mark.parametrize("step", ["fill", "lost", "never"])
@pytest.mark.parametrize("crash_after", [0.0, 0.01, 0.04, 0.051, 0.06, 0.6])
async def test_a_crash_at_any_moment_never_doubles_and_never_loses(
    tmp_path: Path, step: str, crash_after: float
) -> None:
    venue = FakeVenue(step)
    rig = Rig(tmp_path, venue)
    async with trio.open_nursery() as nursery:
        rig.start(nursery)
        alert = await rig.send(id="a")
        await trio.sleep(crash_after)
        rig.crash()
        await trio.sleep(0.1)
        rig.start(nursery)
        await until(settled(rig, alert))
        nursery.cancel_scope.cancel()
    executed = [one for one in venue.orders.values() if one.filled]
    assert len(executed) == 1
    assert (await rig.only()).state is State.FILLED


async def test_entries_wait_until_the_earlier_life_is_reconciled(tmp_path: Path) -> None:
    venue = FakeVenue("lost")
    rig = Rig(tmp_path, venue)
    async with trio.open_nursery() as nursery:
        rig.start(nursery)
        first = await rig.send(id="a")
        await trio.sleep(0.3)
        venue.down_until = trio.current_time() + 20.0
        rig.crash()
        await trio.sleep(0.1)
        rig.start(nursery)
        second = await rig.send(id="b")
        await until(settled(rig, second))
        assert (await rig.orders(first))[0].state is State.FILLED
        assert venue.placed[1][0] >= venue.down_until
        nursery.cancel_scope.cancel()


@pytest.mark.fault(54)
async def test_an_open_breaker_holds_entries_and_lets_cancels_pass(tmp_path: Path) -> None:
    venue = FakeVenue("open", *(NotSent("refused") for _ in range(5)))
    rules = BreakerRules(min_calls=5, failure_threshold=5, cooldown_s=60.0)
    async with Rig(tmp_path, venue, breaker=rules).running() as rig:
        resting = await rig.send(id="a", order_type="limit", price=Decimal(49_000))
        await trio.sleep(1)
        await rig.send(id="b", symbol="ETH/USDT")
        await trio.sleep(8)
        sent = len(venue.placed)
        assert rig.account.status.get().breaker == 2
        (order,) = await rig.orders(resting)
        await rig.journal.write(lambda ledger: ledger.request_cancel([order.id], 0.0, "test"))
        await trio.sleep(5)
        assert (await rig.orders(resting))[0].state is State.CANCELED
        assert len(venue.placed) == sent
        await trio.sleep(120)
        assert len(venue.placed) == sent + 1  # closed again by its probes, which are reads


async def test_two_entries_of_one_side_are_in_flight_together(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: rig.send(id="a"))
            nursery.start_soon(lambda: rig.send(id="b"))
        await trio.sleep(2)
        (one, _), (other, _) = venue.placed
        assert abs(one - other) < 0.05


@pytest.mark.parametrize("window", [None, 5.0])
async def test_look_ups_without_an_end_take_no_placement_s_room(tmp_path: Path, window: float | None) -> None:
    features = Features(order_types=frozenset(OrderType), window_s=window, lag_s=1.0)
    venue = FakeVenue("fill", *["never"] * PLACEMENTS, features=features)
    venue.funds["ETH"] = Decimal(10)
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="held", symbol="ETH/USDT")
        await trio.sleep(5)
        venue.down_until = math.inf
        for number in range(PLACEMENTS):
            await rig.send(id=f"lost {number}")
        await trio.sleep(2)
        assert [one.state for one in await rig.orders()].count(State.UNKNOWN) == PLACEMENTS
        alert = await rig.send(id="close", symbol="ETH/USDT", action="close", amount=None)
        await trio.sleep(3)
        assert [one.state for one in await rig.orders(alert)] == [State.FILLED]


async def test_placements_are_in_flight_together_up_to_their_number(tmp_path: Path) -> None:
    venue = FakeVenue(*["hang"] * PLACEMENTS)
    never = BreakerRules(min_calls=1000)
    async with Rig(tmp_path, venue, patience_s=10.0, breaker=never).running() as rig:
        await trio.sleep(1)
        for number in range(PLACEMENTS + 1):
            await rig.send(id=f"slow {number}")
        await trio.sleep(5)
        assert len(venue.placed) == PLACEMENTS
        await trio.sleep(10)
        assert len(venue.placed) == PLACEMENTS + 1


async def test_opposite_orders_of_one_symbol_keep_their_order(tmp_path: Path) -> None:
    venue = FakeVenue("lost")
    venue.blind_until = 4.0
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a")
        await trio.sleep(0.2)
        await rig.send(id="b", action="sell")
        await trio.sleep(10)
        (_, buy), (at, sell) = venue.placed
        assert (buy.side, sell.side) == ("buy", "sell")
        assert at > 4.0  # only when the first one's fate is known


async def test_entries_wait_for_the_rate_limit_before_they_are_claimed(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        await trio.sleep(1)
        venue.busy = 5.0
        await rig.send(id="a")
        await trio.sleep(3)
        assert (await rig.only()).state is State.PLANNED
        venue.busy = 0.0
        await trio.sleep(2)
        assert (await rig.only()).state is State.FILLED


async def test_our_own_rate_limit_is_no_failure_of_the_exchange(tmp_path: Path) -> None:
    waits = (Throttled("no room", retry_after=2.0) for _ in range(8))
    venue = FakeVenue(*waits)
    async with Rig(tmp_path, venue).running() as rig:
        await until(settled(rig, await rig.send(id="a")))
        assert len({order.client_order_id for _, order in venue.placed}) == 1
        assert rig.account.status.get().breaker == 0


async def test_a_leg_that_is_looked_up_may_end_meanwhile_with_its_entry(tmp_path: Path) -> None:
    linked = Features(order_types=frozenset(OrderType), window_s=5.0, lag_s=1.0, attached_protection=True)
    async with Rig(tmp_path, FakeVenue("open", features=linked)).running() as rig:
        with structlog.testing.capture_logs() as lines:
            price = {"order_type": "limit", "price": Decimal(49_000)}
            alert = await rig.send(id="a", **price, stop_loss=Decimal(48_000))
            await trio.sleep(3)
            entry, stop = await rig.orders(alert)
            assert (entry.state, stop.state) == (State.OPEN, State.SENDING)
            await rig.cancel(entry)
            await trio.sleep(30)
        assert [order.state for order in await rig.orders(alert)] == [State.CANCELED, State.CANCELED]
        assert not [line for line in lines if line["event"] in ("actor_failed", "alarm")]
