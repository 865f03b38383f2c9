"""Who may trade what, as configured: secrets with names, ends and scopes; strategies; their mistakes."""

import re
from pathlib import Path

import pytest

from config_cases import CANARY, errors, no_usual_places, read  # noqa: F401 - a fixture
from fks.domain.money import ZERO
from fks.infra.config_senders import secret_warnings

TREND = """
[exchanges.paper]
[exchanges.binance]
[strategies.trend]
exchanges = ["paper"]
secret = "the-trend-has-its-own"
on_drift = "follow"
sizing = { method = "fixed_notional", notional = 250 }
risk = { max_open_orders = 2 }
"""


def test_secrets_are_texts_or_tables(tmp_path: Path) -> None:
    text = f"""default_exchange = "paper"
[webhook]
secrets = [
  "{CANARY}-1",
  {{ secret = "{CANARY}-2", name = "tv", expires = 2026-12-31, accounts = ["paper"], strategies = ["trend"]}},
  {{ secret = "{CANARY}-3", expires = 2026-12-31T01:00:00+01:00 }},
]
{TREND}"""
    settings = read(tmp_path, text).settings
    first, tv, third = settings.webhook.secrets
    assert CANARY not in repr(settings)
    assert (first.name, first.expires, first.accounts, first.strategies) == ("secret-1", None, (), ())
    assert (tv.name, tv.accounts, tv.strategies) == ("tv", ("paper",), ("trend",))
    assert tv.expires == 1_798_761_600  # 2027-01-01: a date is valid through its day
    assert (third.name, third.expires) == ("secret-3", 1_798_675_200)
    trend = settings.strategies["trend"]
    assert (trend.exchanges, trend.on_drift, trend.risk.max_open_orders) == (("paper",), "follow", 2)
    assert trend.risk.max_order_notional == ZERO
    assert trend.sizing is not None
    assert trend.sizing.notional == 250


@pytest.mark.parametrize(
    ("hook", "mistakes"),
    [
        ('[{ name = "a" }]', ["webhook.secrets[0].secret: is missing (set it)"]),
        ('[{ secret = "" }]', ["webhook.secrets[0].secret: is empty (write a value or remove the key)"]),
        (
            '[{ secret = "x", expires = "soon" }]',
            ["webhook.secrets[0].expires: must be a date or time (write 2026-12-31 or 2026-12-31T12:00:00Z)"],
        ),
        (
            '[{ secret = "x", accounts = ["papre"], strategies = ["trned"] }]',
            [
                "webhook.secrets[0].accounts[0]: names an account that there is not (did you mean paper?)",
                "webhook.secrets[0].strategies[0]: names a strategy that there is not (did you mean trend?)",
            ],
        ),
        (
            '[{ secret = "x", accounts = ["binance"], strategies = ["trend"] }]',
            [
                "webhook.secrets[0].accounts: holds none of the accounts of the strategy trend "
                "(add one of paper)",
            ],
        ),
        (
            '["x", { secret = "x", name = "b" }, { secret = "y", name = "b" }]',
            [
                "webhook.secrets[1]: is the same secret as webhook.secrets[0] (give each its own)",
                "webhook.secrets[2]: has the same name as webhook.secrets[1] (name one of them anew)",
            ],
        ),
        (
            '["the-trend-has-its-own"]',
            ["strategies.trend.secret: is the same secret as webhook.secrets[0] (give each its own)"],
        ),
        (
            '[{ secret = "x", acounts = [] }]',
            ["webhook.secrets[0].acounts: unknown key (did you mean webhook.secrets[0].accounts?)"],
        ),
    ],
)
def test_mistakes_of_secrets(tmp_path: Path, hook: str, mistakes: list[str]) -> None:
    assert errors(tmp_path, f'default_exchange = "paper"\n[webhook]\nsecrets = {hook}\n{TREND}') == mistakes


@pytest.mark.parametrize(
    ("strategy", "mistakes"),
    [
        (
            'exchanges = ["papre"]',
            ["strategies.x.exchanges[0]: names an account that there is not (did you mean paper?)"],
        ),
        (
            'on_drift = "folow"',
            ["strategies.x.on_drift: must be one of alarm, follow, refuse (did you mean follow?)"],
        ),
        (
            'sizing.method = "fixed_amount"',
            ["strategies.x.sizing.amount: must be above 0 for the method fixed_amount (set it)"],
        ),
        ("risk.max_open_orders = -1", ["strategies.x.risk.max_open_orders: must be at least 0 (raise it)"]),
        ('secret = ""', ["strategies.x.secret: is empty (write a value or remove the key)"]),
    ],
)
def test_mistakes_of_strategies(tmp_path: Path, strategy: str, mistakes: list[str]) -> None:
    assert errors(tmp_path, f"[exchanges.paper]\n[strategies.x]\n{strategy}") == mistakes


def test_expired_and_soon_expiring_secrets_are_warned_of_by_name(tmp_path: Path) -> None:
    text = f'webhook.secrets = [{{ secret = "{CANARY}-of-many-letters", name = "tv", expires = 2040-12-31 }}]'
    loaded = read(tmp_path, text)
    (end,) = (one.expires for one in loaded.settings.webhook.secrets)
    assert end is not None
    assert loaded.warnings == ()
    assert secret_warnings(loaded.settings, end - 15 * 86_400) == []
    (soon,) = secret_warnings(loaded.settings, end - 3 * 86_400)
    assert re.fullmatch(r"webhook\.secrets\[0\]: tv expires at 2041-01-01 00:00.*, in 3 days \(.*\)", soon)
    (over,) = secret_warnings(loaded.settings, end)
    assert "tv expired at" in over
