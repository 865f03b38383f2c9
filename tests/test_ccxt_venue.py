"""One account on a real exchange: what each trouble becomes, and that no order is ever sent twice."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from ccxt.base.decimal_to_precision import DECIMAL_PLACES, SIGNIFICANT_DIGITS, TICK_SIZE

from fks.domain.errors import Fatal, NotSent, Rejected, Transient, Unknown
from fks.domain.messages import Order, Report
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.venues.ccxt_markets import as_market, narrowed
from fks.venues.ccxt_orders import report, state_of
from fks.venues.ccxt_venue import CcxtVenue
from fks.venues.http import HttpClient
from standins.binance import KEY, SECRET, BinanceStandIn, Fault

pytestmark = pytest.mark.real_time

NAME = "q0123456789abcdefg"


def order(**changes: Any) -> Order:
    now = time.time()
    base: dict[str, Any] = {
        "id": NAME,
        "client_order_id": NAME,
        "alert_id": "a1",
        "account": "binance",
        "leg": Leg.ENTRY,
        "symbol": "BTC/USDT",
        "side": Side.BUY,
        "type": OrderType.MARKET,
        "amount": Decimal("0.01"),
        "good_until": now + 300,
        "created_at": now,
        "updated_at": now,
    }
    return Order(**{**base, **changes})


ENDED = ("fetchOrders", "fetchClosedOrders", "fetchCanceledAndClosedOrders")
RESTING = {"type": OrderType.LIMIT, "price": Decimal(49_000)}


@dataclass
class Desk:
    """A venue with the exchange behind it."""

    exchange: BinanceStandIn
    venue: CcxtVenue

    async def place(self, one: Order) -> Report:
        [placed] = await self.venue.place(one, (), time.time())
        return placed

    def executions(self) -> int:
        return self.exchange.book.executions.get(NAME, 0)


def make(exchange: BinanceStandIn | None = None, timeout: float = 2.0, **changes: Any) -> CcxtVenue:
    own: dict[str, Any] = {
        "type": "binance",
        "api_key": Secret(KEY),
        "api_secret": Secret(SECRET),
        "base_url": exchange.url if exchange else "",
    }
    settings = AccountSettings(**{**own, **changes})
    return CcxtVenue("binance", settings, timeout=timeout, retry_attempts=2, retry_delay=0.001)


@asynccontextmanager
async def desk(**changes: Any) -> AsyncIterator[Desk]:
    async with BinanceStandIn() as exchange:
        venue = make(exchange, **changes)
        await venue.open()
        try:
            yield Desk(exchange, venue)
        finally:
            await venue.close()


# --- opening


async def test_opening_asks_for_the_markets_and_the_time_and_nothing_else() -> None:
    async with desk() as it:
        assert it.exchange.counts == {"GET /api/v3/exchangeInfo": 1, "GET /api/v3/time": 1}
        market = it.venue.markets()["BTC/USDT"]
    assert (market.id, market.base, market.quote, market.kind) == ("BTCUSDT", "BTC", "USDT", "spot")
    assert (market.amount_step, market.price_tick) == (Decimal("0.00001"), Decimal("0.01"))
    assert (market.min_amount, market.min_notional) == (Decimal("0.00001"), Decimal(5))


async def test_only_the_configured_symbols_are_kept() -> None:
    async with desk(symbols=("ETH/USDT",)) as it:
        assert list(it.venue.markets()) == ["ETH/USDT"]
        with pytest.raises(Rejected, match="BTC/USDT"):
            await it.place(order())


async def test_features_are_the_exchange_s_own() -> None:
    features = make().features
    assert features.order_types == {"market", "limit", "stop", "stop_limit"}
    assert (features.window_s, features.attached_protection) == (5.0, False)
    assert make(type="kraken").features.window_s is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"type": "binanse"}, "did you mean 'binance'"),
        ({"api_secret": Secret("")}, "api_secret"),
        ({"type": "kraken", "testnet": True}, "testnet"),
        ({"base_url": "127.0.0.1:80"}, "base_url"),
        ({"options": {"order": {"maxRetriesOnFailure": 3}}}, "maxRetriesOnFailure"),
    ],
)
def test_impossible_configuration_is_fatal(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(Fatal, match=told):
        make(**changes)


async def test_configured_symbol_that_does_not_exist_is_fatal() -> None:
    async with BinanceStandIn() as exchange:
        venue = make(exchange, symbols=("BTC/USDX",))
        with pytest.raises(Fatal, match="BTC/USDX"):
            await venue.open()
        await venue.close()


async def test_unreachable_exchange_is_transient() -> None:
    async with BinanceStandIn() as exchange:
        venue = make(exchange)
    with pytest.raises(Transient):
        await venue.open()
    await venue.close()


async def test_refused_key_is_transient() -> None:
    async with desk(api_key=Secret("some-other-key")) as it:
        with pytest.raises(Transient, match="AuthenticationError"):
            await it.venue.balance()
        with pytest.raises(Rejected) as caught:
            await it.place(order())
    assert caught.value.code == "authentication"


async def test_testnet_is_the_exchange_s_own_address() -> None:
    venue = make(testnet=True)
    assert "testnet" in venue._session.exchange.urls["api"]["private"]


@pytest.mark.parametrize("ahead", [-10.0, 10.0])
async def test_skewed_clock_is_measured_and_orders_pass(ahead: float) -> None:
    async with BinanceStandIn(clock=lambda: time.time() - ahead) as exchange:
        venue = make(exchange)
        await venue.open()
        assert venue.clock_offset_s == pytest.approx(ahead, abs=0.5)
        await venue.place(order(), (), time.time())
        await venue.close()
    assert exchange.book.executions == {NAME: 1}


async def test_clock_is_measured_again_after_the_exchange_complained() -> None:
    skew = [0.0]
    async with BinanceStandIn(clock=lambda: time.time() + skew[0]) as exchange:
        venue = make(exchange)
        await venue.open()
        skew[0] = 30.0
        with pytest.raises(NotSent):
            await venue.place(order(), (), time.time())
        await venue.place(order(), (), time.time())
        await venue.close()
    assert exchange.book.executions == {NAME: 1}


# --- placing


async def test_market_order_is_reported_with_its_executions() -> None:
    async with desk() as it:
        placed = await it.place(order())
        sent = it.exchange.placements[0].params
    assert (placed.state, placed.filled, placed.average) == (State.FILLED, Decimal("0.01"), Decimal(50_000))
    assert (placed.fee, placed.fee_currency) == (Decimal("0.00001"), "BTC")
    assert [(one.id, one.amount) for one in placed.trades] == [("1", Decimal("0.01"))]
    assert (sent["newClientOrderId"], sent["quantity"], sent["recvWindow"]) == (NAME, "0.01", "5000")
    assert "quoteOrderQty" not in sent


SHAPES = [
    (RESTING, {"type": "LIMIT", "price": "49000", "timeInForce": "GTC"}),
    ({**RESTING, "time_in_force": "ioc"}, {"type": "LIMIT", "timeInForce": "IOC"}),
    ({**RESTING, "post_only": True}, {"type": "LIMIT_MAKER"}),
    ({"type": OrderType.STOP, "stop_price": Decimal(51_000)}, {"type": "STOP_LOSS", "stopPrice": "51000"}),
    (
        {"type": OrderType.STOP_LIMIT, "stop_price": Decimal(51_000), "price": Decimal(51_100)},
        {"type": "STOP_LOSS_LIMIT", "stopPrice": "51000", "price": "51100"},
    ),
    (
        {"type": OrderType.STOP, "stop_price": Decimal(48_000), "side": Side.SELL, "leg": Leg.STOP_LOSS,
         "reduce_only": True},
        {"type": "STOP_LOSS", "stopPrice": "48000", "side": "SELL"},
    ),
    (
        {"type": OrderType.STOP, "stop_price": Decimal(52_000), "side": Side.SELL, "leg": Leg.TAKE_PROFIT},
        {"type": "TAKE_PROFIT", "stopPrice": "52000", "side": "SELL"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "wire"), SHAPES)
async def test_order_reaches_the_exchange_in_its_own_words(
    wanted: dict[str, Any], wire: dict[str, str]
) -> None:
    async with desk() as it:
        await it.place(order(**wanted))
        sent = it.exchange.placements[0].params
    assert wire.items() <= sent.items()
    assert sent["newClientOrderId"] == NAME
    assert not sent.keys() & {"reduceOnly", "triggerDirection", "quoteOrderQty"}


async def test_timestamp_on_the_wire_is_the_claimed_one() -> None:
    async with desk() as it:
        at = time.time() - 1.5
        await it.venue.place(order(), (), at)
        sent = it.exchange.placements[0].params
        offset = it.venue.clock_offset_s
    assert int(sent["timestamp"]) == int(at * 1000) - int(offset * 1000)


async def test_account_s_options_cannot_widen_the_window() -> None:
    async with desk(options={"recvWindow": 60_000}) as it:
        await it.place(order())
        assert it.exchange.placements[0].params["recvWindow"] == "5000"


async def test_order_claimed_too_long_ago_is_refused_by_the_exchange() -> None:
    async with desk() as it:
        with pytest.raises(NotSent, match="recvWindow"):
            await it.venue.place(order(), (), time.time() - 6)
        assert it.executions() == 0


BEFORE = ["reset", "close", "hang", "empty", "html", "cut", "garbage", "status", "redirect"]


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("kind", BEFORE)
async def test_ambiguous_answer_is_unknown_and_found_by_looking(kind: str, executed: bool) -> None:
    async with desk(timeout=0.3 if kind == "hang" else 5.0) as it:
        it.exchange.faults.append(Fault(kind, executed=executed))
        with pytest.raises(Unknown):
            await it.place(order())
        assert len(it.exchange.placements) == 1
        found = await it.venue.find(order())
        assert it.executions() == int(executed)
    assert (found is not None) == executed
    if found:
        assert (found.state, len(found.trades)) == (State.FILLED, 1)


@pytest.mark.parametrize(("kind", "frozen"), [("limit", False), ("ban", True)])
async def test_rate_limit_is_not_sent_and_silences_everything(kind: str, frozen: bool) -> None:
    async with desk() as it:
        it.exchange.faults.append(Fault(kind, seconds=60))
        with pytest.raises(NotSent) as caught:
            await it.place(order())
        assert (caught.value.retry_after, caught.value.frozen) == (60.0, frozen)
        before = len(it.exchange.requests)
        with pytest.raises(NotSent) as again:
            await it.place(order())
        assert 0 < again.value.retry_after <= 60
        assert again.value.frozen == frozen
        with pytest.raises(Transient):
            await it.venue.balance()
        with pytest.raises(NotSent):
            await it.venue.cancel(order())
        assert len(it.exchange.requests) == before
        assert it.executions() == 0


async def test_refused_connection_is_not_sent() -> None:
    async with desk() as it:
        it.venue._session.exchange.base_url = "http://127.0.0.1:1"
        with pytest.raises(NotSent, match="connect"):
            await it.place(order())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": Decimal(100)}, "insufficient_funds"),
        ({"amount": Decimal("0.00001")}, "invalid_order"),
        ({**RESTING, "price": Decimal(51_000), "post_only": True}, "would_execute"),
        ({"type": OrderType.STOP, "stop_price": Decimal(49_000)}, "would_execute"),
        ({"amount": Decimal("0.0100000000000000001")}, "local.precision"),
        ({"amount": Decimal("0.010001")}, "local.precision"),
        ({**RESTING, "price": Decimal("49000.001")}, "local.precision"),
        ({"symbol": "XRP/USDT"}, "local.bad_symbol"),
        ({"type": OrderType.TRAILING_STOP, "trail_percent": Decimal(1)}, "local.not_supported"),
        ({"type": OrderType.LIMIT}, "local.invalid_order"),
    ],
)
async def test_refused_order_is_rejected_with_a_stable_code(changes: dict[str, Any], code: str) -> None:
    async with desk() as it:
        with pytest.raises(Rejected) as caught:
            await it.place(order(**changes))
        assert caught.value.code == code
        assert it.executions() == 0
        if code.startswith("local."):
            assert not it.exchange.placements


async def test_duplicate_client_id_is_unknown_and_then_found() -> None:
    async with desk() as it:
        await it.place(order(**RESTING))
        with pytest.raises(Unknown, match="Duplicate"):
            await it.place(order(**RESTING))
        found = await it.venue.find(order(**RESTING))
        assert it.executions() == 1
    assert found is not None
    assert found.state is State.OPEN


async def test_attached_legs_are_refused_before_anything_is_sent() -> None:
    async with desk() as it:
        with pytest.raises(Rejected, match="send them alone"):
            await it.venue.place(order(), (order(leg=Leg.STOP_LOSS),), time.time())
        assert not it.exchange.placements


async def test_cancelled_placement_is_not_repeated() -> None:
    async with desk() as it:
        it.exchange.faults.append(Fault("hang", executed=True))
        with trio.move_on_after(0.1):
            await it.place(order())
        assert len(it.exchange.placements) == 1
        found = await it.venue.find(order())
    assert found is not None


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
        it.venue._lookup._dialect = type(it.venue._lookup._dialect)()  # no look-up by client id
        for name in ENDED:
            it.venue._session.exchange.has[name] = False
        found = await it.venue.find(order())
        stranger = await it.venue.find(order(client_order_id="qzzzzzzzzzzzzzzzzz"))
    assert found is not None
    assert (found.exchange_order_id, stranger) == (placed.exchange_order_id, None)


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


# --- ccxt's words


@pytest.mark.parametrize(
    ("status", "filled", "amount", "state"),
    [
        ("open", "0", "1", State.OPEN),
        ("open", "0.5", "1", State.PARTIAL),
        ("closed", "1", "1", State.FILLED),
        ("closed", "0.5", "1", State.CANCELED),
        ("closed", "0.5", None, State.FILLED),
        ("canceled", "0.5", "1", State.CANCELED),
        ("canceled", "1", "1", State.FILLED),
        ("expired", "0.5", "1", State.EXPIRED),
        ("rejected", "0", "1", State.REJECTED),
        (None, "0", None, State.OPEN),
        ("canceling", "0", "1", State.OPEN),
    ],
)
def test_state_of_a_unified_order(status: str | None, filled: str, amount: str | None, state: State) -> None:
    assert state_of(status, Decimal(filled), None if amount is None else Decimal(amount)) is state


def test_contracts_are_multiplied_out() -> None:
    market = as_market(PERPETUAL, TICK_SIZE)
    assert (market.amount_step, market.min_amount, market.price_tick) == (
        Decimal("0.01"),
        Decimal("0.01"),
        Decimal("0.5"),
    )
    told = report({"id": "1", "status": "open", "amount": 3.0, "filled": 1.0}, PERPETUAL, NAME)
    assert (told.filled, told.state) == (Decimal("0.01"), State.PARTIAL)


PERPETUAL = {
    "symbol": "BTC/USDT:USDT",
    "id": "X",
    "base": "BTC",
    "quote": "USDT",
    "type": "swap",
    "contract": True,
    "contractSize": 0.01,
    "precision": {"amount": 1.0, "price": 0.5},
    "limits": {"amount": {"min": 1.0}},
}


@pytest.mark.parametrize(
    ("mode", "precision", "step"),
    [
        (TICK_SIZE, 1e-08, "1E-8"),
        (DECIMAL_PLACES, 3, "0.001"),
        (SIGNIFICANT_DIGITS, 5, "0"),
        (TICK_SIZE, None, "0"),
    ],
)
def test_precision_becomes_a_step(mode: int, precision: float | None, step: str) -> None:
    raw = {
        "symbol": "A/B",
        "id": "AB",
        "base": "A",
        "quote": "B",
        "type": "spot",
        "precision": {"amount": precision},
    }
    assert as_market(raw, mode).amount_step == Decimal(step)


def test_order_without_an_id_proves_nothing() -> None:
    with pytest.raises(Unknown):
        report({"id": None, "status": "open"}, {}, NAME)


def test_market_list_is_narrowed_to_the_account_s_kind() -> None:
    assert narrowed({"types": ["spot", "linear", "inverse"], "x": 1}, "spot") == {"types": ["spot"], "x": 1}
    assert narrowed(["spot", "swap"], "swap") == ["swap"]
    assert narrowed("fetchMarketsV3", "spot") == "fetchMarketsV3"
