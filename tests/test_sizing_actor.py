"""Decisions under races: limits hold, closes wait for cancels, nothing overtakes."""

from decimal import Decimal
from pathlib import Path

import trio

from fakes import FakeVenue
from fks.domain.messages import Intent, TradingState
from fks.domain.orders import Leg, Side, State
from fks.domain.settings import RiskSettings, SizingSettings
from rig import Rig, until


async def intent_of(rig: Rig, alert_id: str) -> Intent:
    (intent,) = await rig.journal.read(lambda ledger: ledger.intents_of(alert_id))
    return intent


async def test_a_hundred_simultaneous_alerts_never_pass_the_position_limit(tmp_path: Path) -> None:
    limits = RiskSettings(max_position_notional=Decimal(10_000))
    async with Rig(tmp_path, FakeVenue(), limits=limits).running() as rig:
        async with trio.open_nursery() as nursery:
            for number in range(100):  # 0.01 BTC at 50,000 each
                nursery.start_soon(lambda number=number: rig.send(id=f"n{number}"))
        await trio.sleep(60)
        orders = await rig.orders()
        assert len(orders) == 20
        assert sum(order.filled for order in orders) == Decimal("0.2")
        refused = [one for one in rig.journal.events if one.kind == "intent_refused"]
        assert len(refused) == 80
        assert {one.data["code"] for one in refused} == {"risk.max_position_notional"}


async def test_unknown_orders_count_as_filled(tmp_path: Path) -> None:
    limits = RiskSettings(max_position_notional=Decimal(800))
    venue = FakeVenue("never")
    venue.down_until = 0.0
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await trio.sleep(1)
        venue.down_until = 1000.0
        await rig.send(id="a")
        await trio.sleep(1)
        assert (await rig.only()).state is State.UNKNOWN
        second = await rig.send(id="b")
        await trio.sleep(3)
        assert (await intent_of(rig, second)).code == "risk.max_position_notional"


async def test_a_share_of_equity_is_sized_by_balance_and_price(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue(), sizing=SizingSettings(pct=Decimal("0.05"))).running() as rig:
        await rig.send(id="a", amount=None)
        await trio.sleep(3)
        # equity: 100,000 USDT and 10 BTC at 50,000
        assert (await rig.only()).amount == Decimal("0.600")


async def test_an_intent_waits_for_the_price_that_it_needs(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        await trio.sleep(1)

        async def silent(_symbol: str) -> None:
            await trio.sleep_forever()

        tell, venue.ticker = venue.ticker, silent  # type: ignore[assignment, method-assign]
        await rig.send(id="a", amount=None, notional=Decimal(500))
        await trio.sleep(20)
        assert await rig.orders() == []
        venue.ticker = tell  # type: ignore[method-assign]
        await until(lambda: some_order(rig))
        assert (await rig.only()).amount == Decimal("0.010")


async def some_order(rig: Rig) -> bool:
    return bool(await rig.orders())


async def test_a_close_cancels_what_is_open_and_then_sells_what_is_held(tmp_path: Path) -> None:
    venue = FakeVenue("fill", "open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a", amount=Decimal("0.02"))
        await trio.sleep(2)
        resting = await rig.send(id="b", order_type="limit", price=Decimal(49_000))
        await trio.sleep(2)
        closing = await rig.send(id="c", action="close", amount=None)
        await trio.sleep(10)
        assert (await rig.orders(resting))[0].state is State.CANCELED
        (close,) = await rig.orders(closing)
        assert (close.leg, close.side, close.filled) == (Leg.CLOSE, Side.SELL, Decimal("0.02"))
        (position,) = await rig.journal.read(lambda ledger: ledger.positions("main"))
        assert position.amount == 0


async def test_a_close_without_a_position_is_refused_by_name(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        alert = await rig.send(id="a", action="close", amount=None)
        await trio.sleep(5)
        assert (await intent_of(rig, alert)).code == "close.nothing"


async def test_a_cancel_ends_entries_and_leaves_protection(tmp_path: Path) -> None:
    venue = FakeVenue("fill")
    async with Rig(tmp_path, venue).running() as rig:
        held = await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(3)
        venue.script = ["open"]
        resting = await rig.send(id="b", order_type="limit", price=Decimal(49_000))
        await trio.sleep(3)
        await rig.send(id="c", action="cancel", amount=None)
        await trio.sleep(5)
        assert (await rig.orders(resting))[0].state is State.CANCELED
        stop = next(order for order in await rig.orders(held) if order.leg is Leg.STOP_LOSS)
        assert stop.state is State.OPEN


async def test_a_halted_account_refuses_entries_until_it_is_resumed(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        await rig.journal.write(lambda ledger: ledger.set_trading(None, TradingState.HALTED, "test", 0.0))
        first = await rig.send(id="a")
        await trio.sleep(3)
        assert (await intent_of(rig, first)).code == "risk.halted"
        await rig.journal.write(lambda ledger: ledger.set_trading(None, TradingState.ACTIVE, "test", 0.0))
        await rig.send(id="b")
        await trio.sleep(3)
        assert (await rig.only()).state is State.FILLED


async def test_an_alert_that_grew_old_while_the_exchange_was_down_is_refused(tmp_path: Path) -> None:
    venue = FakeVenue()
    venue.down_until = 1000.0
    async with Rig(tmp_path, venue).running() as rig:
        alert = await rig.send(id="a")
        await trio.sleep(1200)
        assert (await intent_of(rig, alert)).code == "gate.stale"
        assert venue.placed == []


async def test_an_account_that_failed_refuses_at_once(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        await trio.sleep(1)
        rig.account.tell(failed=True, ready=False, reason="the keys are wrong")
        alert = await rig.send(id="a")
        await trio.sleep(2)
        assert (await intent_of(rig, alert)).code == "account.failed"
