"""SIGHUP on the real daemon: the new file holds at once, a bad one changes nothing, no alert is lost."""

import threading
from pathlib import Path
from typing import Any

import pytest

from fks.domain.auth import sign
from fks.domain.secret import Secret
from process import PAPER, Daemon, running

OTHER = '\n[exchanges.other]\ntype = "paper"\nprices = { "BTC/USDT" = 50000.0 }\n'
NEW_SECRET = Secret("another-webhook-secret-24-bytes")


def rewrite(daemon: Daemon, old: str, new: str) -> dict[str, Any]:
    """Change the file, reload, and return what the daemon says of it."""
    text = daemon.config.read_text()
    assert old in text
    daemon.config.write_text(text.replace(old, new))
    daemon.reload()
    return daemon.await_event("configuration_reloaded")


@pytest.fixture
def daemon(tmp_path: Path) -> Any:
    with running(tmp_path) as one:
        yield one


def test_secrets_and_limits_hold_at_once(daemon: Daemon) -> None:
    told = rewrite(daemon, "a-webhook-secret-of-24-bytes", NEW_SECRET.reveal())
    assert told["at_once"] == ["webhook.secrets"]
    assert daemon.alert().status == 401
    body = b'{"symbol": "BTC/USDT", "action": "buy", "amount": 0.01, "confidence": 1, "timestamp": 1}'
    assert daemon.post(body, {"X-Signature": sign(NEW_SECRET, body)}).status == 400  # authentic, and stale
    rewrite(daemon, NEW_SECRET.reveal(), "a-webhook-secret-of-24-bytes")
    assert daemon.alert(id="free").status == 200
    rewrite(daemon, PAPER, PAPER + "[risk]\nmax_order_notional = 100\n")
    refused = daemon.alert(id="limited")
    assert (refused.status, refused.json["reason"]) == (422, "risk.max_order_notional")


def test_a_bad_file_changes_nothing(daemon: Daemon) -> None:
    good = daemon.config.read_text()
    daemon.config.write_text(
        good + '[risk]\nmax_order_notional = 1\nmax_ordr = 2\n[exchanges.nix]\ntype = "binanse"\n'
    )
    daemon.reload()
    refused = daemon.await_event("configuration_refused")
    assert any("max_ordr" in one for one in refused["errors"])
    assert any("binance" in one for one in refused["errors"])
    assert daemon.alert().status == 200
    assert [one["account"] for one in daemon.ask("/v1/accounts")["accounts"]] == ["paper"]


def test_an_account_comes_and_goes_when_it_owes_nothing(daemon: Daemon) -> None:
    assert daemon.alert(exchange="other", id="early").status == 400
    assert rewrite(daemon, PAPER, PAPER + OTHER)["added"] == ["other"]
    assert daemon.alert(exchange="other", id="market").status == 200
    resting = daemon.accepted(exchange="other", id="limit", order_type="limit", price=49000.0)
    daemon.until_order(resting, "open")
    assert rewrite(daemon, OTHER, "")["removed"] == ["other"]
    assert daemon.alert(exchange="other", id="late").status == 400
    order = daemon.until_order(resting, "open")  # still followed, and still ours to cancel
    daemon.ask(f"/v1/orders/{order['id']}", "DELETE")
    daemon.until_order(resting, "canceled")
    daemon.await_event("account_taken_down")
    assert [one["account"] for one in daemon.ask("/v1/accounts")["accounts"]] == ["paper"]


def test_an_account_that_comes_back_while_it_leaves_is_one_account(daemon: Daemon) -> None:
    rewrite(daemon, PAPER, PAPER + OTHER)
    resting = daemon.accepted(exchange="other", id="limit", order_type="limit", price=49000.0)
    daemon.until_order(resting, "open")
    rewrite(daemon, OTHER, "")
    assert rewrite(daemon, PAPER, PAPER + OTHER)["added"] == ["other"]
    assert daemon.alert(exchange="other", id="market").status == 200
    order = daemon.until_order(resting, "open")
    daemon.ask(f"/v1/orders/{order['id']}", "DELETE")
    daemon.until_order(resting, "canceled")
    assert daemon.alert(exchange="other", id="still here").status == 200


def test_what_waits_for_a_start_is_named(daemon: Daemon) -> None:
    told = rewrite(daemon, "drain_s = 5.0", "drain_s = 6.0\nmax_connections = 99")
    assert (told["at_once"], told["at_start"]) == (["server.drain_s"], ["server.max_connections"])
    assert daemon.await_event("restart_needed")["keys"] == ["server.max_connections"]


def test_no_alert_is_lost_or_doubled_while_accounts_are_taken_up_anew(daemon: Daemon) -> None:
    """Each reload rebuilds the account (its fee changes) while alerts come in."""
    replies = []

    def send() -> None:
        replies.extend(daemon.alert(id=f"n{number}", amount=0.001) for number in range(120))

    sender = threading.Thread(target=send)
    sender.start()
    before = PAPER
    for cents in range(1, 5):
        after = PAPER + f"fee = 0.00{cents}\n"
        rewrite(daemon, before, after)
        before = after
    sender.join()
    accepted = {reply.json["alert_id"] for reply in replies if reply.status in (200, 202)}
    assert len(accepted) == 120, [reply for reply in replies if reply.status not in (200, 202)][:3]
    for alert_id in accepted:
        daemon.until_order(alert_id, "filled")
    orders = daemon.orders()
    assert sorted(order["alert_id"] for order in orders) == sorted(accepted)
