"""The commands that send, check and prepare alerts."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from click.testing import CliRunner, Result

from cli_cases import SECRET, fixture_daemon, fixture_invoke, free_address  # noqa: F401 - fixtures
from cli_daemon import Daemon
from fks.cli import main
from fks.cli.messages import native
from fks.cli.send import dated
from fks.domain.alerts import parse_json
from fks.domain.auth import authenticate
from fks.domain.gate import GateRules, identify, validate
from fks.domain.secret import Secret
from fks.domain.settings import Settings, WebhookSecret, WebhookSettings


def test_sent_alert_is_signed_dated_and_otherwise_unchanged(
    invoke: Callable[..., Result], daemon: Daemon
) -> None:
    daemon.replies["POST", "/webhook/tradingview"] = 200, {"status": "success", "alert_id": "a1"}
    result = invoke(
        "send", "-", stdin='{"symbol": "BTC/USDT", "action": "buy", "amount": 0.10000000000000000001}'
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["alert_id"] == "a1"
    *_, headers, body = daemon.requests[0]
    assert authenticate(headers, body, None, [WebhookSecret(secret=Secret(SECRET), name="tv")], 0.0)
    alert = parse_json(body)
    assert alert.pop("timestamp").endswith("Z")
    assert alert == {"symbol": "BTC/USDT", "action": "buy", "amount": Decimal("0.10000000000000000001")}


def test_an_alert_with_a_time_is_sent_byte_for_byte() -> None:
    body = b' {"timestamp" : "2025-11-07T10:30:00Z"}\n'
    assert dated(body) == body


def test_refused_alert_exits_1_with_detail_and_field(invoke: Callable[..., Result], daemon: Daemon) -> None:
    problem = {"title": "Bad Request", "detail": "the alert is 900 s old", "field": "timestamp"}
    daemon.replies["POST", "/webhook/tradingview"] = 400, problem
    result = invoke("send")
    assert result.exit_code == 1
    assert "400: the alert is 900 s old (field: timestamp)" in result.stderr


def test_lost_reply_is_told_not_resent(invoke: Callable[..., Result], daemon: Daemon) -> None:
    daemon.replies["POST", "/webhook/tradingview"] = 0, None
    result = invoke("send")
    assert result.exit_code == 69
    assert "may have been accepted" in result.stderr
    assert len(daemon.requests) == 1


def test_a_door_that_is_none_is_told(invoke: Callable[..., Result], daemon: Daemon) -> None:
    daemon.replies["POST", "/webhook/tradingview"] = 200, b"<html>It works!"
    result = invoke("send")
    assert result.exit_code == 1
    assert "not JSON" in result.stderr


def test_nobody_at_the_door_exits_69(invoke: Callable[..., Result]) -> None:
    result = invoke("send", "--url", f"http://{free_address()}", "-", stdin='{"symbol": "X"}')
    assert result.exit_code == 69
    assert "nothing listens" in result.stderr


def test_the_example_never_trades_real_money(tmp_path: Path) -> None:
    config = tmp_path / "fks.toml"
    config.write_text('[exchanges.binance]\napi_key = "k"\napi_secret = "s"\n')
    result = CliRunner().invoke(main, ["send", "--config", str(config)])
    assert result.exit_code == 64
    assert "real money" in result.stderr


def test_what_is_no_json_is_not_sent(invoke: Callable[..., Result], daemon: Daemon) -> None:
    assert invoke("send", "-", stdin="buy!").exit_code == 64
    assert not daemon.requests


def test_lint_prints_orders_and_refusals_and_exits_1_on_refusal(
    invoke: Callable[..., Result], daemon: Daemon
) -> None:
    plan = {"leg": "entry", "symbol": "BTC/USDT", "amount": "0.1"}
    refusal = {"code": "risk.halted", "detail": "trading is halted"}
    accepted = {"accepted": True, "accounts": [{"account": "paper", "orders": [plan]}]}
    refused = {"accepted": False, "accounts": [{"account": "paper", "refusal": refusal}]}
    daemon.replies["POST", "/v1/lint"] = [(200, accepted), (200, refused), (200, refused)]
    result = invoke("lint", stdin="{}")
    assert result.exit_code == 0
    assert result.stdout.split()[-3:] == ["BTC/USDT", "entry", "0.1"]
    result = invoke("lint", stdin="{}")
    assert result.exit_code == 1
    assert "      detail: trading is halted\n" in result.stdout
    result = invoke("lint", "--json", stdin="{}")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == refused


def test_template_filled_in_by_tradingview_is_an_accepted_alert() -> None:
    settings = Settings(default_exchange="binance")
    text = json.dumps(native(settings, SECRET))
    for name, value in {
        "ticker": "BTCUSDT", "strategy.order.action": "buy", "timenow": "2025-11-07T10:30:00Z",
        "close": "50000.5", "strategy.order.id": "Long", "time": "2025-11-07T10:15:00Z",
        "strategy.market_position": "long", "strategy.prev_market_position": "flat",
        "strategy.position_size": "0.5",
    }.items():  # fmt: skip
        text = text.replace("{{" + name + "}}", value)
    known = (WebhookSecret(secret=Secret(SECRET), name="tv"),)
    rules = GateRules(known, WebhookSettings(), frozenset({"binance"}), "binance")
    sender, raw = identify({}, text.encode(), rules.secrets, 0.0)
    alert = validate(raw, sender, rules, lambda _account: None, 1762511400.0)
    assert alert.accounts == ("binance",)
    assert alert.alert.symbol == "BTCUSDT"


def test_template_keeps_the_warning_out_of_what_is_pasted(invoke: Callable[..., Result]) -> None:
    result = invoke("template")
    assert json.loads(result.stdout)["secret"] == SECRET
    assert "secret" in result.stderr
    assert SECRET not in result.stderr
