"""The guard on the rig: stops that are missing, limits that are reached."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

from fakes import FakeVenue, wall
from fks.actors.guard import Guard
from fks.domain.errors import NotSent, Rejected
from fks.domain.events import Kind
from fks.domain.messages import Look, Order, TradingRecord, TradingState
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.settings import RiskSettings
from fks.domain.trading_state import DAILY_LOSS, DAY_S
from fks.domain.venue import Features
from rig import Rig, until

NO = Rejected("order.rejected", "no stops today")


def told(rig: Rig) -> str:
    """What the one alarm of a missing stop says."""
    (alarm,) = [one for one in rig.journal.events if one.data.get("code") == "position.unprotected"]
    detail: str = alarm.data["detail"]
    return detail


async def own(rig: Rig) -> TradingRecord:
    records = await rig.journal.read(lambda ledger: ledger.trading_records())
    found: TradingRecord = records.get("main", TradingRecord())
    return found


async def closes(rig: Rig) -> list[Order]:
    return [order for order in await rig.orders() if order.leg is Leg.CLOSE]


async def test_a_rejected_stop_is_an_alarm_in_time_and_once_over_restarts(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(tmp_path, FakeVenue("fill", NO))
        rig.start(nursery)
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(29)
        assert "position.unprotected" not in rig.alarm_codes()
        assert 25 < rig.unprotected < 30
        await trio.sleep(5)
        assert rig.alarm_codes().count("position.unprotected") == 1
        (alarm,) = [one for one in rig.journal.events if one.data.get("code") == "position.unprotected"]
        entry = next(order for order in await rig.orders() if order.leg is Leg.ENTRY)
        assert alarm.order_id == entry.id
        assert "0.01 of entry" in alarm.data["detail"]
        rig.crash()
        rig.start(nursery)
        await trio.sleep(60)
        assert rig.alarm_codes().count("position.unprotected") == 1
        assert rig.unprotected > 90  # from the fill on, whoever counted before
        assert await closes(rig) == []
        nursery.cancel_scope.cancel()
    rig.journal.store.close()


async def test_what_is_unprotected_is_closed_once_where_so_configured(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        venue = FakeVenue("fill", NO)
        rig = Rig(tmp_path, venue, limits=RiskSettings(on_unprotected="close", unprotected_s=10.0))
        rig.start(nursery)
        await rig.send(id="a", stop_loss=Decimal(48_000), take_profit=Decimal(52_000))
        await trio.sleep(15)
        (close,) = await closes(rig)
        assert (close.side, close.type, close.state) == (Side.SELL, OrderType.MARKET, State.FILLED)
        assert close.amount == Decimal("0.01")
        assert told(rig).endswith("it is being closed")
        rig.crash()
        rig.start(nursery)
        await trio.sleep(30)
        assert [one.id for one in await closes(rig)] == [close.id]
        assert rig.alarm_codes().count("position.unprotected") == 1
        assert rig.unprotected == 0.0
        assert [order for order in await rig.orders() if not order.at_rest] == []  # no leg is left behind
        (position,) = await rig.journal.read(lambda ledger: ledger.positions("main"))
        assert position.amount == 0
        nursery.cancel_scope.cancel()
    rig.journal.store.close()


async def test_a_close_of_one_entry_leaves_the_other_its_stop(tmp_path: Path) -> None:
    venue = FakeVenue("fill", "open", "fill", NO)
    limits = RiskSettings(on_unprotected="close", unprotected_s=10.0)
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        good = await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(3)
        await rig.send(id="b", amount=Decimal("0.02"), stop_loss=Decimal(48_000))
        await trio.sleep(30)
        (close,) = await closes(rig)
        assert (close.state, close.amount) == (State.FILLED, Decimal("0.02"))
        stops = {one.state: one.remaining for one in await rig.orders(good) if one.leg is Leg.STOP_LOSS}
        assert stops[State.OPEN] == Decimal("0.01")


async def test_a_stop_that_cannot_be_sent_does_not_go_beside_the_close(tmp_path: Path) -> None:
    down = [NotSent("refused") for _ in range(200)]
    venue = FakeVenue("fill", *down)
    limits = RiskSettings(on_unprotected="close", unprotected_s=10.0)
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(30)
        assert rig.alarm_codes().count("position.unprotected") == 1
        venue.script.clear()
        await trio.sleep(90)
        (close,) = await closes(rig)
        assert close.state is State.FILLED
        assert len(venue.orders) == 2  # the entry and its close
        assert [order for order in await rig.orders() if not order.at_rest] == []


@pytest.mark.parametrize("target", [None, Decimal(52_000)])
async def test_a_stop_that_gets_no_answer_for_ever_is_given_up_for_the_close(
    tmp_path: Path, target: Decimal | None
) -> None:
    venue = FakeVenue("fill", *["never"] * 200)
    limits = RiskSettings(on_unprotected="close", unprotected_s=30.0)
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await rig.send(id="a", stop_loss=Decimal(48_000), take_profit=target)
        await trio.sleep(29)
        assert "position.unprotected" not in rig.alarm_codes()
        await trio.sleep(3)
        assert rig.alarm_codes().count("position.unprotected") == 1
        venue.script.clear()  # the close itself is answered
        await trio.sleep(60)
        (close,) = await closes(rig)
        assert close.state is State.FILLED
        assert [order for order in await rig.orders() if not order.at_rest] == []
        assert rig.unprotected == 0.0


async def test_a_stop_of_which_no_proof_can_come_is_given_up_for_the_close(tmp_path: Path) -> None:
    unfenced = Features(order_types=frozenset(OrderType), window_s=None, lag_s=1.0)
    venue = FakeVenue("fill", "never", features=unfenced)
    limits = RiskSettings(unprotected_s=30.0, on_unprotected="close")
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await rig.send(id="a", amount=Decimal("0.1"), stop_loss=Decimal(48_000))
        await trio.sleep(60)
        (close,) = await closes(rig)
        assert (close.state, close.filled) == (State.FILLED, Decimal("0.1"))
        (stop,) = [order for order in await rig.orders() if order.leg is Leg.STOP_LOSS]
        assert stop.state is State.CANCELED
        assert len(venue.placed) == 3
        assert sorted(rig.alarm_codes()) == ["order.unprovable", "position.unprotected"]


async def test_a_stop_that_was_there_after_all_is_not_sold_twice(tmp_path: Path) -> None:
    venue = FakeVenue("fill", "lost")
    venue.blind_until = 20.0  # look-ups see it late, before the fence has passed
    limits = RiskSettings(on_unprotected="close", unprotected_s=2.0)
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(5)
        assert await closes(rig) == []
        (stop,) = [order for order in await rig.orders() if order.leg is Leg.STOP_LOSS]
        assert (stop.state, stop.cancel_requested) == (State.UNKNOWN, True)
        assert told(rig).endswith("it will be closed once no other order of it is under way or in doubt")
        venue.put(stop, State.FILLED)
        venue.blind_until = 0.0
        await trio.sleep(30)
        assert await closes(rig) == []
        assert [order for order in await rig.orders() if not order.at_rest] == []


async def test_of_a_growing_entry_the_rest_is_canceled_before_it_is_closed(tmp_path: Path) -> None:
    venue = FakeVenue("open", NO)
    limits = RiskSettings(on_unprotected="close", unprotected_s=10.0)
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        alert = await rig.send(id="a", order_type="limit", price=Decimal(49_000), stop_loss=Decimal(48_000))
        await trio.sleep(2)
        entry = next(order for order in await rig.orders(alert) if order.leg is Leg.ENTRY)
        venue.put(entry, State.PARTIAL, Decimal("0.004"))
        await trio.sleep(30)
        assert (await rig.journal.read(lambda ledger: ledger.order(entry.id))).state is State.CANCELED
        (close,) = await closes(rig)
        assert (close.amount, close.state) == (Decimal("0.004"), State.FILLED)


async def test_what_is_unprotected_in_a_market_that_is_no_more_is_told_and_not_closed(tmp_path: Path) -> None:
    venue = FakeVenue("fill", NO)
    async with Rig(tmp_path, venue).running() as rig, trio.open_nursery() as nursery:
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(3)
        venue.markets = dict  # type: ignore[method-assign]
        limits = RiskSettings(unprotected_s=1.0, on_unprotected="close")
        guard = Guard(nursery, rig.account, limits, lambda *_told: None)
        await guard._look()
        assert told(rig).endswith("its market is not known, so it cannot be closed: look at the exchange")
        assert await closes(rig) == []
        nursery.cancel_scope.cancel()


async def test_a_protected_entry_and_one_without_a_wish_are_left_alone(tmp_path: Path) -> None:
    limits = RiskSettings(on_unprotected="close", unprotected_s=5.0)
    async with Rig(tmp_path, FakeVenue(), limits=limits).running() as rig:
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await rig.send(id="b")
        await trio.sleep(60)
        assert await closes(rig) == []
        assert rig.alarm_codes() == []
        assert rig.unprotected == 0.0


async def test_a_stop_that_a_human_canceled_is_not_missed(tmp_path: Path) -> None:
    limits = RiskSettings(on_unprotected="close", unprotected_s=5.0)
    async with Rig(tmp_path, FakeVenue(), limits=limits).running() as rig:
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(3)
        stop = next(one for one in await rig.orders() if one.leg is Leg.STOP_LOSS)
        await rig.cancel(stop, waive=True)
        await trio.sleep(60)
        assert await closes(rig) == []


async def test_zero_seconds_watch_nothing(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue("fill", NO), limits=RiskSettings(unprotected_s=0.0)).running() as rig:
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(60)
        assert rig.alarm_codes() == ["order.rejected"]
        assert rig.unprotected > 50


async def test_a_fill_since_the_look_postpones_the_close(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue("fill", NO)).running() as rig, trio.open_nursery() as nursery:
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(3)
        guard = Guard(nursery, rig.account, RiskSettings(on_unprotected="close"), lambda *_told: None)
        await guard._look()
        (missing,) = guard._missing
        await rig.send(id="b", action="sell", amount=Decimal("0.004"))
        await trio.sleep(3)
        assert not await rig.journal.write(lambda ledger: guard._close(ledger, missing, wall()))
        await guard.handle(Look())
        await guard._look()
        (missing,) = guard._missing
        assert missing.amount == Decimal("0.006")
        assert await rig.journal.write(lambda ledger: guard._close(ledger, missing, wall()))
        nursery.cancel_scope.cancel()


async def lose(rig: Rig, venue: FakeVenue, n: int, by: str = "1000") -> None:
    """A round trip that loses a hundredth of `by`."""
    await rig.send(id=f"buy{n}")
    await until(lambda: _filled(rig, 2 * n + 1))
    venue.price -= Decimal(by)
    await rig.send(id=f"sell{n}", action="sell")
    await until(lambda: _filled(rig, 2 * n + 2))
    venue.price += Decimal(by)
    await trio.sleep(3)


async def _filled(rig: Rig, count: int) -> bool:
    return [order.state for order in await rig.orders()].count(State.FILLED) >= count


async def resume(rig: Rig) -> None:
    await rig.journal.write(lambda ledger: ledger.set_trading("main", TradingState.ACTIVE, "admin", wall()))


async def test_a_day_s_loss_is_recorded_once(tmp_path: Path) -> None:
    venue, limits = FakeVenue(), RiskSettings(max_daily_loss=Decimal(10))
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await lose(rig, venue, 0)
        record = await own(rig)
        assert (record.state, record.by) == (TradingState.REDUCE, "risk.max_daily_loss")
        assert "today's loss is 10, the limit 10" in record.why
        assert rig.alarm_codes() == ["risk.max_daily_loss"]
        await rig.send(id="late")
        await trio.sleep(2)
        assert len(await rig.orders()) == 2
        await trio.sleep(60)
        assert (await own(rig)).at == record.at  # once


async def test_a_daily_loss_of_yesterday_is_over(tmp_path: Path) -> None:
    venue, limits = FakeVenue(), RiskSettings(max_daily_loss=Decimal(10))
    rig = Rig(tmp_path, venue, limits=limits)
    rig.journal.store.commit(
        [
            lambda ledger: ledger.set_trading(
                "main", TradingState.REDUCE, DAILY_LOSS, wall() - DAY_S, why="numbers"
            )
        ]
    )
    async with rig.running():
        await trio.sleep(3)
        record = await own(rig)
        assert (record.state, record.by) == (TradingState.ACTIVE, DAILY_LOSS)
        assert record.resumed_at == 0.0  # nobody has looked at it
        assert Kind.TRADING_STATE in rig.journal.kinds()


async def test_losses_in_a_row_reduce_until_a_human_resumes_and_count_anew(tmp_path: Path) -> None:
    venue, limits = FakeVenue(), RiskSettings(max_consecutive_losses=2)
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await lose(rig, venue, 0)
        assert (await own(rig)).state is TradingState.ACTIVE
        await lose(rig, venue, 1)
        assert (await own(rig)).by == "risk.max_consecutive_losses"
        await resume(rig)
        await lose(rig, venue, 2)
        assert (await own(rig)).state is TradingState.ACTIVE
        await lose(rig, venue, 3)
        assert (await own(rig)).state is TradingState.REDUCE
        assert rig.alarm_codes() == ["risk.max_consecutive_losses"] * 2


async def test_an_order_unknown_for_too_long_reduces(tmp_path: Path) -> None:
    venue, limits = FakeVenue("lost"), RiskSettings(max_unknown_s=20.0)
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await trio.sleep(1)
        venue.down_until = 120.0
        await rig.send(id="a")
        await trio.sleep(20)
        assert (await own(rig)).state is TradingState.ACTIVE
        await trio.sleep(10)
        assert (await own(rig)).by == "risk.max_unknown_s"
        await resume(rig)
        await trio.sleep(30)
        assert (await own(rig)).state is TradingState.ACTIVE  # a human knows of it


async def test_a_drawdown_is_measured_from_the_highest_equity_over_restarts(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        venue = FakeVenue()
        venue.funds = {"USDT": Decimal(1_000)}
        rig = Rig(tmp_path, venue, limits=RiskSettings(max_drawdown=Decimal("0.1")))
        rig.start(nursery)
        await rig.send(id="a", amount=Decimal("0.001"))
        await trio.sleep(60)
        rig.crash()
        venue.funds = {"USDT": Decimal(901)}
        rig.start(nursery)
        await trio.sleep(60)
        assert (await own(rig)).state is TradingState.ACTIVE
        venue.funds = {"USDT": Decimal(900)}
        await trio.sleep(60)
        record = await own(rig)
        assert (record.by, "10% below its highest of 1000" in record.why) == ("risk.max_drawdown", True)
        await resume(rig)
        await trio.sleep(60)
        assert (await own(rig)).state is TradingState.ACTIVE  # measured from here on
        nursery.cancel_scope.cancel()
    rig.journal.store.close()


async def test_a_holding_without_a_price_is_no_drawdown(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue, limits=RiskSettings(max_drawdown=Decimal("0.1"))).running() as rig:
        await rig.send(id="a")
        await trio.sleep(60)

        async def silent(_symbol: str) -> Any:
            await trio.sleep_forever()

        venue.ticker = silent  # type: ignore[method-assign]
        await trio.sleep(300)
        assert (await own(rig)).state is TradingState.ACTIVE
        assert rig.alarm_codes() == []
