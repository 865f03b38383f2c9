"""The embedded paper exchange, seen through the port that every exchange is seen through."""

from decimal import Decimal

import pytest
import trio

from fks.domain.errors import Fatal, Rejected, Transient, Unknown
from fks.domain.messages import Order
from fks.domain.orders import OrderType, State
from fks.domain.venue import Venue
from fks.venues.paper import PaperVenue
from standins.paper import SPOT, SWAP, limit, order, placed, protection, rejection, settings, state_of, venue

D = Decimal


def test_it_is_a_venue() -> None:
    exchange: Venue = venue()
    assert exchange.features.order_types == {"market", "limit", "stop", "stop_limit", "trailing_stop"}


async def test_market_order_fills_at_the_mark_with_slippage_and_fee() -> None:
    exchange = venue()
    report = await placed(exchange, order("q1", "buy", "2"))
    assert (report.state, report.filled, report.average) == (State.FILLED, D(2), D("100.10"))
    assert (report.fee, report.fee_currency) == (D("0.2002"), "USDT")
    assert report.exchange_order_id == "paper-q1"
    assert [trade.id for trade in report.trades] == ["q1-1"]
    balance = await exchange.balance()
    assert balance.total == {"USDT": 1000 - D("200.20") - D("0.2002"), "BTC": D(2)} == balance.free
    assert await exchange.positions() == []


async def test_market_sale_slips_down_and_pays_its_fee_from_the_proceeds() -> None:
    exchange = venue(balance={"BTC": D(1)})
    report = await placed(exchange, order("q1", "sell"))
    assert report.average == D("99.90")
    assert (await exchange.balance()).total == {"BTC": D(0), "USDT": D("99.90") - D("0.09990")}


async def test_slippage_rounds_to_the_tick_against_the_trader() -> None:
    exchange = venue(slippage_bps=D("0.5"), balance={"USDT": D(1000), "BTC": D(1)})
    assert (await placed(exchange, order("q1", "buy"))).average == D("100.01")  # 100.005 is between two ticks
    assert (await placed(exchange, order("q2", "sell"))).average == D("99.99")


async def test_limit_order_rests_reserves_and_fills_at_its_price_when_the_mark_jumps_across() -> None:
    exchange = venue()
    report = await placed(exchange, limit("q1", "buy", "90", "2"))
    assert (report.state, report.filled, report.average) == (State.OPEN, 0, None)
    assert (await exchange.balance()).free["USDT"] == 1000 - D("180.18")
    assert (await exchange.balance()).total["USDT"] == 1000
    assert [one.client_order_id for one in await exchange.open_orders()] == ["q1"]
    exchange.hint(SPOT, D("90.01"))
    assert await state_of(exchange, "q1") is State.OPEN
    exchange.hint(SPOT, D(80))
    found = await exchange.find(order("q1"))
    assert found is not None
    assert (found.state, found.average, found.fee) == (State.FILLED, D(90), D("0.18"))
    assert await exchange.open_orders() == []


async def test_marketable_limit_order_slips_as_a_market_order_does_but_not_beyond_its_limit() -> None:
    exchange = venue()
    assert (await placed(exchange, limit("q1", "buy", "105"))).average == D("100.1")
    assert (await placed(exchange, limit("q2", "sell", "95"))).average == D("99.9")
    assert (await placed(exchange, limit("q3", "buy", "100.05"))).average == D("100.05")
    assert (await placed(exchange, limit("q4", "sell", "100"))).average == D(100)


async def test_post_only_that_would_cross_is_rejected() -> None:
    exchange = venue()
    assert (await rejection(exchange, limit("q1", "buy", "100", post_only=True))).code == "post_only"
    assert (await placed(exchange, limit("q2", "buy", "99.99", post_only=True))).state is State.OPEN


@pytest.mark.parametrize("force", ["ioc", "fok"])
async def test_immediate_order_fills_at_once_or_expires_with_its_legs(force: str) -> None:
    exchange = venue()
    assert (await placed(exchange, limit("q1", "buy", "100", time_in_force=force))).state is State.FILLED
    away = limit("q2", "buy", "99", time_in_force=force)
    assert (await placed(exchange, away, *protection(away, stop="90"))).state is State.EXPIRED
    assert await state_of(exchange, "q2-sl") is State.CANCELED
    assert (await exchange.balance()).free["USDT"] == (await exchange.balance()).total["USDT"]


async def test_stop_order_triggers_and_fills_at_the_mark_it_gapped_to() -> None:
    exchange = venue(balance={"BTC": D(1)})
    await placed(exchange, order("q1", "sell", type=OrderType.STOP, stop_price="95"))
    assert (await exchange.balance()).free["BTC"] == 0
    exchange.hint(SPOT, D("95.01"))
    assert await state_of(exchange, "q1") is State.OPEN
    exchange.hint(SPOT, D(90))
    found = await exchange.find(order("q1"))
    assert found is not None
    assert found.average == D("89.91")


async def test_stop_order_that_is_beyond_its_trigger_on_arrival_fires_at_once() -> None:
    exchange = venue()
    report = await placed(exchange, order("q1", "buy", type=OrderType.STOP, stop_price="99"))
    assert (report.state, report.average) == (State.FILLED, D("100.10"))


async def test_stop_order_that_fires_at_once_is_judged_by_the_mark() -> None:
    exchange = venue(min_notional=D(5))
    late = {"type": OrderType.STOP, "stop_price": "1"}
    assert (await placed(exchange, order("q1", "buy", "0.1", **late))).state is State.FILLED
    assert (await rejection(exchange, order("q2", "buy", "11", **late))).code == "insufficient_funds"


async def test_triggered_stop_limit_rests_at_its_limit() -> None:
    exchange = venue(balance={"BTC": D(1)})
    await placed(exchange, order("q1", "sell", type=OrderType.STOP_LIMIT, stop_price="95", price="94"))
    exchange.hint(SPOT, D(90))  # gapped past the limit
    assert await state_of(exchange, "q1") is State.OPEN
    exchange.hint(SPOT, D("94.5"))
    found = await exchange.find(order("q1"))
    assert found is not None
    assert (found.state, found.average) == (State.FILLED, D(94))


async def test_stop_limit_whose_limit_is_met_when_triggered_fills_near_the_mark() -> None:
    exchange = venue()
    await placed(exchange, order("q1", "buy", type=OrderType.STOP_LIMIT, stop_price="105", price="107"))
    exchange.hint(SPOT, D(106))
    found = await exchange.find(order("q1"))
    assert found is not None
    assert found.average == D("106.11")


async def test_triggered_stop_limit_that_would_cross_ends_rejected_when_post_only() -> None:
    exchange = venue()
    one = order("q1", type=OrderType.STOP_LIMIT, stop_price="105", price="107", post_only=True)
    await placed(exchange, one)
    exchange.hint(SPOT, D(106))
    found = await exchange.find(one)
    assert found is not None
    assert (found.state, found.filled) == (State.REJECTED, 0)
    assert "post_only" in (found.reason or "")


async def test_stop_buy_reserves_its_slippage_and_fee() -> None:
    exchange = venue()
    await placed(exchange, order("q1", type=OrderType.STOP, stop_price="105"))
    assert (await exchange.balance()).free["USDT"] == 1000 - D("105.11") * D("1.001")


async def test_trailing_stop_follows_the_best_mark_only() -> None:
    exchange = venue(balance={"BTC": D(1)}, slippage_bps=D(0))
    await placed(exchange, order("q1", "sell", type=OrderType.TRAILING_STOP, trail_percent="10"))
    for mark in (120, 109, 115, "108.01"):
        exchange.hint(SPOT, D(mark))
        assert await state_of(exchange, "q1") is State.OPEN
    exchange.hint(SPOT, D(108))
    found = await exchange.find(order("q1"))
    assert found is not None
    assert (found.state, found.average) == (State.FILLED, D(108))


async def test_narrow_trail_does_not_fire_where_it_starts() -> None:
    exchange = venue(balance={"USDT": D(1000), "BTC": D(1)})
    for side in ("buy", "sell"):
        one = order(side, side, type=OrderType.TRAILING_STOP, trail_percent="0.001")
        assert (await placed(exchange, one)).state is State.OPEN


async def test_trailing_buy_fires_when_the_mark_turns_up() -> None:
    exchange = venue()
    await placed(exchange, order("q1", "buy", type=OrderType.TRAILING_STOP, trail_percent="10"))
    exchange.hint(SPOT, D(80))
    exchange.hint(SPOT, D("87.99"))
    assert await state_of(exchange, "q1") is State.OPEN
    exchange.hint(SPOT, D(88))
    assert await state_of(exchange, "q1") is State.FILLED


async def test_a_jump_meets_the_nearest_order_first() -> None:
    exchange = venue()
    await placed(exchange, limit("far", "buy", "80"))
    await placed(exchange, limit("near", "buy", "90"))
    exchange.hint(SPOT, D(70))
    times = {}
    for name in ("near", "far"):
        found = await exchange.find(order(name))
        assert found is not None
        times[name] = found.trades[0].time
    assert times["near"] < times["far"]


async def test_at_the_same_price_stops_go_before_limits() -> None:
    exchange = venue(balance={"USDT": D(1000), "BTC": D(1)})
    await placed(exchange, limit("limit", "buy", "90"))
    await placed(exchange, order("stop", "sell", type=OrderType.STOP, stop_price="90"))
    exchange.hint(SPOT, D(90))
    stop, bought = await exchange.find(order("stop")), await exchange.find(order("limit"))
    assert stop is not None
    assert bought is not None
    assert stop.trades[0].time < bought.trades[0].time


async def test_cancel_of_a_filled_order_tells_that_it_is_filled() -> None:
    exchange = venue()
    await placed(exchange, order("q1"))
    report = await exchange.cancel(order("q1"))
    assert report is not None
    assert (report.state, report.filled) == (State.FILLED, D(1))
    with pytest.raises(Rejected, match="has no order q9"):
        await exchange.cancel(order("q9"))


async def test_same_client_order_id_twice_is_unknown_and_executed_once() -> None:
    exchange = venue()
    await placed(exchange, order("q1"))
    with pytest.raises(Unknown, match="duplicate"):
        await exchange.place(order("q1"), (), 1000.0)
    assert (await exchange.balance()).total["BTC"] == 1


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (order("q1", "buy", "10"), "insufficient_funds"),
        (order("q1", "sell", "1"), "insufficient_funds"),
        (limit("q1", "buy", "99", "11"), "insufficient_funds"),
        (order("q1", symbol="ETH/USDT"), "bad_symbol"),
        (order("q1", "buy", "0.04"), "min_notional"),
        (order("q1", "buy", "0.123456789"), "amount_step"),
        (order("q1", "buy", "0"), "amount_step"),
        (limit("q1", "buy", "99.999"), "price_tick"),
        (limit("q1", "buy", "99", time_in_force="gtd"), "time_in_force"),
        (order("q1", type=OrderType.LIMIT), "bad_order"),
        (order("q1", type=OrderType.TRAILING_STOP, trail_percent="100"), "bad_order"),
        (order("q1", "sell", symbol=SWAP, reduce_only=True), "reduce_only"),
    ],
)
async def test_order_that_an_exchange_would_refuse_is_rejected(one: Order, code: str) -> None:
    assert (await rejection(venue(), one)).code == code


async def test_insufficient_funds_names_the_numbers() -> None:
    exchange = venue()
    await placed(exchange, limit("q1", "buy", "90", "5"))
    error = await rejection(exchange, order("q2", "buy", "6"))
    assert str(error) == "to buy 6 BTC/USDT at 100.1 takes 601.2006 USDT, and 549.55 is free"


async def test_without_a_price_the_error_says_what_to_do() -> None:
    exchange = PaperVenue("paper", settings(), wall=lambda: 1000.0, extra_symbols=["ETH/USDT", "ETH/USD:ETH"])
    assert "ETH/USD:ETH" not in exchange.markets()
    error = await rejection(exchange, order("q1", symbol="ETH/USDT"))
    assert error.code == "no_price"
    assert "configure prices or send a price in the alert" in str(error)
    with pytest.raises(Transient, match="no price for ETH/USDT"):
        await exchange.ticker("ETH/USDT")
    exchange.hint("ETH/USDT", D(10))
    assert (await placed(exchange, order("q1", symbol="ETH/USDT"))).average == D("10.01")


async def test_a_price_below_the_tick_is_refused_instead_of_rounded_to_a_fortune() -> None:
    exchange = venue(prices={"PEPE/USDT": D("0.00001")})
    error = await rejection(exchange, order("q1", "buy", "1000000", symbol="PEPE/USDT"))
    assert error.code == "price_tick"
    assert "price_tick" in str(error)


async def test_slippage_never_makes_a_price_of_nothing() -> None:
    exchange = venue(prices={SPOT: D("0.01")}, balance={"BTC": D(1000)})
    assert (await placed(exchange, order("q1", "sell", "1000"))).average == D("0.01")


async def test_triggered_stop_that_cannot_be_paid_ends_rejected() -> None:
    exchange = venue()
    await placed(exchange, order("q1", "buy", "9", type=OrderType.STOP, stop_price="105"))
    exchange.hint(SPOT, D(150))
    found = await exchange.find(order("q1"))
    assert found is not None
    assert found.state is State.REJECTED
    assert "insufficient_funds" in (found.reason or "")
    assert (await exchange.balance()).free["USDT"] == 1000


def test_configured_symbol_that_is_none_is_fatal() -> None:
    with pytest.raises(Fatal, match=r"exchanges\.paper.*'BTCUSDT' is not a symbol"):
        venue(symbols=("BTCUSDT",))


async def test_ticker_has_half_the_slippage_on_each_side() -> None:
    ticker = await venue().ticker(SPOT)
    assert (ticker.bid, ticker.last, ticker.ask) == (D("99.95"), D(100), D("100.05"))


async def test_wait_returns_when_an_order_changed_and_else_after_its_time() -> None:
    exchange = venue()
    await placed(exchange, limit("q1", "buy", "90"))
    await exchange.wait(10)
    start = trio.current_time()
    await exchange.wait(10)
    assert trio.current_time() - start == pytest.approx(10)
    exchange.hint(SPOT, D(95))  # meets no order
    await exchange.wait(10)
    assert trio.current_time() - start == pytest.approx(20)

    async def fill_later() -> None:
        await trio.sleep(3)
        exchange.hint(SPOT, D(90))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fill_later)
        await exchange.wait(10)
        assert trio.current_time() - start == pytest.approx(23)


async def test_cancelled_placement_has_not_happened() -> None:
    exchange = venue()
    with trio.CancelScope() as scope:
        scope.cancel()
        await exchange.place(order("q1"), (), 1000.0)
    assert scope.cancelled_caught
    assert await exchange.find(order("q1")) is None
