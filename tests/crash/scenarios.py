"""Bad days that mostly consist of waiting, so that the tests play them side by side.

Each is a function of a stage, and raises AssertionError where the daemon did not stand the day.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from crash.exchange import Exchange
from crash.faults import Faults
from crash.stage import Stage, problems, total, tried
from fks.infra import journal_check
from process import Daemon, until

BODY_TO_COME = b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n"
WINDOW_S = 5.0  # for so long Binance takes a request after its timestamp


def slow_clients(stage: Stage) -> None:
    """A byte now and then, in the head or in the body, keeps no connection for longer than 15 s."""
    daemon = stage.daemon().start()
    starts = (b"", b"POST /webhook HTTP/1.1\r\nHost: a\r\nX: ", BODY_TO_COME)
    with ThreadPoolExecutor(3) as pool:
        held = pool.map(lambda start: _drip(daemon, start), starts)
        time.sleep(2.0)
        assert daemon.alert(id="beside slow ones").status == 200
        assert all(1.0 < seconds < 45.0 for seconds in held)


def _drip(daemon: Daemon, start: bytes) -> float:
    """For how many seconds the daemon puts up with it."""
    began = time.monotonic()
    with socket.create_connection(daemon.door) as stream, contextlib.suppress(OSError):
        stream.sendall(start)
        stream.settimeout(0.5)
        while time.monotonic() < began + 60:
            with contextlib.suppress(TimeoutError):
                if not stream.recv(1024):
                    break
            if start:
                stream.sendall(b"x")
    return time.monotonic() - began


def killed_before_any_write(stage: Stage) -> None:
    """At several of the writes and syncs that one alert needs."""
    exchange = stage.exchange()
    daemon = stage.daemon(exchange.config())
    faults = stage.faults(daemon)
    daemon.start(**faults.env)
    before = faults.get("writes")
    daemon.until_order(daemon.accepted(id="whole"), "filled")
    whole = faults.get("writes") - before
    daemon.kill()
    acknowledged = set()
    for point in (1, whole // 4, whole // 2, 3 * whole // 4):
        process = daemon.start(**faults.env).process
        assert process is not None
        faults.set("kill_before", point)
        # The first alerts may be 503, before the markets are known. And one commit takes what is waiting, so
        # that an alert may need fewer writes than the first of all did.
        for number in range(100):
            reply = tried(daemon, id=f"killed-{point}-{number}")
            if reply is not None and reply.status < 300:
                acknowledged.add(reply.json["alert_id"])
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.2)
                break
        assert process.poll() == -signal.SIGKILL
        faults.set("kill_before", 0)
    daemon.start(**faults.env)
    there = {row["id"] for row in daemon.ask("/v1/alerts")["alerts"]}
    assert acknowledged <= there
    for alert in there:
        daemon.until_order(alert, "filled")
    assert total(exchange) == len(there)
    assert daemon.stop() == 0
    assert problems(faults.disk / "fks.db") == ()


def sigterm_during_a_placement(stage: Stage) -> None:
    """It ends in time and with 0, and the next start finds out."""
    exchange = stage.exchange()
    daemon = stage.daemon(exchange.config())
    daemon.config.write_text(daemon.config.read_text().replace("drain_s = 5.0", "drain_s = 1.0"))
    daemon.start()
    exchange.fault("hang", executed=True)
    alert = daemon.accepted(id="under way")
    until(exchange.sent, "a request")
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 20.0  # and not as long as the exchange is silent
    daemon.start()
    daemon.until_order(alert, "filled")
    assert len(exchange.sent()) == total(exchange) == 1


def frozen_before_sending(stage: Stage) -> None:
    """Stopped for longer than the request window, right after the claim was synced."""
    exchange = stage.exchange()
    daemon = stage.daemon(exchange.config())
    faults = stage.faults(daemon)
    daemon.start(**faults.env)
    faults.set("stop_after", 1)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(daemon.alert, id="frozen")
        _stop_at_the_claim(daemon, faults, exchange)
        time.sleep(WINDOW_S + 0.5)
        _signal(daemon, signal.SIGCONT)
        daemon.until_order(reply.result().json["alert_id"], "filled")
    assert total(exchange) == 1


def killed_before_sending_on_a_busy_market(stage: Stage) -> None:
    """What was claimed and never sent is proven absent, however much else was traded meanwhile."""
    exchange = stage.exchange()
    daemon = stage.daemon(exchange.config())
    faults = stage.faults(daemon)
    daemon.start(**faults.env)
    others = 25
    for number in range(others):
        daemon.until_order(daemon.accepted(id=str(number)), "filled")
    faults.set("stop_after", 1)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(tried, daemon, id="claimed")
        _stop_at_the_claim(daemon, faults, exchange)
        daemon.kill()
        assert reply.result() is None
    daemon.start(**faults.env)
    alerts = [row["id"] for row in daemon.ask("/v1/alerts")["alerts"]]
    daemon.until_order(alerts[0], "filled")
    assert total(exchange) == len(alerts) == others + 1


def frozen_before_the_answer(stage: Stage) -> None:
    """Stopped for longer than the request window while the exchange works."""
    exchange = stage.exchange()
    daemon = stage.daemon(exchange.config())
    daemon.start()
    exchange.control("slow", seconds=1.0)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(daemon.alert, id="frozen")
        until(exchange.sent, "a request")
        _signal(daemon, signal.SIGSTOP)
        time.sleep(WINDOW_S + 0.5)
        _signal(daemon, signal.SIGCONT)
        daemon.until_order(reply.result().json["alert_id"], "filled")
    assert total(exchange) == len(exchange.sent()) == 1


def clock_jumps(stage: Stage) -> None:
    """Freshness follows the wall clock, the exchange's clock is found again."""
    exchange = stage.exchange()
    daemon = stage.daemon(exchange.config())
    faults = stage.faults(daemon)
    daemon.start(**faults.env)
    for count, jump in enumerate((10, -10, 3600, -3600), start=1):
        faults.jump(jump)
        reply = daemon.alert(id=f"jump {jump}", timestamp=time.time() + jump)
        assert reply.status in (200, 202), reply
        daemon.until_order(reply.json["alert_id"], "filled")
        assert total(exchange) == count
    assert "in the future" in daemon.alert(id="real", timestamp=time.time()).json["detail"]
    faults.jump(3600)
    assert daemon.alert(id="real", timestamp=time.time()).json["code"] == "gate.stale"
    assert daemon.stop() == 0
    assert problems(faults.disk / "fks.db") == ()


def clock_jumps_forward_during_a_placement(stage: Stage) -> None:
    """The exchange may still carry out a request that only looks too old."""
    exchange = stage.exchange()
    daemon = stage.daemon(exchange.config(), top="timeout = 1.0\nretry_attempts = 0\n")
    faults = stage.faults(daemon)
    daemon.start(**faults.env)
    exchange.control("slow", seconds=WINDOW_S - 0.5)
    alert = daemon.accepted(id="slow")
    until(exchange.sent, "a request")
    faults.jump(10)
    daemon.until_order(alert, "filled")
    time.sleep(WINDOW_S)  # in which a second one would come through
    assert total(exchange) == 1, f"doubled: {exchange.executions()}"


def clock_jumps_back_while_an_order_waits(stage: Stage) -> None:
    """A pause that the exchange asked for ends when it ends, whatever the wall clock says."""
    exchange = stage.exchange()
    daemon = stage.daemon(exchange.config())
    faults = stage.faults(daemon)
    daemon.start(**faults.env)
    exchange.fault("limit", seconds=2.0)
    alert = daemon.accepted(id="waits")
    until(exchange.sent, "a request")
    faults.jump(-3600)
    daemon.until_order(alert, "filled")
    assert total(exchange) == 1


def _signal(daemon: Daemon, number: int) -> None:
    assert daemon.process is not None
    daemon.process.send_signal(number)


def _stop_at_the_claim(daemon: Daemon, faults: Faults, exchange: Exchange) -> None:
    """Sync by sync, until the disk says that a request may be under way. `stop_after` is 1 already."""
    before = len(exchange.sent())
    until(lambda: _stopped(daemon), "stopped")
    while not _claimed(faults):
        faults.set("stop_after", 1)
        _signal(daemon, signal.SIGCONT)
        until(lambda: _stopped(daemon) and not faults.get("stop_after"), "stopped")
        assert len(exchange.sent()) == before, "it was sent before its claim was on disk"


def _stopped(daemon: Daemon) -> bool:
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/stat").read_text()
    return status.rpartition(") ")[2].startswith("T")


def _claimed(faults: Faults) -> bool:
    """Whether the disk says that a request may be under way. From a copy: the daemon is in mid-commit."""
    copy = faults.platter.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(faults.platter, copy)
    with journal_check.open_journal(copy / "fks.db") as reader:
        return bool(reader.rows("SELECT 1 FROM order_ WHERE state = 'sending'"))
