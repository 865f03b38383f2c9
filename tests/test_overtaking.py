"""A way out does not wait behind what cannot be decided yet, and what it overtakes never comes behind it."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from fakes import BTC, FakeVenue
from fks.domain import overtaking
from fks.domain.errors import Overloaded, Transient
from fks.domain.messages import Balance, Intent, IntentState, Position, Ticker
from fks.domain.orders import State
from fks.domain.settings import StrategySettings
from makers import intent
from rig import Rig

BUY, SELL = intent("buy", id="buy"), intent("sell", id="sell")
CLOSE, CANCEL, PART = intent("close"), intent("cancel"), intent("close", share=Decimal("0.5"))
SOME = intent("close", amount=Decimal("0.1"))
FLAT = intent("sell", market_position="flat")
SOME_FLAT = intent("close", amount=Decimal("0.1"), market_position="Flat")
SOLD_FLAT = intent("sell", amount=Decimal("0.1"), market_position="flat")
LESS = intent("sell", reduce_only=True)


@pytest.mark.parametrize(
    ("alert", "before", "passes"),
    [
        (CLOSE, [BUY, SELL], True),
        (FLAT, [BUY], True),
        (PART, [BUY], True),
        (CANCEL, [BUY], True),
        (CLOSE, [LESS], True),
        (CLOSE, [BUY, CLOSE], False),  # the other one waits for what this one needs as well
        (PART, [BUY, LESS], False),  # a way out is not to be lost for a part
        (CANCEL, [LESS], False),
        (SOME, [LESS], False),
        (SOME, [BUY], True),
        (SOME_FLAT, [LESS], True),  # it closes everything, whatever amount it brings
        (SOLD_FLAT, [LESS], True),
        (PART, [SELL], False),  # on spot that is a way out
        (BUY, [BUY], False),
        (LESS, [BUY], False),  # it has its size from what is before it
    ],
)
def test_what_closes_or_cancels_passes_what_opens(alert: Intent, before: list[Intent], passes: bool) -> None:
    expected = before if passes else None
    assert overtaking.passed(alert.alert, before, own=False, spot=True) == expected


def test_a_strategys_own_close_passes_what_is_not_its_own_and_ends_none_of_it() -> None:
    mine, other = (intent("buy", id=name, strategy=name) for name in ("mine", "other"))
    close = intent("close", strategy="mine").alert
    assert overtaking.passed(close, [mine, other], own=True, spot=True) == [mine]
    assert overtaking.passed(close, [mine, other], own=False, spot=True) == [mine, other]


@pytest.mark.parametrize(
    ("side", "closes", "ended"),
    [
        (None, False, [BUY, SELL]),
        ("long", False, [BUY]),
        ("short", False, [SELL]),
        ("short", True, [BUY, SELL]),  # the buy was meant for the short position
    ],
)
def test_what_finds_nothing_to_close_ends_only_the_entries_of_its_side(
    side: str | None, closes: bool, ended: list[Intent]
) -> None:
    close = intent("close", position_side=side).alert
    assert overtaking.ended(close, [BUY, SELL], closes=closes) == ended


class Silent(FakeVenue):
    """It tells no price of some symbols."""

    def __init__(self, *script: str | Exception) -> None:
        super().__init__(*script)
        self.silent: set[str] = set()

    async def ticker(self, symbol: str) -> Ticker:
        if symbol in self.silent:
            raise Transient("no price")
        return await super().ticker(symbol)


class Told(Silent):
    """As the paper exchange: the first price may come from an alert."""

    def hint(self, symbol: str, price: Decimal) -> None:
        self.silent.discard(symbol)
        self.price = price


async def test_a_price_in_a_waiting_alert_is_one_for_those_before_it(tmp_path: Path) -> None:
    venue = Told()
    venue.silent = {"BTC/USDT"}
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="b", **BY_PRICE)
        await trio.sleep(5)
        await rig.send(id="c", **BY_PRICE, price=Decimal(40_000))
        await trio.sleep(5)
        assert [order.state for order in await rig.orders()] == [State.FILLED, State.FILLED]


BY_PRICE: dict[str, Any] = {"amount": None, "percent": Decimal(5)}


async def holding(rig: Rig) -> None:
    await rig.send(id="held", amount=Decimal("0.1"))
    await trio.sleep(5)


@pytest.mark.parametrize(
    ("closing", "left"),
    [
        ({"action": "close"}, "0"),
        ({"action": "close", "share": Decimal("0.5")}, "0.05"),
        ({"action": "sell", "market_position": "flat", "prev_market_position": "long"}, "0"),
    ],
)
async def test_a_close_passes_an_entry_without_a_price_and_ends_it(
    tmp_path: Path, closing: dict[str, Any], left: str
) -> None:
    venue = Silent()
    async with Rig(tmp_path, venue).running() as rig:
        await holding(rig)
        venue.silent = {"BTC/USDT"}
        entry = await rig.send(id="b", **BY_PRICE)
        await trio.sleep(2)
        close = await rig.send(id="c", amount=None, **closing)
        await trio.sleep(2)
        (closed,) = await rig.orders(close)
        assert closed.state is State.FILLED
        assert (await rig.intent(entry)).code == "gate.overtaken"
        assert close in ((await rig.intent(entry)).reason or "")
        venue.silent = set()
        await trio.sleep(60)
        assert await rig.orders(entry) == []
        (position,) = await rig.journal.read(lambda ledger: ledger.positions("main"))
        assert position.amount == Decimal(left)


async def test_a_close_that_finds_no_position_ends_the_entry_before_it(tmp_path: Path) -> None:
    venue = Silent()
    venue.silent = {"BTC/USDT"}
    async with Rig(tmp_path, venue).running() as rig:
        entry, close = await rig.send(id="b", **BY_PRICE), await rig.send(id="c", action="close", amount=None)
        await trio.sleep(2)
        venue.silent = set()
        await trio.sleep(10)
        codes = [(await rig.intent(one)).code for one in (entry, close)]
        assert codes == ["gate.overtaken", "close.nothing"]
        assert venue.placed == []
        later = await rig.send(id="d", **BY_PRICE)
        await trio.sleep(2)
        assert (await rig.intent(later)).state is IntentState.PLANNED, (
            "what comes after it is not its business"
        )


async def test_a_cancel_ends_an_entry_that_waits_for_a_price(tmp_path: Path) -> None:
    venue = Silent("open")
    async with Rig(tmp_path, venue).running() as rig:
        resting = await rig.send(id="a", order_type="limit", price=Decimal(49_000))
        await trio.sleep(2)
        venue.silent = {"BTC/USDT"}
        entry, cancel = (
            await rig.send(id="b", **BY_PRICE),
            await rig.send(id="c", action="cancel", amount=None),
        )
        await trio.sleep(2)
        assert (await rig.orders(resting))[0].state is State.CANCELED
        assert (await rig.intent(cancel)).state is IntentState.PLANNED
        assert (await rig.intent(entry)).code == "gate.overtaken"


async def test_a_strategys_close_leaves_another_ones_entry_waiting(tmp_path: Path) -> None:
    venue, tables = Silent(), {"mine": StrategySettings(), "other": StrategySettings()}
    async with Rig(tmp_path, venue, strategies=tables).running() as rig:
        await rig.send(id="a", strategy="mine")
        await trio.sleep(5)
        venue.silent = {"BTC/USDT"}
        entry = await rig.send(id="b", strategy="other", **BY_PRICE)
        close = await rig.send(id="c", strategy="mine", action="close", amount=None)
        await trio.sleep(2)
        assert (await rig.orders(close))[0].state is State.FILLED
        assert (await rig.intent(entry)).state is IntentState.ACCEPTED
        venue.silent = set()
        await trio.sleep(2)
        assert (await rig.orders(entry))[0].state is State.FILLED


async def test_a_close_of_another_market_is_not_hidden_by_all_that_wait(tmp_path: Path) -> None:
    venue = Silent()
    async with Rig(tmp_path, venue).running() as rig:
        await holding(rig)
        venue.silent = {"ETH/USDT"}
        waiting = [await rig.send(id=f"e{n}", symbol="ETH/USDT", **BY_PRICE) for n in range(150)]
        close = await rig.send(id="c", action="close", amount=None)
        await trio.sleep(1)
        (closed,) = await rig.orders(close)
        assert closed.state is State.FILLED
        assert {(await rig.intent(one)).state for one in waiting} == {IntentState.ACCEPTED}


async def test_what_waits_goes_in_the_order_of_acceptance_however_many_there_are(tmp_path: Path) -> None:
    venue = Silent()
    async with Rig(tmp_path, venue).running() as rig:
        await trio.sleep(1)
        venue.silent = {"BTC/USDT"}
        sent = [await rig.send(id=f"n{n}", amount=None, notional=Decimal(500)) for n in range(70)]
        sent.append(await rig.send(id="needs no price"))
        await trio.sleep(10)
        assert await rig.orders() == []
        venue.silent = set()
        await trio.sleep(30)
        assert [one.alert_id for one in reversed(await rig.orders())] == sent


async def test_a_crash_before_the_decision_is_on_disk_leaves_both_as_they_came(tmp_path: Path) -> None:
    venue = Silent()
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        await holding(rig)
        venue.silent = {"BTC/USDT"}
        write_all = rig.journal.write_all

        async def full(_changes: Any, *, within: float = 5.0) -> None:
            raise Overloaded("the disk is full")

        rig.journal.write_all = full  # type: ignore[method-assign]
        entry, close = await rig.send(id="b", **BY_PRICE), await rig.send(id="c", action="close", amount=None)
        await trio.sleep(5)
        rig.crash()
        assert {(await rig.intent(one)).state for one in (entry, close)} == {IntentState.ACCEPTED}
        rig.journal.write_all = write_all  # type: ignore[method-assign]
        commit, commits = rig.journal.store.commit, list[set[str]]()

        def watched(changes: Any) -> Any:
            done = commit(changes)
            commits.append({one.kind for one in done.events})
            return done

        rig.journal.store.commit = watched  # type: ignore[method-assign]
        rig.start(nursery)
        await trio.sleep(10)
        assert (await rig.intent(entry)).code == "gate.overtaken"
        assert (await rig.orders(close))[0].state is State.FILLED
        assert [one for one in commits if {"intent_refused", "intent_planned"} <= one], "in one transaction"
        nursery.cancel_scope.cancel()


async def test_a_cancel_of_a_contracts_orders_asks_for_no_position(tmp_path: Path) -> None:
    venue = Silent("open")
    swap = replace(BTC, symbol="BTC/USDT:USDT", kind="swap", settle="USDT")
    venue.markets = lambda: {swap.symbol: swap}  # type: ignore[method-assign]

    async def positions() -> list[Position]:
        raise Transient("the exchange is busy")

    venue.positions = positions  # type: ignore[method-assign]
    async with Rig(tmp_path, venue).running() as rig:
        resting = await rig.send(id="a", symbol=swap.symbol, order_type="limit", price=Decimal(49_000))
        await trio.sleep(2)
        await rig.send(id="b", symbol=swap.symbol, action="cancel", amount=None)
        await trio.sleep(2)
        assert (await rig.orders(resting))[0].state is State.CANCELED


async def test_a_price_is_told_once_however_long_its_alert_waits(tmp_path: Path) -> None:
    """Told again at every look, it would stand against what was seen since."""
    venue, told = FakeVenue(), list[Decimal]()
    venue.hint = lambda _symbol, price: told.append(price)  # type: ignore[method-assign]

    async def balance() -> Balance:
        raise Transient("the exchange is busy")

    venue.balance = balance  # type: ignore[method-assign]
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a", **BY_PRICE, price=Decimal(40_000))
        await trio.sleep(5)
        await rig.send(id="b", **BY_PRICE, price=Decimal(41_000))
        await trio.sleep(5)
        assert await rig.orders() == []
        assert told == [Decimal(40_000), Decimal(41_000)]
