"""What is OKX's own: contracts, algo orders that become other orders, trailing stops, its window of 30 s."""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from fakes import wall
from fks.domain.errors import NotSent, Rejected
from fks.domain.messages import Order
from fks.domain.orders import Leg, OrderType, Side, State
from rig import Rig, until
from standins.server import Fault
from venue_desk import LIMIT, NAME, STOP_LOSS, Desk, desk

pytestmark = pytest.mark.real_time

TRAILING: dict[str, Any] = {"type": OrderType.TRAILING_STOP, "trail_percent": Decimal(1), "side": Side.SELL,
                            "reduce_only": True}  # fmt: skip


async def test_amounts_are_sent_in_contracts_and_told_in_base_units() -> None:
    async with desk("okx", "swap") as it:
        market = it.venue.markets()["BTC/USDT:USDT"]
        await it.place(it.order(amount=Decimal("0.0123")))
        found = await it.found(it.order(amount=Decimal("0.0123")))
        assert it.sent()["sz"] == "1.23"
    assert (market.amount_step, market.min_amount) == (Decimal("0.0001"), Decimal("0.0001"))
    assert found.filled == sum(trade.amount for trade in found.trades) == Decimal("0.0123")


@pytest.mark.parametrize("kind", ["spot", "swap"])
async def test_trailing_stop_follows_the_market_and_sells(kind: str) -> None:
    async with desk("okx", kind) as it:
        await it.buy()
        order = it.order(**TRAILING, amount=Decimal("0.005"))
        placed = await it.place(order)
        it.mark(52_000)
        waiting = await it.found(order)
        it.mark(51_400)
        filled = await it.found(order)
    assert (placed.state, waiting.state) == (State.OPEN, State.OPEN)
    assert (filled.state, filled.filled, filled.average) == (State.FILLED, Decimal("0.005"), Decimal(51_400))


async def test_trailing_stop_is_listed_and_canceled() -> None:
    async with desk("okx", "swap") as it:
        await it.buy()
        await it.place(it.order(**TRAILING))
        assert [one.client_order_id for one in await it.venue.open_orders()] == [NAME]
        await it.venue.cancel(it.order(**TRAILING))
        assert (await it.found(it.order(**TRAILING))).state is State.CANCELED


async def test_stop_keeps_its_id_and_tells_the_executions_of_what_it_became() -> None:
    async with desk("okx", "swap") as it:
        await it.buy()
        placed = await it.place(it.order(**STOP_LOSS))
        it.mark(47_000)
        stop = it.order(**STOP_LOSS, exchange_order_id=placed.exchange_order_id)
        found = await it.found(stop)
    assert found.exchange_order_id == placed.exchange_order_id
    assert [(one.amount, one.price) for one in found.trades] == [(Decimal("0.01"), Decimal(47_000))]


@pytest.mark.parametrize(("age", "taken"), [(25, True), (35, False)])
async def test_request_is_refused_by_the_exchange_after_its_window(age: float, taken: bool) -> None:
    async with desk("okx", "swap") as it:
        assert it.venue.features.window_s == 30
        if taken:
            await it.venue.place(it.order(), (), time.time() - age)
        else:
            with pytest.raises(NotSent):
                await it.venue.place(it.order(), (), time.time() - age)
        assert it.executions() == int(taken)


async def test_rate_limit_is_not_sent_and_says_how_long() -> None:
    async with desk("okx", "spot") as it:
        it.exchange.faults.append(Fault("limit", seconds=60))
        with pytest.raises(NotSent) as caught:
            await it.place(it.order())
        assert caught.value.retry_after == 60
        assert it.executions() == 0


async def test_refused_algo_order_is_rejected() -> None:
    async with desk("okx", "swap") as it:
        with pytest.raises(Rejected):
            await it.place(it.order(**{**STOP_LOSS, "stop_price": Decimal("48000.05")}))
        assert not it.exchange.placements


async def test_cancel_without_an_answer_is_repeated_and_found() -> None:
    async with desk("okx", "spot") as it:
        await it.place(it.order(**LIMIT))
        it.exchange.faults.append(Fault("reset", route="POST /api/v5/trade/cancel-order", executed=True))
        await it.venue.cancel(it.order(**LIMIT))
        assert (await it.found(it.order(**LIMIT))).state is State.CANCELED


# --- a stop loss that the entry carries


def carried(it: Desk, price: int = 48_000) -> tuple[Order, Order]:
    entry = it.order(client_order_id="qentry00000000000z")
    stop = it.order(**{**STOP_LOSS, "stop_price": Decimal(price)}, parent=entry.id, attached=True)
    return entry, stop


async def test_market_entry_carries_its_stop_under_its_own_name() -> None:
    async with desk("okx", "swap") as it:
        entry, stop = carried(it)
        assert await it.venue.find(stop) is None
        [report] = await it.venue.place(entry, (stop,), time.time())
        [found, listed] = [await it.found(stop), (await it.venue.open_orders())[0]]
        [attached] = it.sent()["attachAlgoOrds"]
        await it.venue.cancel(stop)
        ended = await it.found(stop)
    assert report.client_order_id == entry.client_order_id
    assert attached == {"attachAlgoClOrdId": NAME, "slTriggerPx": "48000", "slOrdPx": "-1",
                        "slTriggerPxType": "last"}  # fmt: skip
    assert (found.state, found.client_order_id, ended.state) == (State.OPEN, NAME, State.CANCELED)
    assert listed.client_order_id == NAME


@pytest.mark.parametrize(
    ("hedge", "reduces", "loose"), [(False, True, False), (False, False, True), (True, False, False)]
)
async def test_carried_stop_that_is_not_reduce_only_is_noticed(
    hedge: bool, reduces: bool, loose: bool
) -> None:
    async with desk("okx", "swap", hedge=hedge) as it:
        entry, stop = carried(it)
        await it.venue.place(entry, (stop,), time.time())
        it.exchange.book.orders[-1].reduce_only = reduces
        assert (await it.found(stop)).loose == loose
        assert not (await it.found(structs.replace(stop, attached=False))).loose


async def test_carried_stop_that_triggers_tells_its_executions() -> None:
    async with desk("okx", "swap") as it:
        entry, stop = carried(it)
        await it.venue.place(entry, (stop,), time.time())
        it.mark(47_000)
        found = await it.found(stop)
    assert (found.state, found.filled, found.average) == (State.FILLED, Decimal("0.01"), Decimal(47_000))
    assert sum(one.amount for one in found.trades) == Decimal("0.01")


async def test_stop_is_not_there_before_all_of_its_entry_is_filled() -> None:
    async with desk("okx", "swap") as it:
        it.exchange.book.depth["BTC-USDT-SWAP"] = Decimal("0.4")  # contracts
        entry, stop = carried(it)
        await it.venue.place(entry, (stop,), time.time())
        ended, missing = await it.found(entry), await it.venue.find(stop)
    assert (ended.state, ended.filled, missing) == (State.CANCELED, Decimal("0.004"), None)


async def test_entry_is_not_sent_with_a_stop_off_the_tick() -> None:
    async with desk("okx", "swap") as it:
        entry, stop = carried(it)
        off = structs.replace(stop, stop_price=Decimal("48000.05"))
        with pytest.raises(Rejected, match="tick"):
            await it.venue.place(entry, (off,), time.time())
        assert not it.exchange.placements


@pytest.mark.parametrize(("where", "kind"), [("okx", "spot"), ("bybit", "swap"), ("binance", "swap")])
async def test_elsewhere_nothing_is_carried(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        assert not it.venue.features.attached_stop
        entry, stop = carried(it)
        with pytest.raises(Rejected, match="cannot be attached"):
            await it.venue.place(entry, (stop,), time.time())
        assert not it.exchange.placements


@pytest.mark.parametrize("attaches", [True, False])
async def test_entry_ends_with_one_stop_whether_the_exchange_attached_it_or_not(
    tmp_path: Path, attaches: bool
) -> None:
    async with desk("okx", "swap") as it:
        it.exchange.attaches = attaches  # type: ignore[attr-defined]
        it.venue.features = structs.replace(it.venue.features, lag_s=0.5)
        rig = Rig(tmp_path, it.venue)
        rig.account.wall = time.time
        now = {"symbol": "BTC/USDT:USDT", "age": wall() - time.time()}
        async with rig.running():
            await rig.send(**now, stop_loss=Decimal(48_000), take_profit=Decimal(52_000))

            async def protected() -> bool:
                legs = [one for one in await rig.orders() if one.leg.protective]
                return len(legs) == 2 and all(one.state is State.OPEN and not one.attached for one in legs)

            await until(protected, within=20)
            stop = next(one for one in await rig.orders() if one.leg is Leg.STOP_LOSS)
            assert [one.open for one in it.exchange.book.orders if one.stop] == [True]
            await rig.send(**now, action="close", amount=None)

            async def flat() -> bool:
                return not it.exchange.book.live and not it.exchange.book.positions

            await until(flat, within=20)
    assert (stop.attempt, stop.client_order_id == stop.id) == ((1, True) if attaches else (2, False))
