"""The guard's beginning: what it holds also of an exchange that is not reached yet."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

from fakes import FakeVenue
from fks.domain.errors import NotSent
from fks.domain.messages import TradingState
from fks.domain.orders import State
from fks.domain.settings import RiskSettings
from rig import Rig
from test_guard import NO, closes, lose, own, told


@pytest.mark.parametrize("then", ["alarm", "close"])
async def test_an_exchange_that_is_down_at_the_start_hides_no_missing_stop(tmp_path: Path, then: Any) -> None:
    venue = FakeVenue("fill", *[NotSent("refused")] * 3)
    limits = RiskSettings(unprotected_s=30.0, on_unprotected=then)
    rig = Rig(tmp_path, venue, limits=limits)
    async with rig.running(), trio.open_nursery() as nursery:
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(1)
        rig.crash()
        venue.down_until = 1000.0
        rig.start(nursery)
        await trio.sleep(27)
        assert rig.alarm_codes() == []
        assert 25 < rig.unprotected < 29
        await trio.sleep(4)
        assert rig.alarm_codes() == ["position.unprotected"]
        await trio.sleep(900)
        assert rig.alarm_codes() == ["position.unprotected"]
        assert rig.unprotected > 900
        assert await closes(rig) == [], "by when the exchange is back, all may be different"
        venue.script = [NO]
        await trio.sleep(120)
        assert [one.state for one in await closes(rig)] == [State.FILLED] * (then == "close")
        assert told(rig).endswith(
            "when the exchange answers, if it still has none then"
            if then == "close"
            else "look at the exchange"
        )
        nursery.cancel_scope.cancel()


async def test_a_stop_that_goes_out_when_the_exchange_is_back_makes_a_close_needless(tmp_path: Path) -> None:
    venue = FakeVenue("fill", *[NotSent("refused")] * 3)
    limits = RiskSettings(unprotected_s=30.0, on_unprotected="close")
    rig = Rig(tmp_path, venue, limits=limits)
    async with rig.running(), trio.open_nursery() as nursery:
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(1)
        rig.crash()
        venue.script, venue.down_until = [], 100.0
        rig.start(nursery)
        await trio.sleep(200)
        assert rig.alarm_codes() == ["position.unprotected"]
        assert await closes(rig) == []
        assert rig.unprotected == 0.0
        nursery.cancel_scope.cancel()


async def test_a_start_that_takes_its_time_raises_nothing_new(tmp_path: Path) -> None:
    venue = FakeVenue("fill", "open", "fill", *[NotSent("refused")] * 3)
    limits = RiskSettings(unprotected_s=30.0, on_unprotected="close")
    rig = Rig(tmp_path, venue, limits=limits)
    async with rig.running(), trio.open_nursery() as nursery:
        await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(5)
        await rig.send(id="b", stop_loss=Decimal(48_000))
        await trio.sleep(1)
        rig.crash()
        venue.script, venue.down_until = [], trio.current_time() + 3.0
        rig.start(nursery)
        await trio.sleep(60)
        assert rig.alarm_codes() == []
        assert await closes(rig) == []
        nursery.cancel_scope.cancel()


async def test_losses_are_counted_once_also_when_the_exchange_is_reached_late(tmp_path: Path) -> None:
    venue, limits = FakeVenue(), RiskSettings(max_consecutive_losses=2)
    rig = Rig(tmp_path, venue, limits=limits)
    async with rig.running(), trio.open_nursery() as nursery:
        await lose(rig, venue, 0)
        rig.crash()
        venue.down_until = trio.current_time() + 60.0
        rig.start(nursery)
        await trio.sleep(90)
        assert (await own(rig)).state is TradingState.ACTIVE
        await lose(rig, venue, 1)
        assert (await own(rig)).by == "risk.max_consecutive_losses"
        nursery.cancel_scope.cancel()
