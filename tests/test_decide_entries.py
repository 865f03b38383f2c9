"""The one decision: from an intent and what is known of its account to an entry, or a refusal."""

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from decide_cases import planned, refusal
from fks.domain.alerts import Target
from fks.domain.ids import client_order_id
from fks.domain.messages import TradingState
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.settings import RiskSettings
from fks.domain.venue import Features
from makers import NOW, SPOT, SWAP, dec, exposure, intent, market, order, view


def test_a_plain_buy() -> None:
    (entry,) = planned(intent(), view(price=dec(50_001)))
    assert (entry.leg, entry.side, entry.type, entry.state) == (
        Leg.ENTRY,
        Side.BUY,
        OrderType.MARKET,
        State.PLANNED,
    )
    assert entry.amount == dec("0.099")  # 5 % of 100,000 at 50,001 is 0.09999...: down to the step
    assert entry.id == entry.client_order_id == client_order_id("a1", "paper", "entry", 1)
    assert (entry.symbol, entry.good_until, entry.created_at) == (SPOT, NOW + 300, NOW)
    assert entry.reference_price == 50_001


def test_the_same_intent_always_becomes_the_same_orders() -> None:
    wish = intent(stop_loss=Target(percent=dec(2)), take_profit=(Target(percent=dec(3)),))
    one, other = planned(wish), planned(wish)
    assert one == other
    assert len({order.id for order in one}) == 3
    assert not {order.id for order in one} & {order.id for order in planned(replace(wish, account="other"))}


@pytest.mark.parametrize(("action", "price"), [("buy", "49999.98"), ("sell", "49999.99")])
def test_a_limit_price_is_rounded_passively(action: str, price: str) -> None:
    wish = intent(action, order_type=OrderType.LIMIT, price=dec("49999.985"), amount=dec(1))
    assert planned(wish)[0].price == dec(price)


def test_a_price_below_one_tick_is_refused_not_rounded_to_nothing() -> None:
    limit = intent(amount=dec(1), order_type=OrderType.LIMIT, price=dec("0.009"))
    stop = intent("sell", amount=dec(1), order_type=OrderType.STOP, stop_price=dec("0.009"))
    assert refusal(limit) == refusal(stop) == "alert.number"


def test_a_market_alerts_price_is_no_limit() -> None:
    assert planned(intent(price=dec(1)))[0].price is None


def test_what_the_account_cannot_do_is_refused_by_name() -> None:
    plain = view(features=Features())
    assert refusal(intent(order_type=OrderType.STOP, stop_price=dec(1)), plain) == "order.unsupported"
    assert refusal(intent(stop_loss=Target(percent=dec(2))), plain) == "order.unsupported"
    assert planned(intent(), plain)


@pytest.mark.parametrize(
    ("fields", "amount", "code"),
    [
        ({}, "0.0009", "order.below_minimum"),
        ({}, "0.001", None),
        ({"min_amount": dec("0.01")}, "0.0099", "order.below_minimum"),
        ({"min_notional": dec(500)}, "0.01", None),
        ({"min_notional": dec(500)}, "0.009", "order.below_minimum"),
        ({"max_amount": dec(5)}, "5", None),
        ({"max_amount": dec(5)}, "5.001", "order.above_maximum"),
    ],
)
@pytest.mark.fault(50)
def test_the_markets_limits_hold_before_anything_is_sent(
    fields: dict[str, Any], amount: str, code: str | None
) -> None:
    wish, known = intent(amount=dec(amount)), view(market(**fields))
    if code is None:
        assert planned(wish, known)[0].amount == dec(amount)
    else:
        assert refusal(wish, known) == code


def test_numbers_of_any_magnitude_are_refused_not_crashed_on() -> None:
    coarse = market(min_notional=dec(5), price_tick=dec(0), amount_step=dec(0))
    dust = intent(order_type=OrderType.LIMIT, price=dec("1e-18"), amount=dec(1))
    assert refusal(dust, view(coarse), RiskSettings(max_price_deviation=dec(0))) == "order.below_minimum"
    limits = RiskSettings(max_order_notional=dec(1))
    assert refusal(intent(amount=dec("1e18")), None, limits) == "risk.max_order_notional"


def test_a_stale_intent_is_refused() -> None:
    assert planned(intent(), view(now=NOW + 300))
    for action in ("buy", "close", "cancel"):
        assert refusal(intent(action), view(now=NOW + 300.1)) == "gate.stale"


def test_trading_states_and_limits_are_asked() -> None:
    assert refusal(intent(), view(trading=TradingState.HALTED)) == "risk.halted"
    assert refusal(intent(), view(trading=TradingState.REDUCE)) == "risk.reduce_only"
    assert refusal(intent(), None, RiskSettings(max_order_notional=dec(4999))) == "risk.max_order_notional"


def test_selling_what_an_exit_may_sell_first_is_sent_reduce_only() -> None:
    """A stop that fires before it would leave the sale to open a short position, past every limit."""
    stop = order(
        "s", Leg.STOP_LOSS, Side.SELL, symbol=SWAP, amount=dec(5), state=State.OPEN, reduce_only=True
    )
    protected = view(market(SWAP), exposure=exposure({SWAP: dec(5)}, (stop,)), trading=TradingState.REDUCE)
    assert planned(intent("sell", amount=dec(5)), protected)[0].reduce_only
    assert refusal(intent("sell", amount=dec(6)), protected) == "risk.reduce_only"
    bare = dataclasses.replace(protected, exposure=exposure({SWAP: dec(5)}))
    assert planned(intent("sell", amount=dec(5)), bare)[0].reduce_only
    spot = order("s", Leg.STOP_LOSS, Side.SELL, amount=dec(5), state=State.OPEN)
    known = view(exposure=exposure({SPOT: dec(5)}, (spot,)), trading=TradingState.REDUCE)
    assert not planned(intent("sell", amount=dec(5)), known)[0].reduce_only


def test_reduce_only_is_no_way_around_the_limits_on_spot() -> None:
    """No spot exchange knows reduce-only: such a buy would be a plain one that no limit has seen."""
    halted = view(trading=TradingState.HALTED)
    assert refusal(intent(reduce_only=True, amount=dec(9)), halted) == "order.unsupported"
    assert refusal(intent(reduce_only=True, amount=dec(9))) == "order.unsupported"
    assert planned(intent("sell", reduce_only=True, amount=dec(9)), halted)[0].reduce_only
    swap = view(market(SWAP), trading=TradingState.HALTED)
    assert planned(intent(symbol=SWAP, reduce_only=True, amount=dec(9)), swap)[0].reduce_only


@pytest.mark.parametrize("symbol", [SWAP, SPOT])
def test_a_contract_is_known_by_its_market_not_by_its_name(symbol: str) -> None:
    """A paper account may call one BTC/USDT."""
    contract = market(symbol, kind="swap", settle="USDT")
    short = view(contract, exposure=exposure({symbol: dec(-5)}), trading=TradingState.REDUCE)
    (cover,) = planned(intent(symbol=symbol, amount=dec(2)), short)
    assert cover.reduce_only
    assert refusal(intent(symbol=symbol, amount=dec(6)), short) == "risk.reduce_only"
    tight = RiskSettings(max_position_notional=dec(100_000))
    stop = order("s", Leg.STOP_LOSS, symbol=symbol, amount=dec(5), state=State.OPEN, reduce_only=True)
    hedged = view(contract, exposure=exposure({symbol: dec(-5)}, (stop,)))
    assert planned(intent(symbol=symbol, amount=dec(5)), hedged, tight)[0].reduce_only


STOP = {"order_type": OrderType.STOP}
BREAKOUT = STOP | {"stop_price": dec(52_000)}


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        (BREAKOUT | {"notional": dec(1000)}, "0.02"),
        (STOP | {"notional": dec(1000), "stop_price": dec(500)}, "0.02"),
        (BREAKOUT | {"percent": dec(1)}, "0.02"),
        (
            BREAKOUT | {"notional": dec(1000), "order_type": OrderType.STOP_LIMIT, "price": dec(52_100)},
            "0.019",
        ),
        ({"notional": dec(1000), "stop_price": dec(500)}, "0.02"),
        ({"amount": dec("0.001"), "stop_price": dec(5)}, "0.001"),
        (
            {"percent": dec(1), "order_type": OrderType.TRAILING_STOP, "trail_percent": dec(1)}
            | {"stop_price": dec(500)},
            "0.02",
        ),
    ],
)
def test_a_size_is_counted_by_the_limit_price_or_the_last_one(fields: dict[str, Any], amount: str) -> None:
    assert planned(intent(**fields), view(market(min_notional=dec(5))))[0].amount == dec(amount)


def test_where_only_the_stops_own_price_is_known_it_counts() -> None:
    assert planned(intent(notional=dec(1040), **BREAKOUT), view(price=None))[0].amount == dec("0.02")


def test_what_protects_a_stop_entry_lies_where_that_fills() -> None:
    """At its own price; beyond it already, at the last one."""
    protected = {"amount": dec(1), "stop_loss": Target(percent=dec(1))}
    assert planned(intent(**BREAKOUT, **protected))[1].stop_price == dec(51_480)
    late = STOP | {"stop_price": dec(45_000)}
    assert planned(intent(**late, **protected))[1].stop_price == dec(49_500)
    below = STOP | {"stop_price": dec(48_000)}
    assert planned(intent("sell", **below, **protected), view(market(SWAP)))[1].stop_price == dec(48_480)


def test_a_size_by_risk_counts_from_where_a_stop_entry_fills() -> None:
    wish = intent(**BREAKOUT, stop_loss=Target(price=dec(51_000)), sizing={"method": "risk_based"})
    assert planned(wish)[0].amount == dec(2)  # 2 % of 100,000 at a risk of 1,000
    late = STOP | {"stop_price": dec(45_000)}
    wish = intent(**late, stop_loss=Target(price=dec(44_000)), sizing={"method": "risk_based"})
    assert planned(wish)[0].amount == dec("0.333")  # it fills at 50,000
