"""What comes to the door of the real daemon, over sockets: hostile, false, repeated and misdirected alerts.

One daemon serves all of it. One of its exchanges is dead throughout, and its log is at its most talkative.
"""

import base64
import hashlib
import hmac
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fks.domain.auth import sign
from fks.domain.secret import Secret
from process import PAPER, SECRET, TOKEN, Daemon, Reply, request, until
from test_http_server_hostile import HOSTILE

PREVIOUS = Secret("canary-the-previous-secret")
KEY, KEY_SECRET, PASSWORD = "canary-api-key", "canary-api-secret", "canary-password"
CANARIES = (SECRET.reveal(), PREVIOUS.reveal(), TOKEN, KEY, KEY_SECRET, PASSWORD)
ACCOUNTS = f"""
[log]
level = "debug"
[exchanges.dead]
type = "binance"
api_key = "{KEY}"
api_secret = "{KEY_SECRET}"
password = "${{FKS_CANARY}}"
base_url = "http://127.0.0.1:9"
{PAPER}"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(
        tmp_path_factory.mktemp("door"), ACCOUNTS, head='default_exchange = "paper"\ntimeout = 2.0\n'
    )
    text = one.config.read_text().replace("secrets = [", f'secrets = ["{PREVIOUS.reveal()}", ')
    one.config.write_text(text.replace("wait_s = 5.0", "wait_s = 1.0"))
    one.start(FKS_CANARY=PASSWORD)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.kill()


def raw(**fields: Any) -> bytes:
    whole = {
        "symbol": "BTC/USDT", "action": "buy", "amount": 0.001,
        "confidence": 0.9, "timestamp": time.time(), **fields,
    }  # fmt: skip
    return json.dumps(whole).encode()


def signed(daemon: Daemon, body: bytes, **headers: str) -> Reply:
    return daemon.post(body, {"X-Signature": sign(SECRET, body), **headers})


def stored(daemon: Daemon) -> int:
    return len(daemon.ask("/v1/alerts?limit=1000")["alerts"])


def metric(daemon: Daemon, name: str) -> float:
    """The sum over its labels that `name` does not give."""
    text = request(daemon.desk, "GET", "/metrics", b"", None).body.decode()
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}\S* (\S+)$", text, re.MULTILINE))


def until_counted(daemon: Daemon, name: str, least: float) -> None:
    """Metrics are counted by an observer, a moment after the commit."""
    until(lambda: metric(daemon, name) >= least, f"{name} of {least:g}")


def seconds(daemon: Daemon, name: str) -> float:
    """For how long an alert is answered. Who has a bound asks again: the machine may be held up once."""
    began = time.monotonic()
    assert signed(daemon, raw(id=name)).status == 200
    return time.monotonic() - began


def memory(daemon: Daemon) -> int:
    """Resident bytes."""
    assert daemon.process is not None
    return int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1]) * 4096


# --- what comes in


@pytest.mark.fault(1, 2)
@pytest.mark.parametrize("kind", ["application/json", "text/plain; charset=utf-8"])
def test_json_is_taken_whatever_it_is_called(daemon: Daemon, kind: str) -> None:
    reply = signed(daemon, raw(id=kind), **{"Content-Type": kind})
    assert (reply.status, reply.json["status"]) == (200, "success")


DEEP = b"[" * 7_000 + b"]" * 7_000
Body = Callable[[], bytes]
# Made when they are sent, so that none of them is stale by then.
BODIES = [
    pytest.param(lambda: b"", "alert.json", marks=pytest.mark.fault(3), id="empty"),
    pytest.param(lambda: b"   ", "alert.json", marks=pytest.mark.fault(3), id="blank"),
    pytest.param(
        lambda: raw(comment="x").replace(b'"x"', b'"\xff"'),
        "alert.encoding",
        marks=pytest.mark.fault(4),
        id="not UTF-8",
    ),
    pytest.param(lambda: b"\xef\xbb\xbf" + raw(), "alert.encoding", marks=pytest.mark.fault(5), id="BOM"),
    pytest.param(
        lambda: raw(comment=0).replace(b": 0}", b": " + DEEP + b"}"),
        "alert.json",
        marks=pytest.mark.fault(6),
        id="deep",
    ),
    pytest.param(
        lambda: raw()[:-1] + b', "amount": 9}', "alert.json", marks=pytest.mark.fault(7), id="duplicate key"
    ),
    pytest.param(lambda: raw(amount=float("nan")), "alert.json", marks=pytest.mark.fault(9), id="NaN"),
    pytest.param(lambda: raw(amount="NaN"), "alert.number", marks=pytest.mark.fault(9), id="NaN in words"),
    pytest.param(
        lambda: raw(amount=7).replace(b" 7", b" 1e400"),
        "alert.number",
        marks=pytest.mark.fault(9),
        id="1e400",
    ),
    pytest.param(
        lambda: raw(amount="1e400"), "alert.number", marks=pytest.mark.fault(9), id="1e400 in words"
    ),
    pytest.param(lambda: raw(amount=-1), "alert.number", marks=pytest.mark.fault(9), id="negative"),
    pytest.param(lambda: raw(amount=0), "alert.number", marks=pytest.mark.fault(9), id="zero"),
    pytest.param(
        lambda: raw(timestamp=time.time() - 3600), "gate.stale", marks=pytest.mark.fault(28), id="stale"
    ),
    pytest.param(
        lambda: raw(timestamp=time.time() + 3600), "gate.future", marks=pytest.mark.fault(29), id="future"
    ),
]


@pytest.mark.parametrize(("body", "code"), BODIES)
def test_what_is_no_sound_alert_is_400_and_not_stored(daemon: Daemon, body: Body, code: str) -> None:
    before = stored(daemon)
    reply = signed(daemon, body())
    assert (reply.status, reply.json["code"]) == (400, code), reply
    assert reply.json["detail"]
    assert stored(daemon) == before


@pytest.mark.fault(8)
def test_17_kilobytes_are_413_and_leave_nothing_in_the_memory(daemon: Daemon) -> None:
    body = raw(comment="x" * 17_000)

    def flood(count: int) -> None:
        assert {signed(daemon, body).status for _ in range(count)} == {413}
        assert request(daemon.door, "POST", "/webhook", b"x" * 3_000_000, None).status == 413

    flood(50)
    before = memory(daemon)
    flood(250)
    assert memory(daemon) - before < 2_000_000


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    ("fields", "code"),
    [({"symbol": "NOSUCH"}, "alert.symbol"), ({"exchange": "nowhere"}, "alert.account")],
    ids=["symbol", "account"],
)
def test_unknown_symbol_or_account_is_400_and_an_alarm(
    daemon: Daemon, fields: dict[str, str], code: str
) -> None:
    alarms = f'fks_alarms_total{{code="{code}"}}'
    before = metric(daemon, alarms)
    reply = signed(daemon, raw(**fields))
    assert (reply.status, reply.json["code"]) == (400, code)
    until_counted(daemon, alarms, before + 1)
    assert any(line["event"] == "alarm" and line["code"] == code for line in daemon.events())


@pytest.mark.fault(11)
def test_hostile_bytes_reach_no_actor(daemon: Daemon) -> None:
    before = metric(daemon, "fks_actor_restarts_total")

    def send(bytes_to: tuple[bytes, tuple[str, int]]) -> None:
        body, address = bytes_to
        with socket.create_connection(address, timeout=5) as stream:
            stream.settimeout(0.3)
            try:
                stream.sendall(body)
                while stream.recv(65_536):
                    pass
            except OSError:
                pass

    attacks = [(body, at) for body, _ in HOSTILE.values() for at in (daemon.door, daemon.desk)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, attacks))
    assert daemon.process is not None
    assert daemon.process.poll() is None
    assert signed(daemon, raw(id="after hostile bytes")).status == 200
    assert metric(daemon, "fks_actor_restarts_total") == before


@pytest.mark.fault(13)
def test_a_real_alert_passes_2000_idle_connections(daemon: Daemon) -> None:
    idle = [socket.create_connection(daemon.door, timeout=5) for _ in range(2_000)]
    try:
        assert any(seconds(daemon, f"beside idle ones {attempt}") < 1.0 for attempt in range(3))
    finally:
        for one in idle:
            one.close()


# --- who may


@pytest.mark.fault(15, 16, 17, 21)
def test_who_cannot_prove_himself_gets_one_answer_for_every_reason(daemon: Daemon) -> None:
    body, before = raw(), stored(daemon)
    replies = [
        daemon.post(body),
        daemon.post(body, {"X-Signature": "0" * 64}),
        daemon.post(body, {"X-Signature": sign(PREVIOUS, body)[:-1] + "x"}),
        daemon.post(body, {"X-Signature": "\xe9" * 64}),
        daemon.post(raw(secret="falsch \u00fc")),
        daemon.post(raw(secret="wrong")),
        daemon.post(b"not json"),
        daemon.post(body.replace(b"0.001", b"0.002"), {"X-Signature": sign(SECRET, body)}),
    ]
    assert {(reply.status, reply.body) for reply in replies} == {(401, replies[0].body)}
    assert len({tuple(sorted(reply.headers)) for reply in replies}) == 1
    assert stored(daemon) == before


@pytest.mark.fault(18)
def test_the_previous_secret_works_while_it_is_listed(daemon: Daemon) -> None:
    body = raw(id="previous")
    assert daemon.post(body, {"X-Signature": sign(PREVIOUS, body)}).status == 200
    assert daemon.post(raw(id="previous in the body", secret=PREVIOUS.reveal())).status == 200


@pytest.mark.fault(22, 23)
def test_standard_webhooks_by_time_and_by_any_good_signature(daemon: Daemon) -> None:
    def post(at: float, name: str) -> int:
        body = raw()
        signed_text = f"{name}.{int(at)}.".encode() + body
        mac = base64.b64encode(hmac.digest(SECRET.reveal().encode(), signed_text, hashlib.sha256)).decode()
        bad = base64.b64encode(b"0" * 32).decode()
        headers = {"webhook-id": name, "webhook-timestamp": str(int(at))}
        return daemon.post(body, {**headers, "webhook-signature": f"v1,{bad} v1,{mac}"}).status

    assert post(time.time() - 3600, "msg_old") == 401
    assert post(time.time(), "msg_two") == 200


@pytest.mark.fault(19, 20)
def test_an_address_that_is_not_allowed_is_403_whatever_it_claims(tmp_path: Path) -> None:
    one = Daemon(tmp_path)
    one.config.write_text(one.config.read_text().replace("[webhook]", '[webhook]\nallow = ["tradingview"]'))
    try:
        one.start()
        body = raw()
        proof = {"X-Signature": sign(SECRET, body)}
        for claim in ({}, {"X-Forwarded-For": "52.89.214.238"}, {"Forwarded": "for=52.89.214.238"}):
            assert one.post(body, {**proof, **claim}).status == 403
        assert stored(one) == 0
    finally:
        one.kill()


@pytest.mark.fault(24)
def test_the_desk_wants_its_own_token(daemon: Daemon) -> None:
    for token in ("", SECRET.reveal(), TOKEN[:-1]):
        headers = {"Authorization": f"Bearer {token}"}
        for method, path in (("GET", "/v1/orders"), ("POST", "/v1/cancel"), ("POST", "/v1/trading")):
            assert request(daemon.desk, method, path, b"{}", headers).status == 401
            assert request(daemon.door, method, path, b"{}", headers).status == 404
    assert request(daemon.desk, "GET", "/v1/orders", b"", {"Authorization": f"Bearer {TOKEN}"}).status == 200


# --- what comes again


@pytest.mark.fault(30)
def test_the_same_key_with_another_body_is_409_and_an_alarm(daemon: Daemon) -> None:
    alarms = 'fks_alarms_total{code="alert.conflict"}'
    before = metric(daemon, alarms)
    assert signed(daemon, raw(id="one key", amount=0.001)).status == 200
    assert signed(daemon, raw(id="one key", amount=0.002)).status == 409
    assert signed(daemon, raw(id="one key", amount=0.001, exchange="dead")).status == 409
    until_counted(daemon, alarms, before + 2)


@pytest.mark.fault(31)
def test_two_real_fills_within_a_second_are_two_orders(daemon: Daemon) -> None:
    told = {"strategy": "trend", "timestamp": float(int(time.time())), "order_id": "Long"}
    replies = [signed(daemon, raw(**told, position_size=size)) for size in (0.001, 0.002)]
    assert [reply.json["status"] for reply in replies] == ["success", "success"]
    assert len({reply.json["order_id"] for reply in replies}) == 2


@pytest.mark.fault(26, 27)
def test_a_hundred_at_once_are_one_order_and_one_more_after_a_restart_is_none(daemon: Daemon) -> None:
    body = raw(id="a hundred")
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: signed(daemon, body), range(100)))
    assert {reply.status for reply in replies} == {200}
    (alert,) = {reply.json["alert_id"] for reply in replies}
    assert daemon.stop() == 0
    daemon.start(FKS_CANARY=PASSWORD)
    again = signed(daemon, body)
    assert (again.status, again.json["status"], again.json["alert_id"]) == (200, "duplicate", alert)
    assert len(daemon.ask(f"/v1/alerts/{alert}")["orders"]) == 1


# --- exchanges and rules


@pytest.mark.fault(46)
def test_a_dead_exchange_is_not_noticed_by_the_others(daemon: Daemon) -> None:
    waiting = signed(daemon, raw(id="dead", exchange="dead"))
    assert (waiting.status, waiting.json["status"]) == (202, "accepted")
    assert any(seconds(daemon, f"alive {attempt}") < 1.0 for attempt in range(3))


@pytest.mark.fault(49, 50)
@pytest.mark.parametrize(
    ("amount", "reason"), [(1000, "insufficient_funds"), (0.00001, "order.below_minimum")]
)
def test_what_cannot_be_is_422_and_over(daemon: Daemon, amount: float, reason: str) -> None:
    alarms = 'fks_alarms_total{code="order.rejected"}'
    before = metric(daemon, alarms)
    reply = signed(daemon, raw(id=f"{amount} coins", amount=amount))
    assert (reply.status, reply.json["reason"]) == (422, reason)
    orders = daemon.ask(f"/v1/alerts/{reply.json['alert_id']}")["orders"]
    if reason == "insufficient_funds":
        assert [order["state"] for order in orders] == ["rejected"]
        until_counted(daemon, alarms, before + 1)
    else:
        assert orders == [], "refused before anything was sent"


# --- the configuration, and what must stay secret


@pytest.mark.fault(59)
def test_a_bad_configuration_at_reload_leaves_the_old_one(daemon: Daemon) -> None:
    good = daemon.config.read_text()
    daemon.config.write_text(good + '\n[risc]\nfee = "much"\n')
    try:
        daemon.reload()
        assert "risc" in str(daemon.await_event("configuration_refused")["errors"])
    finally:
        daemon.config.write_text(good)
    assert signed(daemon, raw(id="after a bad reload")).status == 200
    daemon.reload()
    daemon.await_event("configuration_reloaded")


@pytest.mark.fault(60)
def test_canary_secrets_are_nowhere(daemon: Daemon) -> None:
    told = [
        signed(daemon, raw(id="canary", comment="nothing")),
        daemon.post(raw(id="canary in the body", secret=SECRET.reveal())),
        daemon.post(raw(secret=PREVIOUS.reveal() + "x")),
        signed(
            daemon, raw(id="canaries in words", comment=KEY_SECRET, meta={"token": PASSWORD, KEY: [TOKEN]})
        ),
        *(signed(daemon, raw(**{name: PREVIOUS.reveal()})) for name in ("symbol", "exchange", "order_type")),
        signed(daemon, raw(take_profit={SECRET.reveal(): 1}, exchange="dead")),
        request(daemon.desk, "GET", "/v1/orders", b"", {"Authorization": f"Bearer {TOKEN}x"}),
        request(daemon.desk, "GET", "/metrics", b"", None),
        request(daemon.door, "POST", f"/webhook/{SECRET.reveal()}", raw(), None),
        request(daemon.desk, "POST", f"/webhook/{SECRET.reveal()}", raw(), None),
    ]
    listed = [
        json.dumps(daemon.ask(path)).encode()
        for path in ("/v1/alerts?limit=1000", "/v1/orders", "/v1/accounts", "/v1/balance", "/v1/trading")
    ]
    files = [path for path in daemon.folder.rglob("*") if path.is_file() and path != daemon.config]
    assert {"fks.db", "audit.jsonl", "log.jsonl"} <= {path.name for path in files}
    everything = b"".join([*(reply.body for reply in told), *listed, *(path.read_bytes() for path in files)])
    assert [reply.status for reply in told[3:8]] == [200, 400, 400, 400, 400]
    for canary in CANARIES:
        assert canary.encode() not in everything
        assert base64.b64encode(canary.encode()) not in everything
    assert b"signature=" not in everything, "no address of a signed request either"
    assert daemon.process is not None
    for task in Path(f"/proc/{daemon.process.pid}/task").iterdir():
        assert (task / "children").read_text() == "", "no child that could inherit the environment"
