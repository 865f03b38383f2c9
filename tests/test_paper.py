"""The embedded paper exchange, seen through the port that every exchange is seen through."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
import trio

from fks.domain.errors import Fatal, Rejected, Transient, Unknown
from fks.domain.messages import Order, Report
from fks.domain.orders import Leg, OrderType, State
from fks.domain.venue import Venue
from fks.venues.paper import PaperVenue
from standins.paper import SPOT, SWAP, TinyJournal, limit, order, protection, settings

D = Decimal


def venue(**changes: Any) -> PaperVenue:
    return PaperVenue("paper", settings(**changes), wall=lambda: 1000.0)


async def placed(exchange: PaperVenue, one: Order, *legs: Order) -> Report:
    reports = await exchange.place(one, legs, 1000.0)
    assert [report.client_order_id for report in reports] == [one.client_order_id, *(leg.id for leg in legs)]
    return reports[0]


async def state_of(exchange: PaperVenue, name: str) -> State | None:
    report = await exchange.find(order(name))
    return report.state if report else None


async def rejection(exchange: PaperVenue, one: Order, *legs: Order) -> Rejected:
    before = await exchange.balance()
    with pytest.raises(Rejected) as caught:
        await exchange.place(one, legs, 1000.0)
    assert await exchange.find(one) is None, "a rejected order does not exist"
    assert await exchange.balance() == before
    return caught.value


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


async def test_marketable_limit_order_fills_at_the_mark_not_at_its_limit() -> None:
    exchange = venue()
    assert (await placed(exchange, limit("q1", "buy", "105"))).average == D(100)
    assert (await placed(exchange, limit("q2", "sell", "95"))).average == D(100)


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


async def test_triggered_stop_limit_rests_at_its_limit() -> None:
    exchange = venue(balance={"BTC": D(1)})
    await placed(exchange, order("q1", "sell", type=OrderType.STOP_LIMIT, stop_price="95", price="94"))
    exchange.hint(SPOT, D(90))  # gapped past the limit
    assert await state_of(exchange, "q1") is State.OPEN
    exchange.hint(SPOT, D("94.5"))
    found = await exchange.find(order("q1"))
    assert found is not None
    assert (found.state, found.average) == (State.FILLED, D(94))


async def test_stop_limit_whose_limit_is_met_when_triggered_fills_at_the_mark() -> None:
    exchange = venue()
    await placed(exchange, order("q1", "buy", type=OrderType.STOP_LIMIT, stop_price="105", price="107"))
    exchange.hint(SPOT, D(106))
    found = await exchange.find(order("q1"))
    assert found is not None
    assert found.average == D(106)


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


async def test_legs_wait_for_their_entry_and_hold_nothing_until_it_fills() -> None:
    exchange = venue(balance={"USDT": D(1000), "BTC": D(5)})
    entry = limit("q1", "buy", "90", "2")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "0.5"), ("115", "1.5")]))
    exchange.hint(SPOT, D(120))  # above the take profit, but there is nothing to sell yet
    assert await state_of(exchange, "q1-tp0") is State.OPEN
    assert (await exchange.balance()).free["BTC"] == 5
    exchange.hint(SPOT, D(90))
    balance = await exchange.balance()
    assert (balance.total["BTC"], balance.free["BTC"]) == (D(7), D(5)), "all legs hold it once"


@pytest.mark.parametrize(
    ("mark", "filled", "other", "price"),
    [("115", "q1-tp0", "q1-sl", "110"), ("75", "q1-sl", "q1-tp0", "74.92")],
)
async def test_one_leg_fills_and_the_other_is_canceled(
    mark: str, filled: str, other: str, price: str
) -> None:
    exchange = venue()
    entry = order("q1")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "1")]))
    exchange.hint(SPOT, D(mark))
    found = await exchange.find(order(filled))
    assert found is not None
    assert (found.state, found.average) == (State.FILLED, D(price))
    assert await state_of(exchange, other) is State.CANCELED
    assert (await exchange.balance()).total["BTC"] == 0


async def test_stop_is_smaller_by_what_take_profits_filled() -> None:
    exchange = venue()
    entry = order("q1", "buy", "2")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "0.5"), ("120", "1.5")]))
    exchange.hint(SPOT, D(110))
    assert await state_of(exchange, "q1-sl") is State.OPEN
    exchange.hint(SPOT, D(80))
    found = await exchange.find(order("q1-sl"))
    assert found is not None
    assert (found.state, found.filled) == (State.FILLED, D("1.5"))
    assert await state_of(exchange, "q1-tp1") is State.CANCELED
    assert (await exchange.balance()).total["BTC"] == 0


async def test_entry_that_a_jump_fills_is_stopped_out_in_the_same_jump() -> None:
    exchange = venue()
    entry = limit("q1", "buy", "90")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "1")]))
    exchange.hint(SPOT, D(70))
    assert [await state_of(exchange, name) for name in ("q1", "q1-sl", "q1-tp0")] == [
        State.FILLED,
        State.FILLED,
        State.CANCELED,
    ]


async def test_canceled_entry_takes_its_legs_with_it() -> None:
    exchange = venue()
    entry = limit("q1", "buy", "90")
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "1")]))
    report = await exchange.cancel(entry)
    assert report is not None
    assert report.state is State.CANCELED
    assert await exchange.open_orders() == []
    assert (await exchange.balance()).free["USDT"] == 1000


async def test_canceled_leg_leaves_the_other_alone() -> None:
    exchange = venue()
    entry = order("q1")
    legs = protection(entry, stop="80", targets=[("110", "1")])
    await placed(exchange, entry, *legs)
    await exchange.cancel(legs[1])
    assert await state_of(exchange, "q1-sl") is State.OPEN


async def test_cancel_of_a_filled_order_tells_that_it_is_filled() -> None:
    exchange = venue()
    await placed(exchange, order("q1"))
    report = await exchange.cancel(order("q1"))
    assert report is not None
    assert (report.state, report.filled) == (State.FILLED, D(1))
    with pytest.raises(Rejected, match="has no order q9"):
        await exchange.cancel(order("q9"))


async def test_leg_placed_alone_is_refused_once_nothing_is_left_to_protect() -> None:
    exchange = venue()
    entry = order("q1")
    stop, target = protection(entry, stop="80", targets=[("110", "1")])
    await placed(exchange, entry)
    await placed(exchange, target)
    exchange.hint(SPOT, D(110))
    assert (await rejection(exchange, stop)).code == "reduce_only"


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


async def test_a_bad_leg_rejects_the_entry_too() -> None:
    entry = order("q1")
    assert (await rejection(venue(), entry, *protection(entry, stop="80.001"))).code == "price_tick"
    assert (await rejection(venue(), entry, *protection(order("q2"), stop="80"))).code == "bad_order"


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


async def test_markets_tell_spot_from_swaps() -> None:
    both = venue().markets()
    assert (both[SPOT].kind, both[SPOT].settle) == ("spot", None)
    assert (both[SWAP].kind, both[SWAP].settle, both[SWAP].id) == ("swap", "USDT", "BTCUSDT")
    swaps = venue(market="swap", prices={SPOT: D(100)}).markets()
    assert (swaps[SPOT].kind, swaps[SPOT].settle) == ("swap", "USDT")


async def test_ticker_has_half_the_slippage_on_each_side() -> None:
    ticker = await venue().ticker(SPOT)
    assert (ticker.bid, ticker.last, ticker.ask) == (D("99.95"), D(100), D("100.05"))


async def test_short_swap_profits_when_the_price_falls() -> None:
    exchange = venue(slippage_bps=D(0), fee=D(0))
    await placed(exchange, order("q1", "sell", "4", symbol=SWAP))
    (short,) = await exchange.positions()
    assert (short.account, short.symbol, short.amount, short.average) == ("paper", SWAP, D(-4), D(100))
    assert (await exchange.balance()).free["USDT"] == 600
    exchange.hint(SWAP, D(90))
    await placed(exchange, order("q2", "buy", "1", symbol=SWAP))
    (rest,) = await exchange.positions()
    assert (rest.amount, rest.average, rest.realized) == (D(-3), D(100), D(10))
    assert (await exchange.balance()).total["USDT"] == 1010
    await placed(exchange, order("q3", "buy", "5", symbol=SWAP))  # turns the position round
    (turned,) = await exchange.positions()
    assert (turned.amount, turned.average) == (D(2), D(90))
    assert (await exchange.balance()).total["USDT"] == 1040


async def test_leverage_divides_the_margin_and_no_more_can_be_opened() -> None:
    exchange = venue(slippage_bps=D(0), fee=D(0))
    await placed(exchange, order("q1", "buy", "40", symbol=SWAP, leverage=5))
    assert (await exchange.balance()).free["USDT"] == 200
    error = await rejection(exchange, order("q2", "buy", "11", symbol=SWAP, leverage=5))
    assert error.code == "insufficient_funds"
    await placed(exchange, order("q3", "sell", "40", symbol=SWAP))  # a close needs no margin
    assert (await exchange.balance()).free["USDT"] == 1000


async def test_reduce_only_never_turns_a_position_round() -> None:
    exchange = venue()
    await placed(exchange, order("q1", "buy", "2", symbol=SWAP))
    report = await placed(exchange, order("q2", "sell", "5", symbol=SWAP, reduce_only=True))
    assert (report.state, report.filled) == (State.FILLED, D(2))
    assert await exchange.positions() == []


async def test_stop_of_a_swap_position_that_was_closed_meanwhile_opens_nothing() -> None:
    exchange = venue()
    entry = order("q1", "buy", "2", symbol=SWAP)
    await placed(exchange, entry, *protection(entry, stop="80"))
    await placed(exchange, order("q2", "sell", "2", symbol=SWAP, leg=Leg.CLOSE, reduce_only=True))
    exchange.hint(SWAP, D(75))
    assert await state_of(exchange, "q1-sl") is State.CANCELED
    assert await exchange.positions() == []


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


# Rebuilding from the journal; the general rule is in test_paper_properties.py.


def restored(journal: TinyJournal, **changes: Any) -> PaperVenue:
    exchange = venue(**changes)
    exchange.restore(journal.history, journal.live)
    return exchange


async def test_order_that_the_journal_only_meant_to_send_is_not_there_after_a_restart() -> None:
    journal = TinyJournal()
    journal.intend(order("q1"), order("q2", state=State.UNKNOWN), order("q3", state=State.PLANNED))
    exchange = restored(journal)
    assert [await exchange.find(row) for row in journal.rows.values()] == [None] * 3
    assert (await exchange.balance()).total == {"USDT": D(1000)}
    assert (await placed(exchange, order("q1"))).trades[0].id == "q1-1"


async def test_restart_remembers_fills_marks_and_ids() -> None:
    exchange, journal = venue(), TinyJournal()
    exchange.hint(SPOT, D(120))
    journal.intend(order("q1"))
    journal.settle(await placed(exchange, order("q1")))
    again = restored(journal)
    assert await again.balance() == await exchange.balance()
    assert (await again.ticker(SPOT)).last == D("120.12")
    assert await again.find(order("q1")) == await exchange.find(order("q1"))
    with pytest.raises(Unknown):
        await again.place(order("q1"), (), 1000.0)


async def test_legs_are_there_after_a_restart_when_only_their_entry_was_written_down() -> None:
    exchange, journal = venue(), TinyJournal()
    entry = order("q1")
    legs = protection(entry, stop="80", targets=[("110", "1")])
    journal.intend(entry, *legs)
    journal.settle(await placed(exchange, entry, *legs))
    again = restored(journal)
    again.hint(SPOT, D(80))
    assert await state_of(again, "q1-sl") is State.FILLED
    assert await state_of(again, "q1-tp0") is State.CANCELED


async def test_leg_that_was_to_be_sent_alone_is_not_there_after_a_restart() -> None:
    exchange, journal = venue(), TinyJournal()
    entry = order("q1")
    (stop,) = protection(entry, stop="80")
    alone = msgspec.structs.replace(stop, attached=False)
    journal.intend(entry, alone)
    journal.settle(await placed(exchange, entry))
    assert await restored(journal).find(alone) is None


async def test_resting_order_fills_at_its_own_price_after_a_restart_too() -> None:
    exchange, journal = venue(), TinyJournal()
    one = limit("q1", "buy", "90")
    journal.intend(one)
    journal.settle(await placed(exchange, one))
    again = restored(journal)
    again.hint(SPOT, D(80))
    found = await again.find(one)
    assert found is not None
    assert found.average == D(90)


async def test_first_change_after_a_restart_is_noticed() -> None:
    exchange = venue()
    await placed(exchange, order("q1"))
    exchange.restore([], [])
    await exchange.wait(10)
    start = trio.current_time()
    with pytest.raises(Rejected):
        await exchange.cancel(order("q1"))
    await placed(exchange, limit("q1", "buy", "90"))
    await exchange.wait(10)
    assert trio.current_time() == start


async def test_leg_whose_sibling_filled_is_canceled_after_a_restart() -> None:
    exchange, journal = venue(), TinyJournal()
    entry = order("q1")
    legs = protection(entry, stop="80", targets=[("110", "1")])
    journal.intend(entry, *legs)
    for report in await exchange.place(entry, legs, 1000.0):
        journal.settle(report)
    exchange.hint(SPOT, D(110))
    filled = await exchange.find(legs[1])
    assert filled is not None
    journal.settle(filled)  # and killed before the stop was asked for
    again = restored(journal)
    assert await state_of(again, "q1-sl") is State.CANCELED
    start = trio.current_time()
    await again.wait(10)
    assert trio.current_time() == start, "the follower is to ask at once"


async def test_leg_of_an_entry_that_ended_unfilled_is_canceled_after_a_restart() -> None:
    exchange, journal = venue(), TinyJournal()
    entry = limit("q1", "buy", "90")
    legs = protection(entry, stop="80")
    journal.intend(entry, *legs)
    for report in await exchange.place(entry, legs, 1000.0):
        journal.settle(report)
    canceled = await exchange.cancel(entry)
    assert canceled is not None
    journal.settle(canceled)
    again = restored(journal)
    assert await state_of(again, "q1-sl") is State.CANCELED


async def test_entry_fills_again_when_only_its_legs_fill_was_written_down() -> None:
    exchange, journal = venue(), TinyJournal()
    entry = limit("q1", "buy", "90")
    legs = protection(entry, stop="80")
    journal.intend(entry, *legs)
    for report in await exchange.place(entry, legs, 1000.0):
        journal.settle(report)
    exchange.hint(SPOT, D(75))
    stopped = await exchange.find(legs[0])
    assert stopped is not None
    journal.settle(stopped)
    again = restored(journal)
    found = await again.find(entry)
    assert found is not None
    assert (found.state, found.average, found.trades[0].id) == (State.FILLED, D(90), "q1-1")
    assert (await again.balance()).total == (await exchange.balance()).total


async def test_nothing_fills_for_the_old_marks_of_a_restart() -> None:
    exchange, journal = venue(), TinyJournal()
    exchange.hint(SPOT, D(200))
    one = limit("q1", "buy", "150")
    journal.intend(one)
    journal.settle(await placed(exchange, one))
    again = restored(journal)  # its mark is the configured 100 again
    assert await state_of(again, "q1") is State.OPEN
    await placed(again, order("q2"))
    assert await state_of(again, "q1") is State.OPEN
    again.hint(SPOT, D(200))
    assert await state_of(again, "q1") is State.OPEN
    again.hint(SPOT, D(150))
    assert await state_of(again, "q1") is State.FILLED
