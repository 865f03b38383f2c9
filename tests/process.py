"""The real daemon as a process, and what a sender and an operator do with it over real sockets."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fks.domain.auth import sign
from fks.domain.secret import Secret

SECRET = Secret("a-webhook-secret-of-24-bytes")
TOKEN = "an-admin-token-for-tests"
TESTS = Path(__file__).parent

# Of this process alone: who still talks to a daemon that was killed meets nobody else's at its old port.
HOST = f"127.{1 + (os.getpid() >> 16)}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"

CONFIG = f"""
[server]
listen = ["{HOST}:0"]
admin = ["{HOST}:0"]
admin_token = "{TOKEN}"
drain_s = 5.0
[webhook]
secrets = ["{SECRET.reveal()}"]
wait_s = 5.0
rate = {{ burst = 10000, per_minute = 100000 }}
"""
PAPER = """
[exchanges.paper]
type = "paper"
balance = { USDT = 100000.0 }
prices = { "BTC/USDT" = 50000.0 }
"""

PATIENCE_S = 60.0  # with what takes a moment, on a machine with other work: who passes never waits so long


def until(true: Callable[[], object], what: str = "what was waited for", within: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.02)


class Daemon:
    """One life after another of the daemon on one state directory."""

    def __init__(self, folder: Path, config: str = PAPER, *, head: str = "") -> None:
        self.folder = folder
        self.config = folder / "fks.toml"
        self.config.write_text(head + CONFIG + config)
        self.config.chmod(0o600)
        self.log = folder / "log.jsonl"
        self.process: subprocess.Popen[bytes] | None = None
        self.door = self.desk = ("", 0)
        self._written = 0

    def start(self, **env: str) -> "Daemon":
        """Return when the door accepts."""
        self.spawn(**env)
        self.await_started()
        return self

    def spawn(self, **env: str) -> None:
        """Return at once."""
        with self.log.open("ab") as log:
            self._written = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fks", "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "STATE_DIRECTORY": str(self.folder), **env},
            )

    def await_started(self) -> None:
        started = self._await_line("daemon_started", self._written)
        self.door, self.desk = _address(started["door"][0]), _address(started["desk"][0])

    def _await_line(self, event: str, after: int) -> dict[str, Any]:
        assert self.process is not None
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with self.log.open("rb") as log:
                log.seek(after)
                lines = log.read().splitlines(keepends=True)
            for line in lines:
                if line.startswith(b"{") and line.endswith(b"\n") and json.loads(line).get("event") == event:
                    found: dict[str, Any] = json.loads(line)
                    return found
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.02)
        raise AssertionError(f"no {event} in {PATIENCE_S:g} s:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_S)

    def reload(self) -> None:
        assert self.process is not None
        self._written = self.log.stat().st_size
        self.process.send_signal(signal.SIGHUP)

    def await_event(self, name: str) -> dict[str, Any]:
        """The first such line of the log since the last start or reload."""
        return self._await_line(name, self._written)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_bytes().splitlines() if line.startswith(b"{")]

    def obituary(self) -> str:
        """For whoever wonders why a test has failed."""
        state = "was never started" if self.process is None else f"exit code {self.process.poll()}"
        log = self.log.read_text()[-3000:] if self.log.exists() else ""
        return f"{self.folder.name}: {state}\n{log}"

    # --- a sender and an operator

    def post(self, body: bytes, headers: dict[str, str] | None = None, path: str = "/webhook") -> "Reply":
        return request(self.door, "POST", path, body, headers)

    def alert(self, **fields: Any) -> "Reply":
        """A signed one, with everything that is required."""
        raw = {
            "symbol": "BTC/USDT", "action": "buy", "amount": 0.01,
            "confidence": 0.9, "timestamp": time.time(), **fields,
        }  # fmt: skip
        body = json.dumps({name: value for name, value in raw.items() if value is not None}).encode()
        return self.post(body, {"X-Signature": sign(SECRET, body)})

    def accepted(self, **fields: Any) -> str:
        """Its id. After a 503 it is sent again, as TradingView does: the disk may have been held up."""
        same = {"timestamp": time.time(), **fields}
        reply = self.alert(**same)
        for _ in range(3):
            if reply.status != 503:
                break
            time.sleep(1.0)
            reply = self.alert(**same)
        assert reply.status in (200, 202), reply
        found: str = reply.json["alert_id"]
        return found

    def ask(self, path: str, method: str = "GET", body: bytes = b"") -> Any:
        reply = request(self.desk, method, path, body, {"Authorization": f"Bearer {TOKEN}"})
        assert reply.status < 300, reply
        return reply.json

    def orders(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("/v1/orders?limit=1000")["orders"]
        return found

    def until_order(self, alert_id: str, *states: str, within: float = PATIENCE_S) -> dict[str, Any]:
        """The alert's entry, once it is in one of the states."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for order in self.ask(f"/v1/alerts/{alert_id}")["orders"]:
                if order["leg"] in ("entry", "close") and order["state"] in states:
                    found: dict[str, Any] = order
                    return found
            time.sleep(0.05)
        raise AssertionError(f"{alert_id} is not {states}: {self.ask(f'/v1/alerts/{alert_id}')}")


class Reply:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:500]!r}"


def request(
    address: tuple[str, int],
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str] | None,
    *,
    patience_s: float = PATIENCE_S,
) -> Reply:
    connection = http.client.HTTPConnection(*address, timeout=patience_s)
    try:
        connection.request(method, path, body, headers or {})
        return Reply(connection.getresponse())
    finally:
        connection.close()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


@contextmanager
def running(folder: Path, config: str = PAPER, *, head: str = "") -> Iterator[Daemon]:
    """A daemon, ended by force if the test did not end it."""
    daemon = Daemon(folder, config, head=head).start()
    try:
        yield daemon
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
