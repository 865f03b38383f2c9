"""The most specific wins, key by key: an alert, its strategy, its account, the whole file."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields

from config_cases import errors, no_usual_places, read  # noqa: F401 - a fixture
from fakes import FakeVenue
from fks.domain.reload import changes
from fks.domain.retention import rules
from fks.domain.settings import (
    KellyChanges,
    KellySettings,
    Limits,
    RiskSettings,
    Settings,
    SizingChanges,
    SizingSettings,
)
from fks.domain.sizing import effective_rules, laid_over
from fks.venues.outlook import Outlook
from makers import alert, dec

LAYERS = """
default_exchange = "paper"
[sizing]
method = "risk_based"
risk_pct = 0.01
notional = 100.0
kelly = { win_rate = 0.4, payoff = 3.0, fraction = 0.2 }
[risk]
max_order_notional = 1000.0
max_daily_loss = 50.0
[risk.symbols."BTC/USDT"]
max_open_orders = 2
max_order_notional = 500.0
[risk.symbols."ETH/USDT"]
max_open_orders = 1
[exchanges.paper]
[exchanges.alice]
type = "paper"
leverage = 3
[exchanges.alice.sizing]
risk_pct = 0.005
kelly = { fraction = 0.1 }
[exchanges.alice.risk]
max_order_notional = 0
max_open_orders = 4
[exchanges.alice.risk.symbols."BTC/USDT"]
max_order_notional = 700.0
[exchanges.alice.risk.symbols."XRP/USDT"]
max_open_orders = 9
[strategies.trend.sizing]
method = "fixed_notional"
"""


class _Account:
    """As much of one as an outlook's rules need."""

    def __init__(self, name: str) -> None:
        self.name, self.venue = name, FakeVenue()


def outlook(settings: Settings, account: str) -> Outlook:
    return Outlook.of(_Account(account), settings, None)  # type: ignore[arg-type]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read(tmp_path, LAYERS).settings


def test_sizes_are_laid_over_each_other_key_by_key(settings: Settings) -> None:
    def size(account: str, **of: Any) -> SizingSettings:
        told = alert(**of)
        return effective_rules(told, outlook(settings, account).rules(told).size)

    whole = size("paper")
    assert (whole.method, whole.risk_pct, whole.kelly.fraction) == ("risk_based", dec("0.01"), dec("0.2"))
    alice = size("alice")
    assert (alice.method, alice.risk_pct) == ("risk_based", dec("0.005"))
    kelly = (alice.kelly.win_rate, alice.kelly.payoff, alice.kelly.fraction)
    assert kelly == (dec("0.4"), dec(3), dec("0.1"))
    trend = size("alice", strategy="trend")
    assert (trend.method, trend.notional, trend.risk_pct) == ("fixed_notional", dec(100), dec("0.005"))
    own = size("alice", strategy="trend", sizing={"notional": 7, "kelly": {"payoff": "2"}})
    assert (own.method, own.notional, own.kelly.payoff, own.kelly.fraction) == (
        "fixed_notional", 7, 2, dec("0.1"),
    )  # fmt: skip


def test_an_accounts_limits_keep_those_that_it_does_not_name(settings: Settings) -> None:
    alice, paper = (outlook(settings, name).limits for name in ("alice", "paper"))
    assert paper == settings.risk
    assert (alice.max_order_notional, alice.max_open_orders, alice.max_daily_loss) == (0, 4, 50)
    assert alice.symbols == {
        "BTC/USDT": Limits(max_open_orders=2, max_order_notional=dec(700)),
        "ETH/USDT": Limits(max_open_orders=1),
        "XRP/USDT": Limits(max_open_orders=9),
    }
    assert outlook(settings, "alice").rules(alert()).leverage == 3


def test_what_may_change_is_all_there_is() -> None:
    for whole, over in ((SizingSettings, SizingChanges), (KellySettings, KellyChanges)):
        assert [one.name for one in fields(over)] == [one.name for one in fields(whole)]
        assert {one.default for one in fields(over)} == {None}
    assert laid_over(SizingSettings(), SizingChanges()) == SizingSettings()


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        (
            'sizing = { method = "fixed_amount" }',
            ["exchanges.paper.sizing.amount: must be above 0 for the method fixed_amount (set it)"],
        ),
        (
            "sizing = { pct = 5 }",
            ["exchanges.paper.sizing.pct: must be between 0 and 1 (a share of 1, not percent: 0.05 is 5 %)"],
        ),
        (
            "risk = { hous = [] }",
            ["exchanges.paper.risk.hous: unknown key (did you mean exchanges.paper.risk.hours?)"],
        ),
        (
            'risk.symbols."BTC/USDT" = { max_leverage = -1 }',
            ['exchanges.paper.risk.symbols."BTC/USDT".max_leverage: must be at least 0 (raise it)'],
        ),
        (
            "risk = 5",
            ["exchanges.paper.risk: must be a table (write [exchanges.paper.risk] or { key = value })"],
        ),
        ("leverage = -1", ["exchanges.paper.leverage: must be at least 0 (raise it)"]),
    ],
)
def test_mistakes_are_told_where_they_are(tmp_path: Path, text: str, mistakes: list[str]) -> None:
    assert errors(tmp_path, f"[exchanges.paper]\n{text}") == mistakes


def test_a_strategys_method_may_find_its_number_in_its_account(tmp_path: Path) -> None:
    strategy = '[strategies.x]\nsizing.method = "fixed_amount"\n'
    own = "[exchanges.paper]\nsizing.amount = 0.1\n"
    assert read(tmp_path, own + strategy).settings.strategies["x"].sizing
    other = "default_exchange = 'paper'\n" + own + "[exchanges.binance]\n"
    told = "strategies.x.sizing.amount: must be above 0 for the method fixed_amount (set it)"
    assert errors(tmp_path, other + strategy) == [told]


def test_the_whole_file_s_limits_are_those_of_every_account(settings: Settings) -> None:
    assert settings.exchanges["paper"].risk is None
    assert RiskSettings().max_price_deviation == Decimal("0.05")


def test_the_journal_keeps_what_any_accounts_limits_and_sizes_rest_on(tmp_path: Path) -> None:
    for text, newest in (
        ("risk.max_consecutive_losses = 4", 4),
        ("sizing.kelly.estimate = true", 1000),
        ("sizing.kelly.fraction = 0.1", 0),
    ):
        found = rules(read(tmp_path, f"[exchanges.paper]\n{text}").settings)
        assert found is not None
        assert found.newest == newest


def test_a_reload_takes_no_account_down_for_its_limits(tmp_path: Path) -> None:
    before, after = (
        read(
            tmp_path, f"[exchanges.paper]\nleverage = {leverage}\nrisk.max_open_orders = {leverage}"
        ).settings
        for leverage in (1, 2)
    )
    found = changes(before, after)
    assert found.anew == ()
    assert set(found.at_once) == {"exchanges.paper.leverage", "exchanges.paper.risk.max_open_orders"}
