"""What the exchange does not show (any more, or yet) is neither believed at once nor waited for forever."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
import trio

from fakes import ETH, FakeVenue
from fks.domain.errors import NotSent
from fks.domain.messages import Balance, Market, Order
from fks.domain.orders import Leg, State
from fks.domain.settings import RiskSettings
from rig import Rig

AMOUNT = Decimal("0.1")


async def one(rig: Rig, leg: Leg) -> Order:
    (order,) = [order for order in await rig.orders() if order.leg is leg]
    return order


@contextmanager
def hidden(venue: FakeVenue, order: Order) -> Iterator[None]:
    """It shows nowhere for a while."""
    report = venue.orders.pop(order.client_order_id)
    yield
    venue.orders[order.client_order_id] = report


async def protected(rig: Rig) -> Order:
    await rig.send(id="a", amount=AMOUNT, stop_loss=Decimal(48_000))
    await trio.sleep(10)
    stop = await one(rig, Leg.STOP_LOSS)
    assert stop.state is State.OPEN
    return stop


async def test_a_stop_that_vanished_is_an_alarm_and_protects_no_longer(tmp_path: Path) -> None:
    venue = FakeVenue()
    limits = RiskSettings(unprotected_s=30.0, on_unprotected="close")
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        stop = await protected(rig)
        del venue.orders[stop.client_order_id]
        await trio.sleep(60)
        assert (await one(rig, Leg.STOP_LOSS)).state is State.OPEN  # a look-up may miss it for a while
        await trio.sleep(240)
        assert (await one(rig, Leg.STOP_LOSS)).state is State.CANCELED
        assert rig.alarm_codes() == ["order.vanished", "position.unprotected"]
        assert (await one(rig, Leg.CLOSE)).state is State.FILLED


async def test_what_shows_again_in_time_has_not_vanished(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        stop = await protected(rig)
        for _ in range(5):
            with hidden(venue, stop):
                await trio.sleep(60)
            await trio.sleep(60)
        assert (await one(rig, Leg.STOP_LOSS)).state is State.OPEN
        assert rig.alarm_codes() == []


async def test_a_close_does_not_wait_for_a_stop_that_vanished(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        stop = await protected(rig)
        del venue.orders[stop.client_order_id]
        await rig.send(id="b", action="close", amount=None)
        await trio.sleep(20)
        assert (await one(rig, Leg.CLOSE)).state is State.FILLED
        assert len(venue.cancelled) < 5
        assert rig.alarm_codes() == []


class Stubborn(FakeVenue):
    """Takes cancels and carries none out."""

    async def cancel(self, order: Order) -> None:
        await trio.sleep(0.05)
        self.cancelled.append(order.client_order_id)


async def test_a_cancel_that_is_not_carried_out_is_sent_again_ever_more_rarely(tmp_path: Path) -> None:
    venue = Stubborn("open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a", order_type="limit", price=Decimal(49_000))
        await trio.sleep(2)
        order = await rig.only()
        await rig.cancel(order)
        await trio.sleep(600)
        assert 30 < len(venue.cancelled) < 70
        assert (await rig.only()).state is State.OPEN


class Lagging(FakeVenue):
    """Coins are free again some time after the cancel that frees them."""

    frees_after = 0.5
    _freed = float("inf")

    async def balance(self) -> Balance:
        free = {**self.funds, "BTC": AMOUNT if trio.current_time() >= self._freed else Decimal(0)}
        return Balance(free=free, total=dict(self.funds))

    async def cancel(self, order: Order) -> object:
        self._freed = trio.current_time() + self.frees_after
        return await super().cancel(order)


async def test_a_close_waits_for_the_coins_that_its_cancel_frees(tmp_path: Path) -> None:
    async with Rig(tmp_path, Lagging()).running() as rig:
        await protected(rig)
        await rig.send(id="b", action="close", amount=None)
        await trio.sleep(10)
        close = await one(rig, Leg.CLOSE)
        assert (close.state, close.filled) == (State.FILLED, AMOUNT)
        assert rig.alarm_codes() == []


async def test_a_close_that_finds_nothing_of_what_the_book_holds_says_so(tmp_path: Path) -> None:
    venue = Lagging()
    venue.frees_after = float("inf")
    async with Rig(tmp_path, venue).running() as rig:
        await protected(rig)
        alert = await rig.send(id="b", action="close", amount=None)
        await trio.sleep(30)
        assert (await one(rig, Leg.CLOSE)).state is State.REFUSED
        assert rig.alarm_codes() == ["close.nothing"]
        assert await rig.journal.read(lambda ledger: ledger.alert_state(alert)) == "refused"


async def test_a_market_that_is_gone_takes_nobody_else_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        await protected(rig)
        left: dict[str, Market] = {"ETH/USDT": ETH}
        monkeypatch.setattr(venue, "markets", lambda: left)
        await trio.sleep(300)
        assert not rig.account.status.get().failed
        assert rig.alarm_codes() == ["market.gone"]
        assert (await one(rig, Leg.STOP_LOSS)).state is State.OPEN


async def test_a_stop_that_shows_again_is_left_there_told_of_and_followed(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        stop = await protected(rig)
        with hidden(venue, stop):
            await trio.sleep(200)
            assert (await one(rig, Leg.STOP_LOSS)).state is State.CANCELED
        await trio.sleep(60)
        assert venue.orders[stop.client_order_id].state is State.OPEN, "it guards the position"
        venue.put(stop, State.FILLED)
        await trio.sleep(60)
        assert (await one(rig, Leg.STOP_LOSS)).filled == AMOUNT
        codes = ["order.vanished", "position.unprotected", "order.revived", "order.filled_late"]
        assert rig.alarm_codes() == codes


async def test_two_moments_of_silence_far_apart_end_nothing(tmp_path: Path) -> None:
    """Also of many orders, which are followed with one list."""
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        for n in range(25):
            await rig.send(id=f"a{n}", amount=AMOUNT, stop_loss=Decimal(48_000))
        await trio.sleep(200)
        for _ in range(3):
            shown, venue.orders = venue.orders, {}
            await trio.sleep(20)
            venue.orders = shown
            await trio.sleep(140)
        stops = [order for order in await rig.orders() if order.leg is Leg.STOP_LOSS]
        assert {stop.state for stop in stops} == {State.OPEN}
        assert rig.alarm_codes() == []


async def test_silence_counts_only_while_every_look_up_is_answered(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        stop = await protected(rig)
        with hidden(venue, stop):
            await trio.sleep(30)
            venue.down_until = trio.current_time() + 150
            await trio.sleep(170)
        await trio.sleep(60)
        assert (await one(rig, Leg.STOP_LOSS)).state is State.OPEN
        assert rig.alarm_codes() == []


class Deaf(FakeVenue):
    """No cancel reaches it."""

    async def cancel(self, order: Order) -> None:
        raise NotSent("connection refused")


async def test_a_cancel_that_was_not_answered_proves_no_end(tmp_path: Path) -> None:
    venue = Deaf()
    async with Rig(tmp_path, venue).running() as rig:
        stop = await protected(rig)
        with hidden(venue, stop):
            await rig.send(id="b", action="close", amount=None)
            await trio.sleep(60)
        assert (await one(rig, Leg.STOP_LOSS)).state is State.OPEN
        assert (await one(rig, Leg.CLOSE)).state is State.PLANNED


async def test_a_close_waits_for_what_an_entry_that_it_has_canceled_may_show_late(tmp_path: Path) -> None:
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a", amount=AMOUNT, order_type="limit", price=Decimal(49_000))
        await trio.sleep(3)
        (entry,) = await rig.orders()
        await rig.send(id="b", action="close", amount=None)
        await trio.sleep(0.7)
        assert (await one(rig, Leg.ENTRY)).state is State.CANCELED
        venue.put(entry, State.CANCELED, AMOUNT)  # it had filled
        await trio.sleep(20)
        close = await one(rig, Leg.CLOSE)
        assert (close.state, close.filled) == (State.FILLED, AMOUNT)
