"""A halt with entries queued, on the rig."""

from pathlib import Path

import pytest
import trio

from fakes import FakeVenue, wall
from fks.domain.messages import Order, TradingState
from fks.domain.orders import State
from rig import Rig


@pytest.mark.parametrize("account", [None, "main"])
async def test_a_halt_stops_the_entries_that_are_queued_at_once(tmp_path: Path, account: str | None) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        venue.busy = 1.0  # entries wait for the exchange's rate
        for n in range(30):
            await rig.send(id=f"n{n}")
        await trio.sleep(3)
        assert [order.state for order in await rig.orders()] == [State.PLANNED] * 30
        await rig.journal.write(
            lambda ledger: ledger.set_trading(account, TradingState.HALTED, "admin", wall())
        )
        venue.busy = 0.0
        await trio.sleep(3)
        assert venue.placed == []
        assert {order.state for order in await rig.orders()} == {State.REFUSED}


async def test_a_halt_in_the_midst_of_a_queue_lets_nothing_out_after_it(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        await trio.sleep(1)
        halted: list[float] = []

        def on_the_fifth(_order: Order) -> None:
            if len(venue.placed) >= 5 and not halted:
                halted.append(trio.current_time())
                rig.journal.store.commit(
                    [lambda ledger: ledger.set_trading(None, TradingState.HALTED, "admin", wall())]
                )

        venue.before_reply = on_the_fifth
        for n in range(60):
            await rig.send(id=f"n{n}")
        await trio.sleep(10)
        assert halted
        assert all(at <= halted[0] for at, _ in venue.placed)
        states = [order.state for order in await rig.orders()]
        assert states.count(State.FILLED) == len(venue.placed) < 60
