"""An account whose actor fails again and again: no entries, but always a way out."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
import structlog.testing
import trio

from fakes import FakeVenue
from fks.domain.messages import Intent, Order, Report
from fks.domain.orders import Leg, State
from rig import Rig, until


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Tracebacks drawn for a reader cost more than the test."""
    with structlog.testing.capture_logs():
        yield


class Defective(FakeVenue):
    """Has a bug that every request about Ethereum meets, from `broken` on."""

    broken = False

    def _stumble(self, symbol: str) -> None:
        if self.broken and symbol == "ETH/USDT":
            raise ZeroDivisionError("a bug")

    async def place(self, order: Order, legs: Sequence[Order], at: float) -> Sequence[Report]:
        self._stumble(order.symbol)
        return await super().place(order, legs, at)

    async def find(self, order: Order) -> Report | None:
        self._stumble(order.symbol)
        return await super().find(order)

    def hint(self, symbol: str, price: Decimal) -> None:
        self._stumble(symbol)


async def failed(rig: Rig) -> bool:
    return rig.account.status.get().failed


async def code_of(rig: Rig, alert: str) -> str | None:
    intents: list[Intent] = await rig.journal.read(lambda ledger: ledger.intents_of(alert))
    return intents[0].code


# What of Ethereum sets off the bug: an order that is to be sent, one whose outcome is looked up, one that
# rests and is followed, an alert that is to be decided.
BUGS: dict[str, dict[str, object]] = {
    "exchange, sending": {},
    "exchange, looking up": {"script": "never"},
    "follower": {"script": "open", "order_type": "limit", "price": Decimal(49_000)},
    "sizing": {"price": Decimal(2_500)},
}


@pytest.mark.fault(58)
@pytest.mark.parametrize("where", BUGS)
async def test_over_its_budget_an_account_enters_no_more_and_still_cancels_and_closes(
    tmp_path: Path, where: str
) -> None:
    poison = dict(BUGS[where])
    venue = Defective()
    async with Rig(tmp_path, venue).running() as rig:
        held = await rig.send(id="held", stop_loss=Decimal(48_000))
        await trio.sleep(5)
        venue.script = ["open"]
        resting = await rig.send(id="resting", order_type="limit", price=Decimal(49_000))
        await trio.sleep(5)
        if (step := poison.pop("script", None)) is not None:
            venue.script = [str(step)]
            await rig.send(id="poison", symbol="ETH/USDT", **poison)
            await trio.sleep(0.3)
            venue.broken = True
        else:
            venue.broken = True
            await rig.send(id="poison", symbol="ETH/USDT", **poison)
        await until(lambda: failed(rig))

        refused = await rig.send(id="entry")
        closing = await rig.send(id="close", action="close", amount=None)
        await trio.sleep(60)
        assert await code_of(rig, refused) == "account.failed"
        assert (await rig.orders(resting))[0].state is State.CANCELED
        (close,) = await rig.orders(closing)
        assert (close.state, close.filled) == (State.FILLED, Decimal("0.01"))
        assert {one.leg: one.state for one in await rig.orders(held)}[Leg.STOP_LOSS] is State.CANCELED
        alarms = [event.data for event in rig.journal.events if event.kind == "alarm"]
        assert [alarm["code"] for alarm in alarms] == ["account.failed"]
        assert not rig.account.status.get().ready
        assert "failed 6 times" in rig.account.status.get().reason or where == "sizing"


async def test_a_failing_actor_is_built_anew_and_its_order_is_resolved(tmp_path: Path) -> None:
    venue = FakeVenue(ZeroDivisionError("a bug"))
    async with Rig(tmp_path, venue).running() as rig:
        alert = await rig.send(id="a")
        await trio.sleep(60)
        (order,) = await rig.orders(alert)
        assert (order.state, order.attempt, len(venue.placed)) == (State.FILLED, 2, 2)
        assert not await failed(rig)
