"""Before the book was held against the exchange no entry goes, whoever of the actors is built anew."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
import trio

from fakes import FakeVenue, wall
from fks.domain.messages import Look, Report, TradingState
from fks.domain.orders import Leg, State
from rig import Rig
from test_reconcile import Holder, Silent, reconciling


async def test_no_entry_goes_before_the_book_was_held_against_the_exchange(tmp_path: Path) -> None:
    venue = FakeVenue()
    rig = Rig(tmp_path, venue, agrees=False)
    async with rig.running(), trio.open_nursery() as nursery:
        await reconciling(rig, nursery, reduces=True)
        await rig.send(id="held", amount=Decimal("0.5"))
        await trio.sleep(5)
        rig.crash()
        venue.funds["BTC"] = Decimal(0)  # sold by hand meanwhile
        late = await rig.send(id="late", amount=Decimal("0.1"))
        rig.start(nursery)
        await trio.sleep(4)
        assert "against the exchange" in rig.account.status.get().reason
        await trio.sleep(30)
        assert [order.alert_id for _, order in venue.placed] != [late]
        assert len(venue.placed) == 1
        assert rig.account.status.get().ready, "a drift is a finding: what it forbids, the trading state says"
        assert (await rig.journal.read(lambda ledger: ledger.trading()))["main"] is TradingState.REDUCE
        nursery.cancel_scope.cancel()


async def test_while_it_cannot_be_held_against_it_exits_go_and_entries_wait(tmp_path: Path) -> None:
    venue = Silent("fill", "fill")
    rig = Rig(tmp_path, venue, agrees=False)
    async with rig.running(), trio.open_nursery() as nursery:
        await reconciling(rig, nursery)
        await rig.send(id="held", amount=Decimal("0.5"))
        await trio.sleep(5)
        rig.crash()
        venue.silent = True
        entry = await rig.send(id="entry", symbol="ETH/USDT", amount=Decimal("0.1"))
        close = await rig.send(id="close", action="close", amount=None)
        rig.start(nursery)
        await trio.sleep(60)
        assert {one.state for one in await rig.orders(close)} == {State.FILLED}
        assert [one.state for one in await rig.orders(entry)] == [State.PLANNED]
        status = rig.account.status.get()
        assert not status.ready
        assert status.reason == "entries wait until the book is held against the exchange: no answer"
        await trio.sleep(300)
        told = rig.alarm_codes()
        assert told == ["account.not_ready", "stale"]
        venue.silent = False
        entry = await rig.send(id="again", symbol="ETH/USDT", amount=Decimal("0.1"))
        await trio.sleep(7)
        assert [one.state for one in await rig.orders(entry)] == [State.FILLED]
        assert (rig.account.status.get().ready, rig.account.status.get().reason) == (True, "")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("who", ["exchange", "reconciler"])
async def test_whoever_is_built_anew_the_account_gets_ready_again(tmp_path: Path, who: str) -> None:
    venue = FakeVenue()
    rig = Rig(tmp_path, venue, agrees=False)
    async with rig.running(), trio.open_nursery() as nursery:
        async with trio.open_nursery() as first_life:
            await reconciling(rig, first_life)
            await trio.sleep(20)
            assert rig.account.status.get().ready
            if who == "exchange":
                rig.crash()
                assert not rig.account.status.get().ready
                rig.start(nursery)
                await trio.sleep(7)
                assert rig.account.status.get().ready, "without waiting for the next minute"
            first_life.cancel_scope.cancel()
        await reconciling(rig, nursery)
        await trio.sleep(20)
        assert rig.account.status.get().ready
        assert rig.account.status.get().reconciled_at > wall() - 30
        nursery.cancel_scope.cancel()


async def test_an_account_that_is_being_stopped_is_not_made_ready_by_a_comparison(tmp_path: Path) -> None:
    venue = FakeVenue()
    rig = Rig(tmp_path, venue, agrees=False)
    async with rig.running(), trio.open_nursery() as nursery:
        reconciler = await reconciling(rig, nursery)
        await trio.sleep(20)
        rig.account.tell(ready=False, reason="the daemon is stopping")
        await reconciler.handle(Look())
        await trio.sleep(100)
        assert (rig.account.status.get().ready, rig.account.status.get().reason) == (
            False,
            "the daemon is stopping",
        )
        nursery.cancel_scope.cancel()


async def test_a_drift_that_a_fill_hides_for_a_moment_keeps_entries_waiting(tmp_path: Path) -> None:
    venue = Holder()
    rig = Rig(tmp_path, venue, agrees=False)
    async with rig.running(), trio.open_nursery() as nursery:
        await reconciling(rig, nursery, reduces=True)
        await rig.send(id="held", amount=Decimal("0.5"), stop_loss=Decimal(40_000))
        await trio.sleep(5)
        rig.crash()
        venue.missing = Decimal("0.2")
        rig.start(nursery)
        await trio.sleep(4)
        (stop,) = [one for one in await rig.orders() if one.leg is Leg.STOP_LOSS]
        held = venue.orders[stop.client_order_id]
        tell = venue.open_orders

        async def filling() -> Sequence[Report]:
            venue.put(stop, State.PARTIAL, Decimal("0.1"))
            venue.missing += Decimal("0.2")  # twice what it sold: `Holder` takes it for bought
            await rig.account.settle([(stop, venue.orders[stop.client_order_id])])
            venue.open_orders = tell  # type: ignore[method-assign]
            return [held]

        venue.open_orders = filling  # type: ignore[method-assign]
        await trio.sleep(3)
        assert not rig.account.status.get().ready
        await trio.sleep(30)
        assert rig.account.status.get().ready
        assert (await rig.journal.read(lambda ledger: ledger.trading()))["main"] is TradingState.REDUCE
        nursery.cancel_scope.cancel()
