"""The commands against a stand-in of the daemon: what they ask, what they print, how they exit."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli_daemon import TOKEN, Daemon
from fks.cli import Fks, listings, main, views
from fks.cli.send import dated
from fks.cli.template import message
from fks.domain.alerts import parse_json
from fks.domain.auth import authenticate
from fks.domain.errors import Fatal
from fks.domain.gate import GateRules, identify, validate
from fks.domain.secret import Secret
from fks.domain.settings import Settings, WebhookSettings
from fks.infra.config import ConfigError
from fks.ledger import JournalLocked

SECRET = "webhook-secret"
ORDER = {
    "id": "q1", "alert_id": "a1", "account": "paper", "leg": "entry", "symbol": "BTC/USDT", "side": "buy",
    "type": "market", "amount": "0.01", "price": None, "filled": "0.01", "average": "50010",
    "state": "filled", "reason": None, "created_at": "2025-11-07T10:30:00.123Z",
}  # fmt: skip


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with Daemon() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def invoke(tmp_path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`fks ...` with a configuration that points at the stand-in; secrets as the daemon leaves them."""
    for name in ("FKS_CONFIG", "FKS_ADMIN_URL", "FKS_ADMIN_TOKEN", "FKS_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    (tmp_path / "admin_token").write_text(TOKEN + "\n")
    (tmp_path / "webhook_secret").write_text(SECRET + "\n")
    config = tmp_path / "fks.toml"
    port = daemon.server_address[1]
    # Two spellings of one address: the configuration must name two.
    config.write_text(f'[server]\nlisten = ["127.0.0.1:{port}"]\nadmin = ["0.0.0.0:{port}"]\n')

    def run(*args: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, ["--config", str(config), *args], input=stdin, prog_name="fks")

    return run


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


# --- exit codes


@pytest.mark.parametrize("args", [["--nonsense"], ["nonsense"], ["cancel"], ["tail", "--level", "loud"]])
def test_wrong_call_exits_64(invoke: Callable[..., Result], args: list[str]) -> None:
    result = invoke(*args)
    assert result.exit_code == 64
    assert "Error:" in result.stderr


def failing(error: BaseException) -> Fks:
    @click.command()
    def fail() -> None:
        raise error

    return Fks("fks", params=[click.Option(["--debug"], is_flag=True)], commands=[fail])


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Fatal("the disk is gone"), 70, "Error: the disk is gone\n"),
        (JournalLocked("another daemon holds it"), 77, "Error: another daemon holds it\n"),
        (ConfigError(["a: wrong", "b: wrong"]), 78, "Error:\na: wrong\nb: wrong\n"),
        (ExceptionGroup("x", [OSError("y"), ExceptionGroup("z", [ConfigError(["a: no"])])]), 78, "a: no\n"),
        (ZeroDivisionError("oops"), 70, "ZeroDivisionError: oops"),
        (BrokenPipeError("a socket's"), 70, "BrokenPipeError: a socket's"),
        (KeyboardInterrupt(), 130, ""),
    ],
)  # fmt: skip
def test_an_error_becomes_one_line_and_its_exit_code(error: BaseException, code: int, told: str) -> None:
    result = CliRunner().invoke(failing(error), ["fail"])
    assert result.exit_code == code
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_traceback_only_with_debug() -> None:
    result = CliRunner().invoke(failing(ZeroDivisionError("oops")), ["--debug", "fail"])
    assert "Traceback" in result.stderr
    assert result.exit_code == 70


def test_a_reader_that_leaves_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fks", "tail"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, stderr = process.communicate(b"one line\n" * 1000, timeout=20)
    assert (process.returncode, stderr) == (0, b"")


def test_help_imports_neither_exchanges_nor_the_event_loop() -> None:
    code = "import sys, fks.cli; print({'ccxt', 'trio', 'rich', 'quart', 'numpy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# --- the desk


def test_orders_are_aligned_text_when_piped(invoke: Callable[..., Result], daemon: Daemon) -> None:
    odd = {**ORDER, "id": "q22", "state": "rejected", "reason": "\x1b[2Jboo"}
    daemon.replies["GET", "/v1/orders"] = 200, {"orders": [ORDER, odd], "next": None}
    result = invoke("orders", "--limit", "7")
    assert result.exit_code == 0
    head, first, second = result.stdout.splitlines()
    assert head.split()[:3] == ["TIME", "ORDER", "ACCOUNT"]
    assert first.startswith("2025-11-07T10:30:00Z  q1     paper ")
    assert head.index("STATE") == first.index("filled") == second.index("rejected")
    assert "\x1b" not in second
    assert daemon.requests[0][1] == "/v1/orders?limit=7"


def test_orders_as_json_is_the_desks_document(invoke: Callable[..., Result], daemon: Daemon) -> None:
    document = {"orders": [ORDER], "next": None}
    daemon.replies["GET", "/v1/orders"] = 200, document
    assert json.loads(invoke("orders", "--json").stdout) == document


def test_a_terminal_gets_a_table_without_markup(
    invoke: Callable[..., Result], daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    daemon.replies["GET", "/v1/orders"] = 200, {"orders": [{**ORDER, "reason": "[red]x"}], "next": None}
    result = invoke("orders")
    assert "BTC/USDT" in result.stdout
    assert "[red]x" in result.stdout
    assert "─" in result.stdout


def test_balance_has_a_row_for_each_currency(invoke: Callable[..., Result], daemon: Daemon) -> None:
    amounts = {"BTC": {"free": "0", "total": "0.01"}, "USDT": {"free": "99499.9", "total": "99499.9"}}
    daemon.replies["GET", "/v1/balance"] = 200, {"balances": {"paper": amounts}}
    rows = [line.split() for line in invoke("balance").stdout.splitlines()[1:]]
    assert rows == [["paper", "BTC", "0", "0.01"], ["paper", "USDT", "99499.9", "99499.9"]]


def test_follow_prints_what_changed(
    invoke: Callable[..., Result], daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "RECONNECT_S", 0)
    before, other = {**ORDER, "state": "open"}, {**ORDER, "id": "q2"}
    lists = [[other, before], [other, before], [other, ORDER]]
    daemon.replies["GET", "/v1/orders"] = [(200, {"orders": rows, "next": None}) for rows in lists]
    stream = b": journal events\n\nid: 1\nevent: order_filled\ndata: {}\n\n"
    daemon.replies["GET", "/v1/events"] = [(200, stream), (503, {"title": "Draining"})]
    result = invoke("orders", "--follow", "--json")
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["id"], one["state"]) for one in printed] == [
        ("q1", "open"),
        ("q2", "filled"),
        ("q1", "filled"),
    ]
    assert result.exit_code == 1
    assert "503: Draining" in result.stderr


def test_unreachable_daemon_exits_69_and_says_what_to_do(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_ADMIN_URL", f"http://{free_address()}")
    result = invoke("positions")
    assert result.exit_code == 69
    assert "fks run" in result.stderr


def test_missing_token_names_the_file(invoke: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "admin_token").unlink()
    result = invoke("orders")
    assert result.exit_code == 69
    assert str(tmp_path / "admin_token") in result.stderr
    assert not (tmp_path / "admin_token").exists()


def test_wrong_token_names_the_file_and_not_the_token(invoke: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "admin_token").write_text("stale-token")
    result = invoke("orders")
    assert result.exit_code == 1
    assert str(tmp_path / "admin_token") in result.stderr
    assert "stale-token" not in result.output


def test_environment_alone_reaches_a_desk(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_CONFIG", "/nonexistent/fks.toml")
    monkeypatch.setenv("FKS_ADMIN_URL", f"http://{daemon.address}/")
    monkeypatch.setenv("FKS_ADMIN_TOKEN", TOKEN)
    daemon.replies["GET", "/v1/positions"] = 200, {"positions": []}
    assert CliRunner().invoke(main, ["positions"]).exit_code == 0


def test_desk_on_a_unix_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "desk"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"positions":[]}')

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("FKS_ADMIN_URL", f"unix:{path}")
        monkeypatch.setenv("FKS_ADMIN_TOKEN", TOKEN)
        assert CliRunner().invoke(main, ["positions"]).exit_code == 0
        thread.join()


@pytest.mark.parametrize(
    ("command", "state"), [("halt", "halted"), ("reduce", "reduce"), ("resume", "active")]
)
def test_trading_state_of_one_account_or_all(
    invoke: Callable[..., Result], daemon: Daemon, command: str, state: str
) -> None:
    reply = {"state": "halted", "accounts": {"alice": "active", "bob": "reduce"}}
    daemon.replies["POST", "/v1/trading"] = 200, reply
    for result in (invoke(command), invoke(command, "alice")):
        assert result.exit_code == 0
        assert result.stdout == "all accounts: halted\nbob: reduce\n"
    sent = [json.loads(body) for *_, body in daemon.requests]
    assert sent == [{"state": state, "account": None}, {"state": state, "account": "alice"}]


def test_cancel_one_order_and_all_of_an_account(invoke: Callable[..., Result], daemon: Daemon) -> None:
    daemon.replies["DELETE", "/v1/orders/q1%2F..%2Fx"] = 202, {**ORDER, "state": "open"}
    daemon.replies["POST", "/v1/cancel"] = 202, {"orders": [ORDER]}
    assert invoke("cancel", "q1/../x").exit_code == 0
    assert "1 orders" in invoke("cancel", "--all", "alice").stdout
    assert json.loads(daemon.requests[-1][3]) == {"account": "alice"}


def test_a_refusal_of_the_desk_is_told_in_its_words(invoke: Callable[..., Result], daemon: Daemon) -> None:
    detail = "order q1 is filled already: there is nothing to cancel"
    daemon.replies["DELETE", "/v1/orders/q1"] = 409, {"title": "Conflict", "detail": detail}
    result = invoke("cancel", "q1")
    assert result.exit_code == 1
    assert detail in result.stderr


# --- alerts


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
    assert authenticate(headers, body, None, [Secret(SECRET)], 0.0)
    alert = parse_json(body)
    assert alert.pop("timestamp").endswith("Z")
    assert alert == {"symbol": "BTC/USDT", "action": "buy", "amount": Decimal("0.10000000000000000001")}


def test_an_alert_with_a_time_is_sent_byte_for_byte() -> None:
    body = b' {"time" : "2025-11-07T10:30:00Z"}\n'
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
    text = json.dumps(message(settings, Secret(SECRET)))
    for name, value in {
        "ticker": "BTCUSDT", "strategy.order.action": "buy", "timenow": "2025-11-07T10:30:00Z",
        "close": "50000.5", "strategy.order.id": "Long", "time": "2025-11-07T10:15:00Z",
        "strategy.market_position": "long", "strategy.prev_market_position": "flat",
        "strategy.position_size": "0.5",
    }.items():  # fmt: skip
        text = text.replace("{{" + name + "}}", value)
    rules = GateRules((Secret(SECRET),), WebhookSettings(), frozenset({"binance"}), "binance")
    sender, raw = identify({}, text.encode(), rules.secrets, 0.0)
    alert = validate(raw, sender, rules, lambda _account: None, 1762511400.0)
    assert alert.accounts == ("binance",)
    assert alert.alert.symbol == "BTCUSDT"


def test_template_keeps_the_warning_out_of_what_is_pasted(invoke: Callable[..., Result]) -> None:
    result = invoke("template")
    assert json.loads(result.stdout)["secret"] == SECRET
    assert "secret" in result.stderr
    assert SECRET not in result.stderr


# --- the configuration


def test_check_prints_every_error_and_exits_78(tmp_path: Path) -> None:
    config = tmp_path / "fks.toml"
    config.write_text("timeout = -1\n[webhook]\nmax_agee_s = 3\n[exchanges.binanec]\n")
    result = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert result.exit_code == 78
    for key in ("timeout", "webhook.max_agee_s", "exchanges.binanec.type"):
        assert key in result.stderr


def test_check_names_accounts_and_paths(invoke: Callable[..., Result], tmp_path: Path) -> None:
    result = invoke("check")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "fks.db") in result.stdout
    assert "paper: paper, spot, live, default" in result.stdout
