"""Every kind of order on every stand-in ends as it should, however badly the exchange answers."""

from decimal import Decimal
from typing import Any

import pytest

from fks.domain.errors import NotSent, Rejected, Unknown
from fks.domain.orders import Leg, OrderType, Side, State
from standins.server import Fault
from venue_desk import LIMIT, MARKETS, NAME, STOP_LOSS, Desk, desk

pytestmark = pytest.mark.real_time

PLACES = [(where, kind) for where in ("binance", "bybit", "okx") for kind in ("spot", "swap")]
everywhere = pytest.mark.parametrize(("where", "kind"), PLACES)
derivatives = pytest.mark.parametrize(("where", "kind"), [one for one in PLACES if one[1] == "swap"])


def described(order: dict[str, Any]) -> str:
    return "-".join(str(value) for value in order.values())


# --- each type to its end


@everywhere
async def test_market_buy_is_of_the_asked_base_amount(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        it.mark(40_000)  # far from the reference price: a cost would buy more
        order = it.order()
        await it.place(order)
        found = await it.found(order)
        assert it.executions() == 1
    assert (found.state, found.filled, found.average) == (State.FILLED, Decimal("0.01"), Decimal(40_000))
    assert sum((trade.amount for trade in found.trades), Decimal(0)) == Decimal("0.01")
    assert found.fee > 0


@everywhere
async def test_limit_rests_fills_and_is_told_under_one_id(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        order = it.order(**LIMIT)
        placed = await it.place(order)
        resting = await it.found(order)
        it.mark(48_900)
        filled = await it.found(order)
    assert (placed.state, resting.state, filled.state) == (State.OPEN, State.OPEN, State.FILLED)
    assert {placed.exchange_order_id, resting.exchange_order_id} == {filled.exchange_order_id}


@everywhere
async def test_post_only_that_would_take_never_takes(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        order = it.order(**{**LIMIT, "price": Decimal(51_000)}, post_only=True)
        try:
            await it.place(order)
        except Rejected:
            pass
        else:
            found = await it.found(order)
            assert (found.state, found.filled) == (State.CANCELED, 0)
        assert not it.exchange.book.trades


@everywhere
@pytest.mark.parametrize("time_in_force", ["ioc", "fok"])
async def test_time_in_force_ends_what_cannot_fill_at_once(where: str, kind: str, time_in_force: str) -> None:
    async with desk(where, kind) as it:
        order = it.order(**LIMIT, time_in_force=time_in_force)
        await it.place(order)
        found = await it.found(order)
    assert found.state in (State.CANCELED, State.EXPIRED)
    assert found.filled == 0


@everywhere
@pytest.mark.parametrize(
    ("side", "stop", "through"), [(Side.BUY, 51_000, 51_500), (Side.SELL, 49_000, 48_500)]
)
async def test_stop_entry_waits_for_the_market_to_come(
    where: str, kind: str, side: Side, stop: int, through: int
) -> None:
    async with desk(where, kind) as it:
        order = it.order(type=OrderType.STOP, side=side, stop_price=Decimal(stop))
        await it.place(order)
        waiting = await it.found(order)
        it.mark(through)
        filled = await it.found(order)
    assert (waiting.state, filled.state, filled.filled) == (State.OPEN, State.FILLED, Decimal("0.01"))
    assert filled.average == through


@everywhere
async def test_stop_limit_triggers_and_then_rests_at_its_price(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        order = it.order(type=OrderType.STOP_LIMIT, stop_price=Decimal(51_000), price=Decimal(50_500))
        placed = await it.place(order)
        order = it.order(
            type=OrderType.STOP_LIMIT, stop_price=Decimal(51_000), price=Decimal(50_500),
            exchange_order_id=placed.exchange_order_id,
        )  # fmt: skip
        it.mark(51_500)
        resting = await it.found(order)
        it.mark(50_400)
        filled = await it.found(order)
    assert (resting.state, resting.filled) == (State.OPEN, 0)
    assert (filled.state, filled.filled) == (State.FILLED, Decimal("0.01"))
    assert filled.exchange_order_id == placed.exchange_order_id


@everywhere
async def test_stop_loss_is_followed_over_its_trigger(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        await it.buy()
        order = it.order(**STOP_LOSS, amount=Decimal("0.005"))
        placed = await it.place(order)
        waiting = await it.found(order)
        it.mark(47_900)
        filled = await it.found(order)
        assert it.executions() == 1
    assert (placed.state, waiting.state) == (State.OPEN, State.OPEN)
    assert (filled.state, filled.filled, filled.average) == (State.FILLED, Decimal("0.005"), Decimal(47_900))
    assert filled.fee > 0


@everywhere
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "wanted",
    [
        LIMIT,
        {"type": OrderType.STOP, "stop_price": Decimal(51_000)},
        {"type": OrderType.STOP_LIMIT, "stop_price": Decimal(51_000), "price": Decimal(51_100)},
        STOP_LOSS,
    ],
    ids=["limit", "stop", "stop_limit", "stop_loss"],
)
async def test_every_resting_order_is_canceled_by_either_id(
    where: str, kind: str, known: bool, wanted: dict[str, Any]
) -> None:
    async with desk(where, kind) as it:
        await it.buy()
        placed = await it.place(it.order(**wanted))
        order = it.order(**wanted, exchange_order_id=placed.exchange_order_id if known else None)
        await it.venue.cancel(order)
        found = await it.found(order)
        assert not it.exchange.book.live
    assert (found.state, found.filled) == (State.CANCELED, 0)


@everywhere
async def test_a_triggered_stop_limit_is_canceled_where_it_rests(where: str, kind: str) -> None:
    wanted = {"type": OrderType.STOP_LIMIT, "stop_price": Decimal(51_000), "price": Decimal(50_500)}
    async with desk(where, kind) as it:
        order = it.order(**wanted)
        await it.place(order)
        it.mark(51_500)
        await it.venue.cancel(order)
        found = await it.found(order)
        assert not it.exchange.book.live
    assert (found.state, found.filled) == (State.CANCELED, 0)


@everywhere
async def test_cancel_of_what_has_filled_is_no_error(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        await it.buy()
        for order in (it.order(**LIMIT), it.order(**STOP_LOSS, client_order_id="qother000000000000")):
            await it.place(order)
        it.mark(47_000)
        for order in (it.order(**LIMIT), it.order(**STOP_LOSS, client_order_id="qother000000000000")):
            try:
                assert await it.venue.cancel(order) is None
            except Unknown:
                pass  # an answer that proves nothing: it is looked up
            assert (await it.found(order)).state is State.FILLED


@everywhere
async def test_unheard_of_order_is_nowhere(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        await it.buy()
        for wanted in ({}, STOP_LOSS):
            assert await it.venue.find(it.order(**wanted)) is None


@everywhere
async def test_open_orders_hold_the_conditional_ones_too(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        await it.buy()
        await it.place(it.order(**LIMIT))
        await it.place(it.order(**STOP_LOSS, client_order_id="qother000000000000"))
        names = {one.client_order_id for one in await it.venue.open_orders()}
    assert names == {NAME, "qother000000000000"}


# --- lost answers

FAULTS = ["empty", "html", "reset", "cut", "status", "hang"]


async def _lose(it: Desk, fault: str, **wanted: Any) -> None:
    it.exchange.faults.append(Fault(fault, executed=True))
    order = it.order(**wanted)
    with pytest.raises(Unknown):
        await it.place(order)
    found = await it.found(order)
    assert len(it.exchange.placements) == (2 if wanted.get("leg") is Leg.STOP_LOSS else 1)
    assert it.executions() == 1
    assert found.state is (State.OPEN if wanted else State.FILLED)


@everywhere
@pytest.mark.parametrize("fault", FAULTS)
async def test_executed_but_not_answered_is_one_execution(where: str, kind: str, fault: str) -> None:
    async with desk(where, kind, timeout=0.3 if fault == "hang" else 5.0) as it:
        await _lose(it, fault)


@everywhere
@pytest.mark.parametrize("wanted", [LIMIT, STOP_LOSS], ids=["limit", "stop_loss"])
@pytest.mark.parametrize("fault", ["reset", "empty"])
async def test_resting_but_not_answered_is_found(
    where: str, kind: str, fault: str, wanted: dict[str, Any]
) -> None:
    async with desk(where, kind) as it:
        if wanted is STOP_LOSS:
            await it.buy()
        await _lose(it, fault, **wanted)


@everywhere
@pytest.mark.parametrize("fault", FAULTS)
async def test_neither_executed_nor_answered_is_nowhere(where: str, kind: str, fault: str) -> None:
    async with desk(where, kind, timeout=0.3 if fault == "hang" else 5.0) as it:
        it.exchange.faults.append(Fault(fault, executed=False))
        with pytest.raises(Unknown):
            await it.place(it.order())
        assert await it.venue.find(it.order()) is None
        assert it.executions() == 0
        assert len(it.exchange.placements) == 1


@everywhere
async def test_repeated_name_proves_nothing(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        await it.place(it.order(**LIMIT))
        with pytest.raises(Unknown):
            await it.place(it.order(**LIMIT))
        assert it.executions() == 1


@everywhere
async def test_too_big_an_order_is_refused_with_a_stable_code(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        with pytest.raises(Rejected) as caught:
            await it.place(it.order(amount=Decimal(1000)))
    assert caught.value.code == "insufficient_funds"


# --- derivatives


@derivatives
async def test_position_is_signed_and_in_base_units(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        assert await it.venue.positions() == ()
        await it.buy(amount="0.02")
        [long] = await it.venue.positions()
        await it.place(it.order(side=Side.SELL, amount=Decimal("0.05")))
        [short] = await it.venue.positions()
    assert (long.symbol, long.amount, long.average) == ("BTC/USDT:USDT", Decimal("0.02"), Decimal(50_000))
    assert (short.amount, short.account) == (Decimal("-0.03"), "main")


@derivatives
async def test_reduce_only_never_turns_the_position(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        with pytest.raises(Rejected):
            await it.place(it.order(leg=Leg.CLOSE, side=Side.SELL, reduce_only=True))
        assert it.executions() == 0


@derivatives
async def test_stop_loss_and_take_profit_rest_side_by_side(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        assert it.venue.features.oco
        await it.buy()
        stop = it.order(**STOP_LOSS)
        target = it.order(
            type=OrderType.LIMIT, price=Decimal(52_000), side=Side.SELL, leg=Leg.TAKE_PROFIT,
            reduce_only=True, client_order_id="qtarget00000000000",
        )  # fmt: skip
        await it.place(stop)
        await it.place(target)
        it.mark(52_100)
        it.mark(47_000)
        assert (await it.found(target)).state is State.FILLED
        assert (await it.found(stop)).filled == 0
        assert await it.venue.positions() == ()


@derivatives
async def test_hedge_mode_opens_and_closes_the_right_side(where: str, kind: str) -> None:
    async with desk(where, kind, hedge=True) as it:
        await it.buy(amount="0.03")
        await it.place(it.order(side=Side.SELL, client_order_id="qshort000000000000"))
        sides = {side: one.amount for (_, side), one in it.exchange.book.positions.items() if one.amount}
        assert set(sides) == {"long", "short"}
        [net] = await it.venue.positions()
        await it.place(it.order(**STOP_LOSS, client_order_id="qstop0000000000000"))
        await it.place(
            it.order(leg=Leg.CLOSE, side=Side.BUY, reduce_only=True, client_order_id="qclose00000000000")
        )
        it.mark(47_900)
        [left] = await it.venue.positions()
    assert (net.amount, left.amount) == (Decimal("0.02"), Decimal("0.02"))


@derivatives
async def test_changed_position_mode_is_learnt_anew_after_a_refusal(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        await it.buy("qfirst000000000000", "0.01")
        await it.place(it.order(leg=Leg.CLOSE, side=Side.SELL, reduce_only=True, client_order_id="qc"))
        it.exchange.book.account.hedge = True
        with pytest.raises(Rejected):
            await it.place(it.order())
        await it.place(it.order(client_order_id="qsecond00000000000"))
        assert it.executions("qsecond00000000000") == 1


@derivatives
async def test_leverage_is_set_once_before_the_first_order(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        for name in ("qone00000000000000", "qtwo00000000000000"):
            await it.place(it.order(leverage=7, margin_mode="isolated", client_order_id=name))
        routes = [request.route for request in it.exchange.requests if request.method == "POST"]
        settings = [route for route in routes if "order" not in route]
        name = MARKETS[where][kind]
        assert it.exchange.book.account.leverage_of(name) == 7
        assert it.executions("qtwo00000000000000") == 1
    assert len(settings) == len(set(settings))
    assert routes.index(settings[-1]) < min(at for at, route in enumerate(routes) if "order" in route)


@derivatives
async def test_leverage_that_is_set_already_is_no_error(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        for _ in range(2):
            it.venue._derivatives._set.clear()
            await it.place(it.order(leverage=7, client_order_id=f"q{_}"))
        assert it.executions("q1") == 1


@derivatives
async def test_order_does_not_go_without_its_leverage(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        it.exchange.faults.append(Fault("close", route="POST", count=99))
        with pytest.raises(NotSent):
            await it.place(it.order(leverage=7))
        assert not it.exchange.placements


@derivatives
async def test_leverage_is_set_anew_after_a_refused_order(where: str, kind: str) -> None:
    async with desk(where, kind) as it:
        await it.place(it.order(leverage=7, client_order_id="qone"))
        with pytest.raises(Rejected):
            await it.place(it.order(leverage=7, client_order_id="qtwo", amount=Decimal(1000)))
        await it.place(it.order(leverage=7, client_order_id="qthree"))
        routes = [request.route for request in it.exchange.requests]
    assert sum("leverage" in route and route.startswith("POST") for route in routes) == 2


async def test_triggered_stop_is_canceled_even_when_the_old_name_gets_no_answer() -> None:
    wanted = {"type": OrderType.STOP_LIMIT, "stop_price": Decimal(51_000), "price": Decimal(50_500)}
    async with desk("binance", "swap") as it:
        await it.place(it.order(**wanted))
        it.mark(51_500)
        it.exchange.faults.append(Fault("close", route="DELETE /fapi/v1/algoOrder", count=99))
        assert await it.venue.cancel(it.order(**wanted)) is None
        assert (await it.found(it.order(**wanted))).state is State.CANCELED
