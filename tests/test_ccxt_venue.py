"""One account on a real exchange: what each trouble becomes, and that no order is ever sent twice."""

import time
from decimal import Decimal
from typing import Any

import pytest
import trio

from binance_desk import NAME, RESTING, desk, make, order
from fks.domain.errors import Fatal, NotSent, Rejected, Transient, Unknown
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.secret import Secret
from standins.binance import BinanceStandIn, Fault

pytestmark = pytest.mark.real_time

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
    assert (make(type="kraken").features.window_s, make(type="gate").features.window_s) == (15.0, None)


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
@pytest.mark.fault(55)
async def test_skewed_clock_is_measured_and_orders_pass(ahead: float) -> None:
    async with BinanceStandIn(clock=lambda: time.time() - ahead) as exchange:
        venue = make(exchange)
        await venue.open()
        assert venue._session.clock_offset_s == pytest.approx(ahead, abs=0.5)
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
        offset = it.venue._session.clock_offset_s
    assert int(sent["timestamp"]) == int(at * 1000) - int(offset * 1000)


async def test_account_s_options_cannot_widen_the_window() -> None:
    async with desk(options={"recvWindow": 60_000}) as it:
        await it.place(order())
        assert it.exchange.placements[0].params["recvWindow"] == "5000"


@pytest.mark.fault(55)
async def test_order_claimed_too_long_ago_is_refused_by_the_exchange() -> None:
    async with desk() as it:
        with pytest.raises(NotSent, match="recvWindow"):
            await it.venue.place(order(), (), time.time() - 6)
        assert it.executions() == 0


BEFORE = ["reset", "close", "hang", "empty", "html", "cut", "garbage", "status", "redirect"]


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("kind", BEFORE)
@pytest.mark.fault(41, 42, 43, 44, 45)
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
@pytest.mark.fault(52, 53)
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


@pytest.mark.fault(40)
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
        with pytest.raises(Rejected, match="cannot be attached"):
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


async def test_candles_are_told_in_seconds_and_a_timeframe_that_there_is_not_has_none() -> None:
    async with desk() as it:
        rows = await it.venue.candles("BTC/USDT", "1h", 3)
        assert await it.venue.candles("BTC/USDT", "7h", 3) == ()
        with pytest.raises(Transient, match="XYZ/USDT"):
            await it.venue.candles("XYZ/USDT", "1h", 3)
        assert it.exchange.counts["GET /api/v3/klines"] == 1
    assert 0 < len(rows) <= 3
    assert all(len(row) == 5 and row[0] is not None and row[0] < 1e11 for row in rows)
