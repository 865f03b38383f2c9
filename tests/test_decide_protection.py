"""The stop loss and the take profits that a decision plans with their entry."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decide_cases import planned, refusal
from fks.domain.alerts import Target
from fks.domain.errors import Refusal
from fks.domain.orders import Leg, OrderType, Side
from fks.domain.protection import HELD
from fks.domain.venue import Features
from makers import ALL_TYPES, SWAP, dec, exposure, intent, market, view

SEPARATE = Features(order_types=ALL_TYPES)  # protective legs are sent one by one, after the entry
LINKED = Features(order_types=ALL_TYPES, oco=True)
CARRIED = Features(order_types=ALL_TYPES, oco=True, attached_stop=True)


def test_legs_travel_with_their_entry_where_the_exchange_can_attach_them() -> None:
    wish = intent(amount=dec(1), stop_loss=Target(percent=dec(2)), take_profit=(Target(offset=dec(500)),))
    entry, stop, profit = planned(wish)
    assert (stop.leg, stop.side, stop.type, stop.stop_price) == (
        Leg.STOP_LOSS,
        Side.SELL,
        OrderType.STOP,
        dec(49_000),
    )
    assert (profit.leg, profit.side, profit.type, profit.price) == (
        Leg.TAKE_PROFIT,
        Side.SELL,
        OrderType.LIMIT,
        dec(50_500),
    )
    for leg in (stop, profit):
        assert (leg.parent, leg.amount, leg.attached, leg.not_before) == (entry.id, dec(1), True, 0.0)
        assert not leg.reduce_only


def test_elsewhere_they_are_held_until_the_entry_has_filled() -> None:
    wish = intent(amount=dec(1), stop_loss=Target(percent=dec(2)), take_profit=(Target(percent=dec(2)),))
    for features in (SEPARATE, LINKED):
        legs = planned(wish, view(market(SWAP), features=features))[1:]
        assert [(leg.attached, leg.not_before, leg.reduce_only) for leg in legs] == [(False, HELD, True)] * 2


@pytest.mark.parametrize(
    ("wish", "carried"),
    [
        ({}, True),
        ({"order_type": OrderType.LIMIT, "price": dec(50_000)}, False),  # it may fill in parts
        ({"reduce_only": True}, False),
    ],
)
def test_only_the_stop_of_a_market_entry_travels_where_that_is_all_the_exchange_attaches(
    wish: dict[str, Any], carried: bool
) -> None:
    half = Target(percent=dec(2), share=dec("0.5"))
    wished = intent(amount=dec(1), stop_loss=Target(percent=dec(2)), take_profit=(half, half), **wish)
    held = {"exposure": exposure(held={"BTC/USDT:USDT": dec(-3)})} if "reduce_only" in wish else {}
    legs = planned(wished, view(market(SWAP), features=CARRIED, **held))[1:]
    assert [(leg.leg, leg.attached, leg.not_before) for leg in legs] == [
        (Leg.STOP_LOSS, carried, 0.0 if carried else HELD),
        (Leg.TAKE_PROFIT, False, HELD),
        (Leg.TAKE_PROFIT, False, HELD),
    ]
    assert [leg.type for leg in legs[1:]] == [OrderType.LIMIT] * 2


def test_beside_a_stop_that_is_not_linked_take_profits_wait_for_their_price_and_then_hurry() -> None:
    half = Target(percent=dec(2), share=dec("0.5"))
    both = intent(amount=dec(1), stop_loss=Target(percent=dec(2)), take_profit=(half, half))
    _, stop, *targets = planned(both, view(features=SEPARATE))
    assert stop.type is OrderType.STOP
    assert [target.type for target in targets] == [OrderType.MARKET] * 2
    _, _, *linked = planned(both, view(features=LINKED))
    assert [target.type for target in linked] == [OrderType.LIMIT] * 2


@pytest.mark.parametrize(("action", "at"), [("buy", "95.5"), ("sell", "104.5")])
def test_a_stop_is_rounded_towards_the_market(action: str, at: str) -> None:
    tick = market(price_tick=dec("0.5"))
    wish = intent(action, amount=dec(1), stop_loss=Target(percent=dec("4.7")))
    assert planned(wish, view(tick, price=dec(100)))[1].stop_price == dec(at)


@pytest.mark.parametrize("action", ["buy", "sell"])
def test_a_stop_that_rounds_onto_the_entry_is_refused(action: str) -> None:
    wish = intent(action, amount=dec(1), stop_loss=Target(percent=dec("0.3")))
    assert refusal(wish, view(market(price_tick=dec(1)), price=dec(100))) == "alert.number"


def test_a_take_profit_that_rounds_to_zero_is_refused() -> None:
    wish = intent("sell", amount=dec(1), take_profit=(Target(price=dec("0.4")),))
    assert refusal(wish, view(market(price_tick=dec(1)), price=dec(100))) == "alert.number"


def test_protection_without_a_price_is_refused() -> None:
    wish = intent(amount=dec(1), stop_loss=Target(percent=dec(2)))
    assert refusal(wish, view(price=None)) == "sizing.no_price"


def test_a_stop_on_the_wrong_side_says_where_it_is() -> None:
    for stop, where in (("100", "at"), ("100.50", "on the profit side of")):
        with pytest.raises(Refusal) as caught:
            planned(intent(amount=dec(1), stop_loss=Target(price=dec(stop))), view(price=dec("100.0")))
        assert caught.value.detail == f"stop_loss {float(stop):g} is {where} the entry price 100"


def test_protection_that_the_market_would_reject_is_refused_before_the_entry() -> None:
    """Else the entry fills and its stop is rejected: a position without protection."""
    least = market(min_notional=dec(50))
    known = view(least, price=dec(100))
    assert planned(intent(amount=dec("0.5")), known)
    assert (
        refusal(intent(amount=dec("0.5"), stop_loss=Target(percent=dec(2))), known) == "order.below_minimum"
    )
    shares = (Target(percent=dec(2), share=dec("0.4")), Target(percent=dec(4), share=dec("0.6")))
    assert refusal(intent(amount=dec(1), take_profit=shares), known) == "order.below_minimum"


def test_a_share_of_less_than_a_step_is_refused() -> None:
    shares = (Target(percent=dec(2), share=dec("0.1")), Target(percent=dec(4), share=dec("0.9")))
    wish = intent(amount=dec(1), take_profit=shares)
    assert refusal(wish, view(market(amount_step=dec(1)))) == "order.below_minimum"


@given(
    st.decimals(min_value="0.02", max_value="50", places=3),
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.booleans(),
)
def test_take_profits_share_the_entry_and_never_more(
    amount: Decimal, weights: list[int], whole: bool
) -> None:
    parts = sum(weights) if whole else sum(weights) + 3
    shares: list[Decimal] = [round(Decimal(weight) / parts, 4) for weight in weights]
    if whole:
        shares[-1] = 1 - sum(shares[:-1], start=Decimal(0))
    targets = tuple(Target(percent=dec(n + 1), share=share) for n, share in enumerate(shares))
    try:
        entry, *legs = planned(intent(amount=amount, take_profit=targets))
    except Refusal:  # a share of less than a step
        return
    total = sum(leg.amount for leg in legs)
    assert total == entry.amount if whole else total < entry.amount
    for leg, share in zip(legs[:-1], shares[:-1], strict=True):
        assert (
            0
            <= Fraction(entry.amount) * Fraction(share) - Fraction(leg.amount)
            < Fraction(1, 1000) + Fraction(1, 10**20)
        )
