"""The real daemon beside services that hang and refuse: orders do not notice, and it stops in time."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from fks.infra.notify import DEADLINE_S
from notify_target import hanging, refusing, service
from process import PAPER, TOKEN, Daemon, request, running, until

CANARY = "canary5f1e7c"
ON = ["filled", "started", "stopped", "alarm"]


def notify(*urls: str, **more: Any) -> str:
    keys = {"urls": list(urls), "on": ON, **more}
    return "[notify]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in keys.items())


def medium(daemon: Daemon, name: str, count: int = 25) -> float:
    """Seconds from an alert to its filled order."""
    took = []
    for n in range(count):
        began = time.perf_counter()
        reply = daemon.alert(id=f"{name}{n}", action="buy" if n % 2 == 0 else "sell")
        took.append(time.perf_counter() - began)
        assert (reply.status, reply.json["status"]) == (200, "success"), reply
    return statistics.median(took)


def memory(daemon: Daemon) -> int:
    """Resident bytes."""
    assert daemon.process
    return int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1]) * 4096


def test_services_that_hang_and_refuse_cost_orders_nothing(tmp_path: Path) -> None:
    with (
        running(tmp_path, head=notify()) as daemon,
        service() as there, hanging() as silent, refusing() as gone,
    ):  # fmt: skip
        before = medium(daemon, "before")
        text = daemon.config.read_text()
        urls = [f"json://{silent}/?rto={2 * DEADLINE_S:.0f}", f"json://{gone}", f"json://{there.address}"]
        daemon.config.write_text(text.replace(notify(), notify(*urls, digest_s=0.0, per_minute=1000.0)))
        daemon.reload()
        daemon.await_event("configuration_reloaded")
        daemon.alert(id="first")
        until(lambda: there.got)
        started = memory(daemon)
        beside = medium(daemon, "beside")
        assert beside < 3 * before + 0.25, (before, beside)
        assert memory(daemon) - started < 20e6
        until(lambda: sum("BTC/USDT" in title or "filled" in title for title in there.titles) > 10)
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 5.0 + 15.0  # drain_s, and the process's own end; they hang for ever
    assert "stopp" in there.titles[-1]
    failures = [line for line in daemon.events() if line["event"] == "notification_failed"]
    assert [line["target"] for line in failures] == [f"json://{gone}"]


def test_a_life_of_the_daemon_as_a_human_hears_of_it(tmp_path: Path) -> None:
    with service() as there, running(tmp_path, head=notify(f"json://{there.address}")) as daemon:
        until(lambda: there.got)
        daemon.alert(id="one")
        daemon.alert(id="two", symbol="NOPE/USDT")
        daemon.stop()
    assert there.titles == ["fks has started", "fks: 1 alarm, 1 filled, 1 stopped"]
    alarm, bought, _ = there.got[1]["message"].splitlines()
    assert alarm.startswith("- alarm alert.symbol (")
    assert bought.startswith("- paper: bought 0.01 BTC/USDT at 500")


@pytest.mark.fault(60)
def test_canaries_of_every_kind_are_nowhere(tmp_path: Path) -> None:
    """Against services and an exchange that fail, with the log at debug."""
    keys = "".join(f'{name} = "{CANARY}-{name}"\n' for name in ("api_key", "api_secret", "password"))
    with service(401) as there, refusing() as gone:
        urls = [f"json://{CANARY}:{CANARY}-p@{there.address}/{CANARY}-path?+X={CANARY}", f"tgram://{CANARY}"]
        head = notify(*urls, digest_s=0.0) + '[log]\nlevel = "debug"\n'
        account = f'[exchanges.binance]\n{keys}proxy = "http://{CANARY}-user:{CANARY}-pass@{gone}"\n'
        with running(tmp_path, PAPER + account, head=head) as daemon:
            secret = f"{CANARY}-of-a-webhook-24-bytes"
            config = daemon.config.read_text().replace("wait_s = 5.0", "wait_s = 0.5")
            daemon.config.write_text(config.replace('secrets = ["', f'secrets = ["{secret}", "'))
            daemon.reload()
            daemon.await_event("configuration_reloaded")
            until(lambda: "actor_waits" in {line["event"] for line in daemon.events()})
            body = {"symbol": "BTC/USDT", "action": "buy", "amount": 0.01, "confidence": 1,
                    "timestamp": time.time(), "secret": secret}  # fmt: skip
            replies = [
                daemon.post(json.dumps({**body, **more}).encode()).body
                for more in ({}, {"symbol": "NOPE/USDT"}, {"exchange": "binance"}, {"secret": f"{CANARY}-no"})
            ]
            token = {"Authorization": f"Bearer {TOKEN}"}
            paths = ("/metrics", "/v1/alerts", "/v1/orders", "/v1/accounts", "/healthz", "/readyz")
            replies += [request(daemon.desk, "GET", path, b"", token).body for path in paths]
            until(lambda: any(line["event"] == "notification_failed" for line in daemon.events()))
            daemon.stop()
    assert b"success" in replies[0]
    for reply in replies:
        assert CANARY.encode() not in reply
        assert TOKEN.encode() not in reply
    assert {"exchange_call", "alert_accepted", "notify_url_unusable", "daemon_stopped"} <= {
        line["event"] for line in daemon.events()
    }
    written = [one for one in tmp_path.rglob("*") if one.is_file() and one != daemon.config]
    assert {"log.jsonl", "audit.jsonl", "fks.db"} <= {one.name for one in written}
    for one in written:
        assert CANARY.encode() not in one.read_bytes(), one
        if one.name != "admin_token":
            assert TOKEN.encode() not in one.read_bytes(), one
