"""The operator: halts trading, lets it only reduce, resumes it, and cancels orders, as the desk does."""

from collections.abc import Sequence
from typing import Any

import trio

from fks.domain.errors import FksError
from fks.domain.messages import Order, TradingState
from fks.domain.orders import IN_FLIGHT, Leg
from fks.ledger import Ledger
from simulation.life import Life
from simulation.world import World

BY = "the desk"
LONG_S = 10.0  # of unknown outcome


class Human:
    """One who acts now and then, and believes only what was confirmed."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def act(self, life: Life | None) -> None:
        """One command, if there is a daemon to take it."""
        if life is None or life.daemon is None or not life.alive:
            return
        self.world.operated = True
        chance = self.world.further
        if chance.random() < 0.4:
            await self._change(life, "cancels entries", self._cancel)
            return
        state = chance.choice((TradingState.HALTED, TradingState.REDUCE, TradingState.ACTIVE))
        self.world.halted_since = None  # from here on nobody can say which it is
        done = await self._change(
            life, f"sets {state}", lambda ledger: ledger.set_trading(None, state, BY, self.world.wall())
        )
        if done and state is TradingState.HALTED:
            self.world.halted_since = self.world.wall()
            self.world.note("human", "knows", state=state)

    async def end(self, life: Life, live: Sequence[Order]) -> None:
        """Cancel what nobody can tell the outcome of."""
        since = self.world.wall() - LONG_S
        unclear = (one for one in live if one.account in self.world.unfenced and one.state in IN_FLIGHT)
        lost = [one.id for one in unclear if one.updated_at < since and not one.cancel_requested]
        if lost:
            await self._change(
                life,
                "ends what is unknown",
                lambda ledger: ledger.request_cancel(lost, self.world.wall(), BY, waive=True),
            )

    def _cancel(self, ledger: Ledger) -> list[Order]:
        entries = [one.id for one in ledger.live_orders() if one.leg is Leg.ENTRY]
        return ledger.request_cancel(entries, self.world.wall(), BY)

    async def _change(self, life: Life, what: str, change: Any) -> bool:
        self.world.note("human", what)
        assert life.daemon is not None
        try:
            await life.daemon.journal.write(change)
        except (FksError, trio.TooSlowError, trio.BrokenResourceError) as error:
            self.world.note("human", "was not heard", reason=type(error).__name__)
            return False
        return True
