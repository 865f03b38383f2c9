"""What a new configuration changes in a running daemon, and when."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fks.domain.reload import AT_START, Changes, changes, effective
from fks.domain.secret import Secret
from fks.domain.settings import (
    AccountSettings,
    AuditSettings,
    LogSettings,
    RiskSettings,
    ServerSettings,
    Settings,
    WebhookSecret,
    WebhookSettings,
)

README = Path(__file__).parents[1] / "README.md"
PAPER = AccountSettings(type="paper")
LIVE = AccountSettings(type="binance", api_key=Secret("k"), api_secret=Secret("s"))
NOW = Settings(exchanges={"paper": PAPER, "live": LIVE})


def new(**fields: Any) -> Settings:
    return replace(NOW, **fields)


def secrets(*values: str) -> tuple[WebhookSecret, ...]:
    return tuple(WebhookSecret(secret=Secret(value)) for value in values)


def test_the_same_file_changes_nothing() -> None:
    assert changes(NOW, new()) == Changes()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (new(risk=RiskSettings(max_daily_loss=Decimal(5))), "risk.max_daily_loss"),
        (new(webhook=WebhookSettings(secrets=secrets("a"))), "webhook.secrets"),
        (new(webhook=WebhookSettings(allow=())), "webhook.allow"),
        (new(symbols={"XBT": "BTC/USDT"}), "symbols.XBT"),
        (new(log=LogSettings(level="debug")), "log.level"),
        (new(server=ServerSettings(trusted_proxies=("10.0.0.0/8",))), "server.trusted_proxies"),
        (new(server=ServerSettings(drain_s=5.0)), "server.drain_s"),
        (new(default_exchange="live"), "default_exchange"),
    ],
)
def test_what_only_decides_is_swapped_at_once(settings: Settings, key: str) -> None:
    found = changes(NOW, settings)
    assert (found.at_once, found.at_start) == ((key,), ())
    assert effective(NOW, settings) == settings


@pytest.mark.parametrize(
    "settings",
    [
        new(server=ServerSettings(listen=("127.0.0.1:1",))),
        new(server=ServerSettings(admin_token=Secret("another"))),
        new(audit=AuditSettings(path="other.jsonl")),
        new(log=LogSettings(format="json")),
    ],
)
def test_what_is_open_waits_for_the_next_start_and_is_told_again(settings: Settings) -> None:
    found = changes(NOW, settings)
    assert len(found.at_start) == 1
    assert set(found.at_start) <= set(AT_START)
    assert found.at_once == ()
    assert effective(NOW, settings) == NOW
    assert changes(effective(NOW, settings), settings) == found


def test_accounts_come_go_and_are_taken_up_anew() -> None:
    other_key = replace(LIVE, api_key=Secret("other"))
    assert changes(NOW, new(exchanges={"paper": PAPER, "live": other_key})).anew == ("live",)
    assert changes(NOW, new(exchanges={"paper": PAPER})).removed == ("live",)
    assert changes(NOW, new(exchanges={**NOW.exchanges, "more": PAPER})).added == ("more",)


def test_only_accounts_that_are_made_of_it_are_taken_up_anew() -> None:
    assert changes(NOW, new(timeout=5.0)).anew == ("live",)
    assert changes(NOW, new(symbols={"XBT": "BTC/USDT"})).anew == ("paper",)  # trades what is named there
    assert changes(NOW, new(risk=RiskSettings(max_open_orders=1))).anew == ()


def test_no_secret_is_in_what_is_told() -> None:
    told = repr(changes(NOW, new(webhook=WebhookSettings(secrets=secrets("canary-1", "canary-2")))))
    assert "canary" not in told


def test_every_key_that_waits_is_a_setting() -> None:
    for key in AT_START:
        section, _, name = key.partition(".")
        assert hasattr(getattr(NOW, section), name)


def test_the_readme_names_what_waits_for_a_start() -> None:
    table = README.read_text().partition("<!-- reload -->")[2].partition("<!-- /reload -->")[0]
    (row,) = (line for line in table.splitlines() if line.endswith("| at the next start |"))
    assert row == "| " + ", ".join(f"`{key}`" for key in AT_START) + " | at the next start |"
