"""Sizes by volatility and by target: against exact fractions; and what every method has in common."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fks.domain import sizing
from fks.domain.alerts import Alert, Target
from fks.domain.candles import Table
from fks.domain.decide import decide
from fks.domain.errors import Refusal
from fks.domain.orders import Leg, OrderType, State
from fks.domain.settings import RiskSettings, SizingSettings
from fks.domain.view import Rules
from makers import SPOT, SWAP, alert, dec, exposure, intent, market, order, view

money = st.decimals(min_value="0.01", max_value="10000000", places=2)
shares = st.decimals(min_value="0.001", max_value="1", places=3)
bars = st.lists(
    st.tuples(st.floats(90, 100), st.floats(100.001, 110), st.floats(90, 110)), min_size=6, max_size=40
)


def table(rows: list[tuple[float, float, float]]) -> Table:
    """Of low, high, close; an hour each."""
    return np.array([[3600.0 * at, close, high, low, close] for at, (low, high, close) in enumerate(rows)])


def by_range(**given: Any) -> SizingSettings:
    return SizingSettings(method="volatility_adjusted", **{"atr_period": 5, **given})


def amount(of: Alert, rules: SizingSettings, equity: Decimal = Decimal(10_000), **known: Any) -> Decimal:
    rules = sizing.effective_rules(of, rules)
    return sizing.amount_for(of, rules, price=dec(100), equity=equity, **known)


def code(of: Alert, rules: SizingSettings, **known: Any) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        amount(of, rules, **known)
    return caught.value.code, caught.value.detail


@given(bars, money, shares, st.decimals("0.1", "10", places=1), st.integers(1, 5))
def test_volatility_risks_a_share_of_equity_over_some_ranges(
    rows: list[tuple[float, float, float]], equity: Decimal, share: Decimal, times: Decimal, period: int
) -> None:
    ranges = [
        max(Fraction(high) - Fraction(low), *(abs(Fraction(one) - Fraction(before)) for one in (high, low)))
        for (_, _, before), (low, high, _) in pairwise(rows)
    ]
    average = sum(ranges[:period]) / Fraction(period)
    for one in ranges[period:]:
        average = (average * (period - 1) + one) / period
    exact = Fraction(equity) * Fraction(share) / (average * Fraction(times))
    rules = by_range(risk_pct=share, atr_multiplier=times, atr_period=period)
    found = amount(alert(), rules, equity, candles=table(rows))
    assert abs(Fraction(found) - exact) <= exact / 10**12


def test_candles_are_counted_after_their_gaps_are_filled() -> None:
    known = table([(99.0, 101.0, 100.0)] * 6)
    assert amount(alert(), by_range(), candles=known) == 50  # 2 % of 10,000 over twice a range of 2
    known[2, 1:] = np.nan
    assert amount(alert(), by_range(), candles=known) == 50
    told = "5 closed candles of 1h are known, 6 are needed"
    assert code(alert(), by_range(nan="drop"), candles=known) == ("sizing.no_candles", told)


def test_without_candles_or_without_a_range_there_is_no_size() -> None:
    assert code(alert(), by_range())[0] == "sizing.no_candles"
    flat = table([(100.0, 100.0, 100.0)] * 6)
    assert code(alert(), by_range(), candles=flat)[0] == "sizing.no_volatility"


def test_candles_are_asked_for_only_where_they_size() -> None:
    assert sizing.needs_candles(alert(), by_range())
    assert not sizing.needs_candles(alert(), SizingSettings())
    for own in ({"amount": dec(1)}, {"notional": dec(1)}, {"percent": dec(1)}):
        assert not sizing.needs_candles(alert(**own), by_range())
    assert sizing.candle_count(by_range(atr_period=14)) == 156
    assert sizing.candle_count(by_range(atr_period=10**9)) == 1000


# --- target


def to(target: str | int) -> SizingSettings:
    return SizingSettings(method="target_position", target=dec(target))


@pytest.mark.parametrize(
    ("action", "held", "target", "expected"),
    [
        ("buy", "0", "2", "2"),
        ("buy", "0.5", "2", "1.5"),
        ("buy", "-3", "-1", "2"),
        ("buy", "-1", "2", "3"),
        ("sell", "0", "-2", "2"),
        ("sell", "3", "1", "2"),
        ("sell", "3", "0", "3"),
    ],
)
def test_a_target_trades_what_is_missing(action: str, held: str, target: str, expected: str) -> None:
    assert amount(alert(action), to(target), held=dec(held)) == dec(expected)


@pytest.mark.parametrize(
    ("action", "held", "target"),
    [("buy", "2", "2"), ("buy", "3", "2"), ("sell", "1", "2"), ("sell", "0", "0")],
)
def test_a_target_is_never_overshot_and_never_turns_the_alert_round(
    action: str, held: str, target: str
) -> None:
    assert code(alert(action), to(target), held=dec(held))[0] == "sizing.at_target"


def test_a_size_in_the_alert_wins_over_the_target() -> None:
    assert amount(alert(amount=dec(7)), to(2)) == 7
    assert amount(alert(notional=dec(300)), to(2)) == 3
    assert amount(alert(percent=dec(1)), to(2)) == 1


def test_a_target_counts_what_is_pending_and_what_is_the_strategys() -> None:
    resting = order("e", state=State.OPEN, amount=dec(2), filled=dec("0.5"))
    known = view(exposure=exposure({SPOT: dec(1)}, (resting, order("s", Leg.STOP_LOSS))))
    (entry,) = decide(intent(), known, Rules(size=to(5))).orders
    assert entry.amount == dec("2.5")  # 5 less 1 held and 1.5 pending
    (other,) = decide(intent(strategy="t"), known, Rules(size=to(5))).orders
    assert other.amount == 5


def test_a_target_does_not_sell_what_a_resting_buy_may_never_bring() -> None:
    live = order("e", state=State.OPEN, type=OrderType.LIMIT, price=dec(90), amount=dec(2), symbol=SWAP)
    known = view(market(SWAP), exposure=exposure({SWAP: dec(1)}, (live,)), position=dec(1))
    (entry,) = decide(intent("sell"), known, Rules(size=to(0))).orders
    assert entry.amount == 1
    sent = replace(live, state=State.SENDING, type=OrderType.MARKET, price=None)  # but this will be filled
    known = view(market(SWAP), exposure=exposure({SWAP: dec(1)}, (sent,)), position=dec(1))
    (entry,) = decide(intent("sell"), known, Rules(size=to(0))).orders
    assert entry.amount == 3
    close, entry = decide(intent("sell"), known, Rules(size=to(-1))).orders
    assert (close.leg, entry.amount) == (Leg.CLOSE, 1)  # the close ends all that there is by then


def test_a_target_on_the_other_side_is_a_reversal() -> None:
    known = view(market(SWAP), exposure=exposure({SWAP: dec(3)}), position=dec(3))
    close, entry = decide(intent("sell"), known, Rules(size=to(-2))).orders
    assert (close.leg, close.amount, entry.amount) == (Leg.CLOSE, dec(3), dec(2))


# --- of every method

METHODS = [
    SizingSettings(),
    SizingSettings(method="risk_based"),
    SizingSettings(method="kelly"),
    by_range(),
    SizingSettings(method="fixed_amount", amount=dec("1.2345")),
    SizingSettings(method="fixed_notional", notional=dec(777)),
    to("1.23456"),
]
RANGE = table([(98.0, 101.0, 100.0)] * 6)


@given(money, money, st.sampled_from(METHODS))
def test_more_equity_never_trades_less(one: Decimal, other: Decimal, rules: SizingSettings) -> None:
    of = alert(stop_loss=Target(percent=dec(5)))
    small, large = (amount(of, rules, equity, candles=RANGE) for equity in sorted((one, other)))
    assert 0 < small <= large


@given(money, st.decimals("0.0001", "100000", places=4), st.decimals("0.00001", "1", places=5),
       st.decimals("1", "100000", places=2), st.sampled_from(METHODS))  # fmt: skip
def test_an_order_is_a_whole_number_of_steps_never_more_than_asked_and_never_over_a_limit(
    equity: Decimal, price: Decimal, step: Decimal, most: Decimal, rules: SizingSettings
) -> None:
    wish = intent(stop_loss=Target(percent=dec(5)))
    known = view(market(amount_step=step), equity=equity, price=price, candles=RANGE)
    limits = RiskSettings(max_order_notional=most)
    wanted = sizing.amount_for(wish.alert, rules, price=price, equity=equity, candles=RANGE)
    assert wanted.is_finite()
    try:
        entry, *_ = decide(wish, known, Rules(size=rules, limits=limits)).orders
    except Refusal as refused:
        assert refused.code in ("risk.max_order_notional", "order.below_minimum", "alert.number")  # noqa: PT017
        return
    assert Fraction(entry.amount) / Fraction(step) % 1 == 0
    assert wanted - step < entry.amount <= wanted
    assert entry.amount * price <= most
