"""Finding, following and cancelling orders on a local Binance; the account; the dry run."""

import subprocess
import sys
import time
from contextlib import aclosing
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import trio

from binance_desk import ENDED, NAME, RESTING, desk, make, order
from fks.domain.errors import Rejected, Transient, Unknown
from fks.domain.orders import Leg, OrderType, Side, State
from fks.venues import ccxt_lookup
from fks.venues.http import HttpClient
from standins.binance import Fault

pytestmark = pytest.mark.real_time

# --- looking up and cancelling


@pytest.mark.parametrize(
    "silent",
    [
        [],
        ["GET /api/v3/order"],
        ["GET /api/v3/order", "GET /api/v3/allOrders"],
    ],
)
async def test_any_route_that_answers_finds_an_open_order(silent: list[str]) -> None:
    async with desk() as it:
        placed = await it.place(order(**RESTING))
        it.exchange.faults.extend(Fault("close", route=one, count=99) for one in silent)
        found = await it.venue.find(order(**RESTING))
    assert found is not None
    assert (found.exchange_order_id, found.state) == (placed.exchange_order_id, State.OPEN)


async def test_filled_order_is_found_in_the_list_of_all() -> None:
    async with desk() as it:
        await it.place(order())
        it.exchange.faults.append(Fault("close", route="GET /api/v3/order", count=3))
        found = await it.venue.find(order())
    assert found is not None
    assert found.state is State.FILLED


async def test_filled_order_is_found_through_its_trades() -> None:
    async with desk() as it:
        placed = await it.place(order())
        it.venue._session.dialect = type(it.venue._session.dialect)()  # no look-up by client id
        for name in ENDED:
            it.venue._session.exchange.has[name] = False
        found = await it.venue.find(order())
        stranger = await it.venue.find(order(client_order_id="qzzzzzzzzzzzzzzzzz"))
    assert found is not None
    assert (found.exchange_order_id, stranger) == (placed.exchange_order_id, None)


async def test_what_was_looked_into_is_forgotten_with_the_order_that_was_found_and_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ccxt_lookup, "_MOST_SEARCHES", 3)
    async with desk() as it:
        await it.place(order(client_order_id="qstranger00000000"))
        await it.place(order())
        it.venue._session.dialect = type(it.venue._session.dialect)()
        for name in ENDED:
            it.venue._session.exchange.has[name] = False
        searched = it.venue._lookup._others
        assert await it.venue.find(order()) is not None
        assert searched == {}
        for number in range(5):
            assert await it.venue.find(order(client_order_id=f"qabsent{number:010d}")) is None
        assert [len(searched[f"qabsent{number:010d}"]) for number in (2, 3, 4)] == [2, 2, 2]
        assert len(searched) == 3


@pytest.mark.parametrize(
    "silent", ["GET /api/v3/order", "GET /api/v3/openOrders", "GET /api/v3/allOrders", "GET /api/v3/myTrades"]
)
async def test_not_there_needs_every_route_to_answer(silent: str) -> None:
    async with desk() as it:
        assert await it.venue.find(order()) is None
        it.exchange.faults.append(Fault("close", route=silent, count=99))
        with pytest.raises(Transient):
            await it.venue.find(order())


async def test_exchange_that_shows_only_open_orders_proves_nothing() -> None:
    async with desk() as it:
        for name in ("fetchOrder", *ENDED, "fetchMyTrades"):
            it.venue._session.exchange.has[name] = False
        with pytest.raises(Transient, match="no way"):
            await it.venue.find(order())


async def test_question_is_repeated_when_the_network_fails() -> None:
    async with desk() as it:
        it.exchange.faults.append(Fault("close", route="GET /api/v3/account", count=2))
        balance = await it.venue.balance()
        assert it.exchange.counts["GET /api/v3/account"] == 3
    assert balance.free == {"USDT": Decimal(100_000), "BTC": Decimal(1)}


@pytest.mark.fault(47)
async def test_part_fill_then_cancel() -> None:
    async with desk() as it:
        placed = await it.place(order(**RESTING))
        resting = it.exchange.book.orders[0]
        it.exchange.book.fill(resting, Decimal("0.004"), Decimal(49_000), int(time.time() * 1000))
        partial = await it.venue.find(order(**RESTING))
        assert partial is not None
        assert (partial.state, partial.filled) == (State.PARTIAL, Decimal("0.004"))
        ended = await it.venue.cancel(order(**RESTING, exchange_order_id=placed.exchange_order_id))
    assert ended is not None
    assert (ended.state, ended.filled, ended.client_order_id) == (State.CANCELED, Decimal("0.004"), NAME)


@pytest.mark.fault(47)
async def test_canceled_without_a_word_of_what_was_filled_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As htx says it: an id and a state."""

    async def laconic(*_request: object) -> dict[str, object]:
        return {"id": "1", "status": "canceled", "filled": None}

    async with desk() as it:
        placed = await it.place(order(**RESTING))
        monkeypatch.setattr(it.venue, "_cancel_by", laconic)
        assert await it.venue.cancel(order(**RESTING, exchange_order_id=placed.exchange_order_id)) is None


@pytest.mark.fault(48)
async def test_cancel_of_a_filled_order_is_no_error() -> None:
    async with desk() as it:
        await it.place(order())
        assert await it.venue.cancel(order()) is None
        found = await it.venue.find(order())
    assert found is not None
    assert found.state is State.FILLED


async def test_cancel_is_repeated_when_the_network_fails() -> None:
    async with desk() as it:
        await it.place(order(**RESTING))
        it.exchange.faults.append(Fault("reset", route="DELETE", executed=True))
        assert await it.venue.cancel(order(**RESTING)) is None
        found = await it.venue.find(order(**RESTING))
    assert found is not None
    assert found.state is State.CANCELED


async def test_cancel_without_any_answer_is_unknown() -> None:
    async with desk() as it:
        await it.place(order(**RESTING))
        it.exchange.faults.append(Fault("close", route="DELETE", count=99))
        with pytest.raises(Unknown):
            await it.venue.cancel(order(**RESTING))


async def test_cancel_without_a_known_id_looks_it_up_where_the_exchange_needs_one() -> None:
    async with desk() as it:
        placed = await it.place(order(**RESTING))
        it.venue._session.dialect = type(it.venue._session.dialect)()
        ended = await it.venue.cancel(order(**RESTING))
    assert ended is not None
    assert (ended.exchange_order_id, ended.state) == (placed.exchange_order_id, State.CANCELED)


async def test_open_orders_are_ours_and_foreign() -> None:
    async with desk() as it:
        await it.place(order(**RESTING))
        other = {"symbol": "ETH/USDT", "price": Decimal(2_000), "client_order_id": "qother"}
        await it.place(order(**{**RESTING, **other}))
        await it.place(order(client_order_id="qfilled"))
        names = {one.client_order_id for one in await it.venue.open_orders()}
    assert names == {NAME, "qother"}


async def test_stop_that_triggers_is_filled() -> None:
    stop = order(type=OrderType.STOP, stop_price=Decimal(48_000), side=Side.SELL, leg=Leg.STOP_LOSS)
    async with desk() as it:
        placed = await it.place(stop)
        it.exchange.book.set_mark("BTCUSDT", Decimal(47_500), int(time.time() * 1000))
        found = await it.venue.find(stop)
    assert placed.state is State.OPEN
    assert found is not None
    assert (found.state, found.average) == (State.FILLED, Decimal(47_500))


async def test_ticker_and_positions_of_a_spot_account() -> None:
    async with desk() as it:
        ticker = await it.venue.ticker("BTC/USDT")
        assert (ticker.last, ticker.bid, ticker.ask) == (Decimal(50_000),) * 3
        assert await it.venue.positions() == ()
        with pytest.raises(Transient):
            await it.venue.ticker("NO/SUCH")


async def test_stand_in_runs_as_a_process_too() -> None:
    command = [sys.executable, "-m", "standins.binance", "--port", "0"]
    async with trio.open_nursery() as nursery:
        run = partial(
            trio.run_process, command, stdout=subprocess.PIPE, check=False, cwd=Path(__file__).parent
        )
        process = await nursery.start(run)
        url = (await process.stdout.receive_some()).decode().strip()
        async with aclosing(HttpClient()) as control:
            mark = b'{"symbol": "BTCUSDT", "price": 42000}'
            await control.request("POST", f"{url}/_control/mark", {}, mark, 5)
        venue = make(base_url=url)
        await venue.open()
        assert (await venue.ticker("BTC/USDT")).last == Decimal(42_000)
        await venue.close()
        process.kill()


# --- the dry run


async def test_dry_run_sends_no_order() -> None:
    protective = order(leg=Leg.STOP_LOSS, side=Side.SELL, type=OrderType.STOP, stop_price=Decimal(48_000))
    async with desk(mode="dry_run") as it:
        market, limit = await it.place(order()), await it.place(order(**RESTING))
        resting = await it.place(protective)
        await it.venue.cancel(protective)
        ended = await it.venue.find(order(leg=Leg.STOP_LOSS, cancel_requested=True))
        with pytest.raises(Rejected):
            await it.place(order(amount=Decimal("0.010001")))
        assert {route.split()[0] for route in it.exchange.counts} == {"GET"}
    assert (market.exchange_order_id, market.state) == (f"dry-{NAME}", State.FILLED)
    assert (market.average, limit.average) == (Decimal(50_000), Decimal(49_000))
    assert resting.state is State.OPEN
    assert ended is not None
    assert ended.state is State.CANCELED
