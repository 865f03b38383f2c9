"""The commands that ask the desk: what they ask, what they print, how they exit."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli_cases import fixture_daemon, fixture_invoke, free_address  # noqa: F401 - fixtures
from cli_daemon import TOKEN, Daemon
from fks.cli import listings, main, views

ORDER = {
    "id": "q1", "alert_id": "a1", "account": "paper", "leg": "entry", "symbol": "BTC/USDT", "side": "buy",
    "type": "market", "amount": "0.01", "price": None, "filled": "0.01", "average": "50010",
    "state": "filled", "reason": None, "created_at": "2025-11-07T10:30:00.123Z",
}  # fmt: skip


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
    loss = "today's loss is 120, the limit 100"
    at = "2026-01-02T03:04:05Z"
    halt = {"account": None, "state": "halted", "by": "admin", "at": at, "why": ""}
    limit = {"account": "bob", "state": "reduce", "by": "risk.max_daily_loss", "at": at, "why": loss}
    accounts = {"alice": "active", "bob": "reduce"}
    reply = {"state": "halted", "accounts": accounts, "restrictions": [halt, limit]}
    daemon.replies["POST", "/v1/trading"] = 200, reply
    for result in (invoke(command), invoke(command, "alice")):
        assert result.exit_code == 0
        told = f"bob: reduce by risk.max_daily_loss since {at}: {loss}"
        assert result.stdout == f"all accounts: halted by admin since {at}\n{told}\n"
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
