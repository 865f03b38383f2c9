"""How much: each formula against an independent computation in exact fractions."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fks.domain import sizing
from fks.domain.alerts import Alert, Target
from fks.domain.errors import Refusal
from fks.domain.messages import Balance
from fks.domain.settings import KellySettings, SizingSettings
from makers import alert, dec, market

money = st.decimals(min_value="0.01", max_value="10000000", places=2)
prices = st.decimals(min_value="0.0001", max_value="100000", places=4)
shares = st.decimals(min_value="0.001", max_value="1", places=3)

DEFAULT = SizingSettings()


def amount(
    of: Alert, rules: SizingSettings = DEFAULT, *, price: Any = "100", equity: Any = "10000"
) -> Decimal:
    return sizing.amount_for(
        of,
        sizing.effective_rules(of, rules),
        price=None if price is None else Decimal(price),
        equity=None if equity is None else Decimal(equity),
    )


def code(of: Alert, rules: SizingSettings = DEFAULT, **known: Any) -> str:
    with pytest.raises(Refusal) as caught:
        amount(of, rules, **known)
    return caught.value.code


def near(found: Decimal, exact: Fraction) -> bool:
    """Within what 28 digits can say."""
    return abs(Fraction(found) - exact) <= exact / 10**26


@given(money, prices, shares)
def test_fixed_percentage_is_a_share_of_equity(equity: Decimal, price: Decimal, pct: Decimal) -> None:
    found = amount(alert(), SizingSettings(pct=pct), price=price, equity=equity)
    assert near(found, Fraction(equity) * Fraction(pct) / Fraction(price))


@given(money, prices, shares)
def test_an_alerts_percent_is_of_a_hundred(equity: Decimal, price: Decimal, percent: Decimal) -> None:
    found = amount(alert(percent=percent), SizingSettings(method="kelly"), price=price, equity=equity)
    assert near(found, Fraction(equity) * Fraction(percent) / 100 / Fraction(price))


def test_five_percent_of_ten_thousand_at_one_hundred_are_five() -> None:
    assert amount(alert(percent=dec(5))) == amount(alert()) == 5


@given(money, prices, shares, st.sampled_from(["buy", "sell"]))
def test_risk_based_loses_the_risk_at_the_stop(
    equity: Decimal, price: Decimal, risk: Decimal, action: str
) -> None:
    stop = price / 2 if action == "buy" else price * 2
    rules = SizingSettings(method="risk_based", risk_pct=risk)
    found = amount(alert(action, stop_loss=Target(price=stop)), rules, price=price, equity=equity)
    assert near(found, Fraction(equity) * Fraction(risk) / abs(Fraction(price) - Fraction(stop)))


def test_risk_based_takes_its_stop_in_any_form() -> None:
    rules = SizingSettings(method="risk_based")
    for stop in (Target(price=dec(96)), Target(percent=dec(4)), Target(offset=dec(4))):
        assert amount(alert(stop_loss=stop), rules) == 50  # 2 % of 10,000 over 4


def test_risk_based_without_a_stop_is_refused() -> None:
    assert code(alert(), SizingSettings(method="risk_based")) == "sizing.no_stop"


@given(money, prices, shares, st.decimals(min_value="0.5", max_value="5", places=2), shares)
def test_kelly_is_a_fraction_of_the_edge(
    equity: Decimal, price: Decimal, win: Decimal, payoff: Decimal, fraction: Decimal
) -> None:
    rules = SizingSettings(
        method="kelly", kelly=KellySettings(win_rate=win, payoff=payoff, fraction=fraction)
    )
    edge = Fraction(win) - (1 - Fraction(win)) / Fraction(payoff)
    if edge <= 0:
        assert code(alert(), rules, price=price, equity=equity) == "sizing.no_edge"
        return
    exact = Fraction(equity) * Fraction(fraction) * edge / Fraction(price)
    found = amount(alert(), rules, price=price, equity=equity)
    assert abs(Fraction(found) - exact) <= Fraction(equity) / Fraction(price) / 10**26


def test_kelly_of_a_fair_coin_at_even_odds_is_nothing() -> None:
    fair = KellySettings(win_rate=dec("0.5"), payoff=dec(1))
    assert code(alert(), SizingSettings(method="kelly", kelly=fair)) == "sizing.no_edge"


def test_fixed_amount_and_fixed_notional() -> None:
    assert amount(alert(), SizingSettings(method="fixed_amount", amount=dec("0.3")), equity=None) == dec(
        "0.3"
    )
    fixed = SizingSettings(method="fixed_notional", notional=dec(50))
    assert amount(alert(), fixed, equity=None) == dec("0.5")
    for method in ("fixed_amount", "fixed_notional"):
        assert code(alert(sizing={"method": method})) == "sizing.not_configured"


def test_the_alerts_own_amount_needs_to_know_nothing() -> None:
    assert amount(alert(amount=dec(7)), price=None, equity=None) == 7
    assert amount(alert(notional=dec(50)), equity=None) == dec("0.5")


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"price": None}, "sizing.no_price"),
        ({"price": 0}, "sizing.no_price"),
        ({"equity": None}, "sizing.no_equity"),
        ({"equity": 0}, "sizing.no_equity"),
        ({"equity": -5}, "sizing.no_equity"),
    ],
)
def test_what_is_not_known_is_not_guessed(known: dict[str, Any], expected: str) -> None:
    assert code(alert(), **known) == expected


SIZED = [
    SizingSettings(),
    SizingSettings(method="risk_based"),
    SizingSettings(method="kelly"),
]


@given(money, money, prices, st.sampled_from(SIZED))
def test_more_equity_never_trades_less(
    one: Decimal, other: Decimal, price: Decimal, rules: SizingSettings
) -> None:
    stopped = alert(stop_loss=Target(percent=dec(5)))
    small, large = (amount(stopped, rules, price=price, equity=equity) for equity in sorted((one, other)))
    assert 0 < small <= large


def test_equity_is_asked_for_only_when_it_is_needed() -> None:
    assert sizing.needs_equity(alert(), DEFAULT)
    assert sizing.needs_equity(alert(percent=dec(1)), SizingSettings(method="fixed_amount"))
    assert not sizing.needs_equity(alert(amount=dec(1)), DEFAULT)
    assert not sizing.needs_equity(alert(notional=dec(1)), DEFAULT)
    assert not sizing.needs_equity(alert(), SizingSettings(method="fixed_notional"))


# --- the alert's own rules


def test_an_alerts_sizing_overrides_the_configured_one() -> None:
    assert amount(alert(sizing={"pct": "0.1"})) == 10
    assert amount(alert(sizing={"method": "fixed_amount", "amount": 3})) == 3
    kelly = {"win_rate": "0.6", "payoff": 1, "fraction": dec("0.5")}
    assert amount(alert(sizing={"method": "kelly", "kelly": kelly})) == 10  # 0.5 * (0.6 - 0.4) of 10,000


@pytest.mark.parametrize(
    "given",
    [
        {"pct": 1.5},
        {"pct": -0.1},
        {"pct": "NaN"},
        {"pct": True},
        {"risk_pct": 2},
        {"method": "martingale"},
        {"method": 5},
        {"leverage": 5},
        {"nan": "guess"},
        {"atr_timeframe": "1M"},
        {"atr_timeframe": "99999h"},
        {"target": "NaN"},
        {"atr_period": 0},
        {"atr_period": 1.5},
        {"atr_multiplier": 0},
        {"kelly": 5},
        {"kelly": {"payoff": 0}},
        {"kelly": {"estimate": 1}},
        {"kelly": {"min_trades": 0}},
        {"kelly": {"min_trades": 1.5}},
        {"kelly": {"payoff": -1}},
        {"kelly": {"payoff": "NaN"}},
        {"kelly": {"payoff": "1_000"}},
        {"kelly": {"win_rate": 2}},
        {"kelly": {"fraction": 100}},
        {"kelly": {"fraction": -1}},
        {"kelly": {"edge": 1}},
    ],
)
def test_no_other_rules_are_taken(given: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        sizing.effective_rules(alert(sizing=given), DEFAULT)
    assert caught.value.field == "sizing"


values = st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=6)


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from([*SizingSettings.__struct_fields__, "x"]),
        values | st.dictionaries(st.sampled_from(KellySettings.__struct_fields__), values, max_size=3),
        max_size=4,
    ),
    st.sampled_from(SizingSettings.__annotations__["method"].__args__),
)
def test_no_rules_of_an_alert_crash_or_size_nonsense(given: dict[str, Any], method: str) -> None:
    try:
        found = amount(alert(sizing={"method": method, **given}))
    except Refusal:
        return
    assert found.is_finite()
    assert found >= 0
    if given.get("method", method) not in ("fixed_amount", "fixed_notional", "target_position"):
        assert found * 100 <= 10_000  # without a stop, never more than all of the equity


def test_rules_survive_the_ledger() -> None:
    """An alert is written down as JSON between its check and its decision."""
    given = alert(
        sizing={"method": "kelly", "kelly": {"win_rate": dec("0.60"), "payoff": dec(1)}, "pct": "0.1"}
    )
    text = msgspec.json.Encoder(decimal_format="number").encode(given)
    again = msgspec.json.Decoder(Alert, float_hook=Decimal).decode(text)
    assert sizing.effective_rules(again, DEFAULT) == sizing.effective_rules(given, DEFAULT)


# --- equity, targets, minimum


def test_equity_is_cash_plus_holdings_at_the_last_price() -> None:
    balance = Balance(free={}, total={"USDT": dec(100), "BTC": dec("0.5"), "DUST": dec(9)})
    assert sizing.equity(balance, "USDT", {"BTC": dec(1000), "ETH": dec(5)}) == 600
    assert sizing.equity(balance, "EUR", {}) == 0


@pytest.mark.parametrize(
    ("target", "buy_profit", "buy_stop"),
    [
        (Target(percent=dec(2)), "102", "98"),
        (Target(offset=dec(7)), "107", "93"),
    ],
)
def test_targets_lie_on_their_own_side_of_the_entry(target: Target, buy_profit: str, buy_stop: str) -> None:
    entry = dec(100)
    assert sizing.target_price(target, entry, profit=True, buying=True) == dec(buy_profit)
    assert sizing.target_price(target, entry, profit=False, buying=True) == dec(buy_stop)
    assert sizing.target_price(target, entry, profit=True, buying=False) == dec(buy_stop)
    assert sizing.target_price(target, entry, profit=False, buying=False) == dec(buy_profit)


@pytest.mark.parametrize("profit", [True, False])
@pytest.mark.parametrize("buying", [True, False])
def test_an_absolute_target_on_the_wrong_side_is_refused(*, profit: bool, buying: bool) -> None:
    above = profit == buying
    good, bad = (dec(101), dec(99)) if above else (dec(99), dec(101))
    assert sizing.target_price(Target(price=good), dec(100), profit=profit, buying=buying) == good
    for price in (bad, dec(100)):
        with pytest.raises(Refusal) as caught:
            sizing.target_price(Target(price=price), dec(100), profit=profit, buying=buying)
        assert caught.value.field == ("take_profit" if profit else "stop_loss")


def test_a_stop_below_zero_is_refused() -> None:
    for target in (Target(percent=dec(100)), Target(offset=dec(101))):
        with pytest.raises(Refusal):
            sizing.target_price(target, dec(100), profit=False, buying=True)


def test_the_minimum_is_the_stricter_of_amount_and_notional() -> None:
    both = market(min_amount=dec("0.01"), min_notional=dec(5))
    assert sizing.minimum(both, dec(100)) == dec("0.05")
    assert sizing.minimum(both, dec(5000)) == dec("0.01")
    assert sizing.minimum(both, None) == dec("0.01")
    assert sizing.minimum(market(), dec(100)) == 0
