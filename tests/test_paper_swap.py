"""Linear swaps on the paper exchange: signed positions, margin, reduce-only."""

from decimal import Decimal

from fks.domain.orders import Leg, State
from standins.paper import SPOT, SWAP, order, placed, protection, rejection, venue

D = Decimal


async def test_markets_tell_spot_from_swaps() -> None:
    both = venue().markets()
    assert (both[SPOT].kind, both[SPOT].settle) == ("spot", None)
    assert (both[SWAP].kind, both[SWAP].settle, both[SWAP].id) == ("swap", "USDT", "BTCUSDT")
    swaps = venue(market="swap", prices={SPOT: D(100)}).markets()
    assert (swaps[SPOT].kind, swaps[SPOT].settle) == ("swap", "USDT")


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


async def test_what_a_position_has_lost_is_no_margin_for_another() -> None:
    exchange = venue(slippage_bps=D(0), fee=D(0))
    await placed(exchange, order("q1", "buy", "20", symbol=SWAP, leverage=10))
    exchange.hint(SWAP, D(80))
    balance = await exchange.balance()
    assert (balance.total["USDT"], balance.gains["USDT"], balance.free["USDT"]) == (1000, -400, 400)
    error = await rejection(exchange, order("q2", "buy", "51", symbol=SWAP, leverage=10))
    assert error.code == "insufficient_funds"
    await placed(exchange, order("q3", "buy", "50", symbol=SWAP, leverage=10))
    exchange.hint(SWAP, D(110))  # a gain is none either
    assert (await exchange.balance()).free["USDT"] == 400


async def test_reduce_only_never_turns_a_position_round() -> None:
    exchange = venue()
    await placed(exchange, order("q1", "buy", "2", symbol=SWAP))
    report = await placed(exchange, order("q2", "sell", "5", symbol=SWAP, reduce_only=True))
    assert (report.state, report.filled) == (State.FILLED, D(2))
    assert await exchange.positions() == []


async def test_a_close_opens_nothing_however_much_it_asks_for() -> None:
    """Also one that nobody called reduce-only: a contract's name may not tell that it is one."""
    exchange = venue(market="swap", prices={SPOT: D(100)})
    await placed(exchange, order("q1", "buy", "2"))
    report = await placed(exchange, order("q2", "sell", "5", leg=Leg.CLOSE))
    assert report.filled == D(2)
    assert await exchange.positions() == []


async def test_what_closes_less_than_it_was_to_says_so_and_leaves_no_leg_behind() -> None:
    exchange = venue()
    entry = order("q1", "buy", "1", symbol=SWAP)
    await placed(exchange, entry, *protection(entry, stop="80", targets=[("110", "1")]))
    await placed(exchange, order("q2", "sell", "0.5", symbol=SWAP, reduce_only=True))
    exchange.hint(SWAP, D(75))
    stop = await exchange.find(order("q1-sl"))
    assert stop is not None
    assert (stop.state, stop.filled) == (State.FILLED, D("0.5"))
    assert stop.reason == "there was no more left for it to close"
    assert await exchange.open_orders() == []


async def test_closing_a_position_ends_what_guarded_it_at_once() -> None:
    exchange = venue(balance={"USDT": D(10_000)})
    for name in ("q1", "q2"):
        entry = order(name, "sell", "1", symbol=SWAP)
        await placed(exchange, entry, *protection(entry, stop="120", targets=[("90", "1")]))
    await placed(exchange, order("q3", "buy", "1", symbol=SWAP, reduce_only=True))
    assert {one.client_order_id for one in await exchange.open_orders()} == {"q2-sl", "q2-tp0"}
    turned = order("q4", "buy", "3", symbol=SWAP)
    await placed(exchange, turned, *protection(turned, stop="80"))
    assert {one.client_order_id for one in await exchange.open_orders()} == {"q4-sl"}
    exchange.hint(SWAP, D(75))
    assert await exchange.positions() == []
