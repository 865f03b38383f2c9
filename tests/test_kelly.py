"""Kelly's edge from closed trades: against what Wilson's bound is by definition, and never optimistic."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain import kelly, sizing
from fks.domain.errors import Refusal
from fks.domain.orders import Side
from fks.domain.settings import KellySettings, SizingSettings
from fks.domain.trades import RoundTrip
from makers import SPOT, alert, dec

counts = st.integers(1, 2000).flatmap(lambda trades: st.tuples(st.integers(0, trades), st.just(trades)))
results = st.lists(
    st.integers(-999, 3000).map(lambda points: Decimal(points) / 1000), min_size=1, max_size=60
)


def trip(result: Decimal, amount: str = "2") -> RoundTrip:
    """Entered at 100; `result` is its profit as a share of what was entered."""
    return RoundTrip(
        account="paper",
        strategy="",
        symbol=SPOT,
        side=Side.BUY,
        amount=dec(amount),
        entry=dec(100),
        exit=dec(100),
        opened_at=0.0,
        closed_at=1.0,
        realized=result * 100 * dec(amount) + 3,
        fees=dec(3),
        slippage=None,
    )


def estimated(*returns: Decimal | str, least: int = 1) -> Decimal:
    return kelly.estimated([trip(Decimal(one)) for one in returns], KellySettings(min_trades=least))


@given(counts)
def test_the_bound_is_the_least_rate_that_is_within_its_own_deviations(count: tuple[int, int]) -> None:
    wins, trades = count
    low, seen = kelly.lower_bound(wins, trades), Fraction(wins, trades)
    assert 0 <= low <= seen
    away = (seen - Fraction(low)) ** 2
    deviations = Fraction(kelly.Z) ** 2 * Fraction(low) * (1 - Fraction(low)) / trades
    assert abs(away - deviations) <= Fraction(1, 10**12)


def test_more_wins_and_more_trades_leave_less_doubt() -> None:
    assert round(kelly.lower_bound(5, 10), 4) == dec("0.2366")
    assert round(kelly.lower_bound(500, 1000), 4) == dec("0.4691")
    assert kelly.lower_bound(5, 10) < kelly.lower_bound(6, 10) < kelly.lower_bound(60, 100)
    assert kelly.lower_bound(0, 10) == 0


@given(results, st.integers(1, 60))
def test_the_estimate_is_the_edge_at_the_bound_and_shrunk(returns: list[Decimal], least: int) -> None:
    wins, losses = [one for one in returns if one > 0], [-one for one in returns if one < 0]
    try:
        found = estimated(*returns, least=least)
    except Refusal as refused:
        assert refused.code == "sizing.no_estimate"  # noqa: PT017
        assert not losses or len(returns) < least
        return
    if not wins:
        assert found == 0
        return
    count, seen, z = len(returns), len(wins) / len(returns), 1.959963984540054
    centre = seen + z * z / (2 * count)
    low = (centre - z * math.sqrt(seen * (1 - seen) / count + z * z / (4 * count * count))) / (
        1 + z * z / count
    )
    payoff = float(sum(wins)) / len(wins) / (float(sum(losses)) / len(losses))
    exact = (low - (1 - low) / payoff) * count / (count + least)
    assert math.isclose(found, exact, rel_tol=1e-12, abs_tol=1e-12 / min(1.0, payoff))
    plain = kelly.edge(Decimal(len(wins)) / count, Decimal(payoff))
    assert found <= max(plain, Decimal(0))


def test_a_trades_size_gives_it_no_weight() -> None:
    rules = KellySettings(min_trades=1)
    small, large = ([trip(dec("0.3")), trip(dec("-0.01"), amount)] for amount in ("1", "1000"))
    assert kelly.estimated(small, rules) == kelly.estimated(large, rules) > 0


@pytest.mark.parametrize(
    ("returns", "least", "detail"),
    [
        ((), 1, "kelly: 0 trades are closed, 1 are needed"),
        (("0.1", "-0.1"), 3, "kelly: 2 trades are closed, 3 are needed"),
        (("0.1", "0.2"), 2, "kelly: no trade was lost yet, so the payoff is not known"),
    ],
)
def test_what_cannot_be_estimated_is_refused(returns: tuple[str, ...], least: int, detail: str) -> None:
    with pytest.raises(Refusal, match=detail):
        estimated(*returns, least=least)


def test_the_size_is_a_fraction_of_the_estimated_edge() -> None:
    trips = [trip(dec("0.2"))] * 40 + [trip(dec("-0.1"))] * 20
    own = KellySettings(estimate=True, fraction=dec("0.5"), win_rate=dec(1))
    rules = SizingSettings(method="kelly", kelly=own)
    found = sizing.amount_for(alert(), rules, price=dec(100), equity=dec(10_000), trips=trips)
    assert found == kelly.estimated(trips, own) * 50
    with pytest.raises(Refusal) as caught:  # a coin's luck
        sizing.amount_for(
            alert(), rules, price=dec(100), equity=dec(10_000), trips=trips[:30] + trips[-20:] * 3
        )
    assert caught.value.code == "sizing.no_edge"
    assert sizing.needs_trips(alert(), rules)
    assert not sizing.needs_trips(alert(percent=dec(1)), rules)
    assert not sizing.needs_trips(alert(), SizingSettings(method="kelly"))
