"""The whole daemon as a process: what a sender is told, what survives, how it ends."""

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from fks.domain.auth import sign
from fks.infra.ledger_sqlite import SqliteStore
from ledger_cases import NOON, accept, do, order
from ledger_cases import alert as made
from process import HOST, PAPER, SECRET, TOKEN, Daemon, request, running


def test_a_signed_alert_becomes_a_filled_order(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        reply = daemon.alert(stop_loss=48_000, take_profit=52_000)
        assert reply.status == 200
        assert reply.json["status"] == "success"
        order = daemon.until_order(reply.json["alert_id"], "filled")
        assert reply.json["order_id"] == order["exchange_order_id"]
        assert {one["leg"]: one["state"] for one in daemon.orders()} == {
            "entry": "filled",
            "stop_loss": "open",
            "take_profit": "open",
        }
        (position,) = daemon.ask("/v1/positions")["positions"]
        assert (position["amount"], position["last"]) == ("0.01", "50000")
        assert Decimal(position["unrealized"]) == 500 - Decimal("0.01") * Decimal(position["average"])
        (trade,) = daemon.ask("/v1/trades")["open"]
        assert (trade["amount"], trade["entry"]) == ("0.01", position["average"])


def test_what_the_journal_owes_an_account_that_is_not_configured_any_more_is_an_alarm(
    tmp_path: Path,
) -> None:
    """And nobody waits at the end for the answer to a request that nobody sends."""
    store = SqliteStore.open(tmp_path / "fks.db", wall=time.time)
    intent = accept(store, made(1, accounts=("old",)))
    do(store, lambda ledger: ledger.plan(intent, [order(made(1), account="old")]))
    do(store, lambda ledger: ledger.claim("old", now=NOON, window=5.0, limit=1))
    accept(store, made(2, accounts=("old", "paper")))
    store.close()
    with running(tmp_path) as daemon:
        told = daemon.await_event("alarm")
        assert (told["account"], told["code"]) == ("old", "account.unconfigured")
        assert "[exchanges.old] is not configured" in told["detail"]
        assert "(undecided alerts: 1, orders not at rest: 1)" in told["detail"]
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 4.0, "which is less than drain_s"
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    alarms = [json.loads(line) for line in lines if '"account.unconfigured"' in line]
    assert [alarm["account"] for alarm in alarms] == ["old"]


@pytest.mark.fault(26)
def test_a_hundred_copies_of_one_alert_are_one_order(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        now = time.time()
        with ThreadPoolExecutor(20) as pool:
            replies = list(pool.map(lambda _: daemon.alert(id="same", timestamp=now), range(100)))
        assert {reply.status for reply in replies} == {200}
        assert sum(reply.json["status"] == "success" for reply in replies) == 1
        assert len({reply.json["alert_id"] for reply in replies}) == 1
        assert len(daemon.orders()) == 1


@pytest.mark.parametrize("wait_s", [0.0, 5.0])
def test_kill_right_after_the_acknowledgement_loses_and_doubles_nothing(
    tmp_path: Path, wait_s: float
) -> None:
    daemon = Daemon(tmp_path, PAPER)
    daemon.config.write_text(daemon.config.read_text().replace("wait_s = 5.0", f"wait_s = {wait_s}"))
    acknowledged = []
    for life in range(4):
        daemon.start()
        for number in range(3):
            reply = daemon.alert(id=f"{life}-{number}")
            assert reply.status == (200 if wait_s else 202)
            acknowledged.append(reply.json["alert_id"])
        daemon.kill()
    daemon.start()
    for alert in acknowledged:
        daemon.until_order(alert, "filled")
    assert len(daemon.orders()) == len(acknowledged)
    assert daemon.ask("/v1/positions")["positions"][0]["amount"] == "0.12"
    assert daemon.stop() == 0


def test_a_resting_order_survives_a_restart_and_fills_when_the_mark_comes(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        resting = daemon.accepted(id="a", order_type="limit", price=49_000)
        daemon.until_order(resting, "open")
        daemon.kill()
        daemon.start()
        assert daemon.alert(id="b", price=48_900, action="buy").status == 200
        daemon.until_order(resting, "filled")


def at_the_port_of(other: Daemon, mine: Daemon) -> None:
    text = mine.config.read_text()
    mine.config.write_text(text.replace(f'{HOST}:0"', f'{other.door[0]}:{other.door[1]}"', 1))


def test_a_second_daemon_on_the_same_journal_exits_77_whatever_its_ports(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        second = Daemon(tmp_path)
        with pytest.raises(AssertionError, match="ended with 77"):
            second.start()
        at_the_port_of(first, second)
        with pytest.raises(AssertionError, match="ended with 77"):
            second.start()


def test_a_busy_port_leaves_the_journal_to_the_next_try(tmp_path: Path) -> None:
    (folder := tmp_path / "other").mkdir()
    mine = Daemon(tmp_path)
    with running(folder) as other:
        at_the_port_of(other, mine)
        with pytest.raises(AssertionError, match=r"(?s)ended with 70:.*is in use"):
            mine.start()
    mine.start()
    assert mine.stop() == 0


def test_a_state_directory_that_cannot_be_made_exits_78_with_its_name_and_a_remedy(tmp_path: Path) -> None:
    (file := tmp_path / "file").touch()
    for place in (file, file / "state", Path("/proc/nope")):
        with pytest.raises(AssertionError, match="ended with 78") as caught:
            Daemon(tmp_path).start(STATE_DIRECTORY=str(place))
        assert f"state directory {place} cannot be made" in str(caught.value)
        assert "set STATE_DIRECTORY" in str(caught.value)


@pytest.mark.fault(59)
def test_a_broken_configuration_exits_78_with_every_error(tmp_path: Path) -> None:
    broken = Daemon(tmp_path, '[exchanges.paper]\ntype = "paper"\nfee = "much"\n[risc]\nx = 1\n')
    with pytest.raises(AssertionError, match="ended with 78") as caught:
        broken.start()
    assert "exchanges.paper.fee" in str(caught.value)
    assert "risc" in str(caught.value)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(tmp_path: Path, number: int) -> None:
    with running(tmp_path) as daemon:
        daemon.alert(id="a")
        assert daemon.stop(number) == 0
        assert daemon.events()[-1]["event"] == "daemon_stopped"


def test_who_is_not_authentic_is_told_nothing(tmp_path: Path) -> None:
    body = json.dumps({"symbol": "BTC/USDT", "action": "buy", "timestamp": time.time()}).encode()
    with running(tmp_path) as daemon:
        replies = [
            daemon.post(body),
            daemon.post(body, {"X-Signature": "0" * 64}),
            daemon.post(b"not json"),
            daemon.post(b'{"secret": "\xc3\xa9"}'),
            daemon.post(body + b" ", {"X-Signature": sign(SECRET, body)}),
        ]
        assert {reply.status for reply in replies} == {401}
        assert len({reply.body for reply in replies}) == 1
        assert daemon.ask("/v1/alerts")["alerts"] == []


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"symbol": None}, 400, "symbol"),
        ({"symbol": "NOSUCH"}, 400, "symbol"),
        ({"exchange": "nowhere"}, 400, "exchange"),
        ({"amount": "1_000"}, 400, "amount"),
        ({"amount": -1}, 400, "amount"),
        ({"amount": True}, 400, "amount"),
        ({"confidence": 0.1}, 400, "confidence"),
        ({"confidence": None}, 400, "confidence"),
        ({"timestamp": 1_700_000_000}, 400, "timestamp"),
        ({"timestamp": None}, 400, "timestamp"),
        ({"action": "hold"}, 400, "action"),
        ({"order_type": "limit"}, 400, "price"),
        ({"comment": "{{strategy.order.comment}}"}, 400, "comment"),
    ],
)
def test_bad_input_is_told_with_the_field_and_stores_nothing(
    daemon: Daemon, fields: dict[str, object], status: int, field: str
) -> None:
    before = len(daemon.ask("/v1/alerts?limit=1000")["alerts"])
    reply = daemon.alert(**fields)
    assert (reply.status, reply.json["field"]) == (status, field)
    assert reply.headers["content-type"] == "application/problem+json"
    assert len(daemon.ask("/v1/alerts?limit=1000")["alerts"]) == before


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> object:
    with running(tmp_path_factory.mktemp("daemon")) as one:
        yield one


def test_what_the_rules_refuse_is_422_with_the_reason(daemon: Daemon) -> None:
    reply = daemon.alert(id="too small", amount=0.00001)
    assert reply.status == 422
    assert reply.json["reason"] == "order.below_minimum"
    assert reply.json["alert_id"]


def test_the_exchange_s_no_is_422(daemon: Daemon) -> None:
    reply = daemon.alert(id="too much", amount=1000)
    assert (reply.status, reply.json["reason"]) == (422, "insufficient_funds")


def test_the_same_key_with_another_body_is_409(daemon: Daemon) -> None:
    assert daemon.alert(id="key", amount=0.01).status == 200
    assert daemon.alert(id="key", amount=0.02).status == 409


def test_the_secret_in_the_body_opens_and_is_stored_nowhere(daemon: Daemon) -> None:
    body = json.dumps(
        {
            "symbol": "BTCUSDT", "action": "buy", "amount": "0.01", "confidence": "0.9",
            "timestamp": time.time(), "id": "body secret", "secret": SECRET.reveal(),
        }
    ).encode()  # fmt: skip
    assert daemon.post(body, {"Content-Type": "text/plain"}).status == 200
    for file in ("fks.db", "fks.db-wal", "audit.jsonl", "log.jsonl"):
        assert SECRET.reveal().encode() not in (daemon.folder / file).read_bytes()


def test_the_door_knows_three_routes(daemon: Daemon) -> None:
    for path in ("/healthz", "/readyz"):
        assert request(daemon.door, "GET", path, b"", None).status == 200
    assert request(daemon.door, "GET", "/v1/orders", b"", {"Authorization": f"Bearer {TOKEN}"}).status == 404
    assert request(daemon.door, "GET", "/webhook", b"", None).status == 405
    assert daemon.post(b"x" * 17_000).status == 413
    assert daemon.post(b"{}", path="/webhook/tradingview").status == 401


def test_the_desk_takes_alerts_as_the_door_does(daemon: Daemon) -> None:
    body = json.dumps(
        {"symbol": "BTC/USDT", "action": "buy", "amount": 0.01, "confidence": 0.9, "timestamp": time.time()}
    ).encode()
    signed = {"X-Signature": sign(SECRET, body)}
    token = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/webhook", "/webhook/tradingview"):
        assert request(daemon.desk, "POST", path, body, token).status == 401
        assert request(daemon.desk, "POST", path, b"x" * 17_000, signed).status == 413
        assert request(daemon.desk, "GET", path, b"", token).status == 405
    first = request(daemon.desk, "POST", "/webhook/tradingview", body, signed)
    assert (first.status, first.json["status"]) == (200, "success")
    again = daemon.post(body, signed)
    assert (again.json["status"], again.json["alert_id"]) == ("duplicate", first.json["alert_id"])


def test_metrics_have_their_names(daemon: Daemon) -> None:
    text = request(daemon.desk, "GET", "/metrics", b"", None).body.decode()
    for name in (
        "fks_webhook_requests_total", "fks_webhook_duration_seconds", "fks_order_executions_total",
        "fks_webhook_validation_failures_total", "fks_webhook_signature_failures_total",
        "fks_order_failures_total", "fks_order_duration_seconds", "fks_rate_limit_rejections_total",
        "fks_circuit_breaker_state", "fks_audit_events_total",
    ):  # fmt: skip
        assert f"# TYPE {name.removesuffix('_total')}" in text or f"# TYPE {name}" in text
