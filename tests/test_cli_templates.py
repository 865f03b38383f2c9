"""From nothing to a working alert: template, lint, send, in every format."""

import json
import re
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from cli_cases import SECRET, fixture_daemon, fixture_invoke, free_address  # noqa: F401 - fixtures
from cli_daemon import Daemon
from fks.cli import main
from fks.cli.messages import NAMES, text
from fks.cli.pine import script
from fks.cli.samples import filled
from fks.domain import dialects
from fks.domain.gate import GateRules
from fks.domain.messages import NewAlert
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings, Settings, WebhookSecret, WebhookSettings
from makers import admit, dec

PAPER = Settings(exchanges={"paper": AccountSettings(type="paper", prices={"BTC/USDT": dec(50000)})})
ODD = "quo\"te\\and'more"


def admitted(body: bytes, now: float, secret: str = SECRET) -> NewAlert:
    secrets = (WebhookSecret(secret=Secret(secret), name="tv"),)
    rules = GateRules(secrets, WebhookSettings(), frozenset({"paper"}), "paper")
    return admit({}, body, rules, lambda _account: None, now)


def test_there_is_a_message_of_every_format() -> None:
    assert sorted(NAMES) == sorted(dialects.NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_message_is_an_authentic_alert_once_its_placeholders_are_filled(name: str) -> None:
    import time

    body, used = filled(text(name, PAPER, SECRET).encode(), PAPER)
    new = admitted(body, time.time())
    assert used
    assert new.source == "tv"
    assert new.accounts == ("paper",)
    assert (new.alert.symbol.rpartition(":")[2], new.alert.action) == ("BTCUSDT", "buy")
    assert new.body.get("dialect", "native") == name


def test_an_unknown_placeholder_stays_and_is_refused() -> None:
    body, used = filled(b'{"symbol": "{{ticker}}", "note": "{{moon}}"}', PAPER)
    assert body == b'{"symbol": "BTCUSDT", "note": "{{moon}}"}'
    assert used == ["{{ticker}} = BTCUSDT"]


@pytest.mark.parametrize("secret", [SECRET, ODD])
@pytest.mark.parametrize("more", ["", ', "percent": 5, "stop_loss": {"percent": 2}'])
def test_what_the_pine_script_sends_is_an_authentic_alert(secret: str, more: str) -> None:
    found = re.search(r"string MESSAGE = '(.*)'\n", script(PAPER, secret))
    assert found
    message = re.sub(r"\\(.)", r"\1", found[1])  # as Pine reads a string
    for name, value in {
        "symbol": "BTCUSDT", "action": "buy", "id": "BTCUSDT 60 1762511400000 buy",
        "time": "2025-11-07T10:30:00Z", "price": "50000.5",
    }.items():  # fmt: skip
        message = message.replace(f"%{name}%", value)
    new = admitted((message + more + "}").encode(), 1762511400.0, secret)
    assert new.key.startswith("id:")
    assert "%" not in json.dumps(new.body, default=str)


def test_pine_is_version_6_and_native(invoke: Callable[..., Result]) -> None:
    result = invoke("template", "--pine")
    assert result.stdout.startswith("//@version=6\n")
    assert SECRET in result.stdout
    assert "alert() function calls only" in result.stderr
    assert invoke("template", "--pine", "--dialect", "okx").exit_code == 64


@pytest.mark.parametrize("name", ["traderspost", "octobot"])
def test_template_prints_the_message_alone(invoke: Callable[..., Result], name: str) -> None:
    result = invoke("template", "--dialect", name)
    assert result.stdout == text(name, PAPER, SECRET) + "\n"
    assert f"fks template --dialect {name} | fks lint" in result.stderr


# --- lint


def test_lint_without_a_daemon_says_what_the_configuration_can_tell(invoke: Callable[..., Result]) -> None:
    address = free_address()
    told = invoke("template", "--dialect", "traderspost").stdout
    result = CliRunner(env={"FKS_ADMIN_URL": f"http://{address}", "FKS_WEBHOOK_SECRET": SECRET}).invoke(
        main, ["lint", "-"], input=told, prog_name="fks"
    )
    assert result.exit_code == 0, result.output
    for part in (
        "It would be accepted.",
        "dialect: traderspost",
        "buys BTCUSDT, at market",
        "does not answer",
    ):
        assert part in result.stdout
    assert "{{ticker}} = BTCUSDT" in result.stderr


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ('{"ticker": "X", "action": "buy", "cancel": true}', "(field: cancel)"),
        ("1234,buy,BTCUSD,risk=1", "vol_lots"),
        ('{"symbol": "X", "action": "buy", "price": NaN}', "NaN is not a number"),
        ('{"symbol": "X", "action": "{{strategy.order.actoin}}"}', "did you mean"),
        ("buy!", "fks template"),
    ],
)
def test_lint_says_why_not(message: str, told: str) -> None:
    env = {"FKS_ADMIN_URL": f"http://{free_address()}", "FKS_WEBHOOK_SECRET": SECRET}
    result = CliRunner(env=env).invoke(main, ["lint", "-"], input=message, prog_name="fks")
    assert result.exit_code == 1
    assert "It would be refused." in result.stdout
    assert told in result.stdout


def test_lint_tells_a_wrong_secret_and_a_missing_one() -> None:
    env = {"FKS_ADMIN_URL": f"http://{free_address()}", "FKS_WEBHOOK_SECRET": SECRET}
    message = {"symbol": "BTC/USDT", "action": "buy", "confidence": 1, "timestamp": "{{timenow}}"}
    for extra, code, told in (
        ({"secret": "guess"}, 1, "401"),
        ({}, 0, "X-Signature"),
        ({"secret": SECRET}, 0, "valid"),
    ):
        result = CliRunner(env=env).invoke(
            main, ["lint", "-"], input=json.dumps(message | extra), prog_name="fks"
        )
        assert (result.exit_code, told in result.stdout) == (code, True)


# --- send


def test_send_fills_placeholders_in_and_signs_any_format(
    invoke: Callable[..., Result], daemon: Daemon
) -> None:
    daemon.replies["POST", "/webhook/tradingview"] = 200, {"status": "success"}
    result = invoke("send", "-", stdin=invoke("template", "--dialect", "octobot").stdout)
    assert result.exit_code == 0, result.output
    *_, headers, body = daemon.requests[-1]
    assert headers["content-type"] == "text/plain"
    assert b"SYMBOL=BTCUSDT\nSIGNAL=buy" in body
    assert "{{ticker}} = BTCUSDT" in result.stderr


def test_send_never_makes_up_an_order_where_money_is_real(tmp_path: object) -> None:
    from pathlib import Path

    config = Path(str(tmp_path)) / "fks.toml"
    config.write_text('[exchanges.binance]\napi_key = "k"\napi_secret = "s"\n[exchanges.paper]\n')
    result = CliRunner().invoke(
        main, ["send", "--config", str(config), "-"], input='{"symbol": "{{ticker}}"}', prog_name="fks"
    )
    assert result.exit_code == 64
    assert "binance trades real money" in result.stderr
