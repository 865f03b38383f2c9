"""What is put under load: the daemon on two exchanges and with two ways to answer, and two references."""

import http.client
import importlib.util
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fks.bench.process import BenchError, Child, running

START_S = 30.0  # for the daemon to be ready
REST_S = 60.0  # for its last order to be at rest
POLL_S = 0.25  # seldom enough to be no load
PACKAGES = ("fastapi", "uvicorn")  # of the reference service

CONFIG = """
default_exchange = "{account}"
[server]
listen = ["127.0.0.1:0"]
admin = ["127.0.0.1:0"]
admin_token = "{secret}"
[webhook]
secrets = ["{secret}"]
wait_s = {wait_s}
"""
PAPER = """
[exchanges.paper]
type = "paper"
balance = { USDT = 1000000000000.0 }
prices = { "BTC/USDT" = 50000.0 }
"""
BINANCE = """
[exchanges.binance]
api_key = "{key}"
api_secret = "{key}"
base_url = "{url}"
"""


@dataclass(frozen=True)
class Target:
    """Something that answers alerts. `settle` returns when all that was accepted is done with."""

    name: str
    process: Child
    address: str
    secret: str
    settle: Callable[[], None]


Start = Callable[[], AbstractContextManager[Target]]


def starters(folder: Path, exchange_url: str, reference: Path) -> dict[str, Start]:
    """By name, in the order in which they are measured. The reference service only if it can run."""
    binance = BINANCE.format(key="k" * 64, url=exchange_url)
    found: dict[str, Start] = {
        "paper, at once": partial(daemon, folder, "paper, at once", "paper", PAPER, 0.0),
        "paper, waiting": partial(daemon, folder, "paper, waiting", "paper", PAPER, 1.0),
        "exchange, at once": partial(daemon, folder, "exchange, at once", "binance", binance, 0.0),
        "exchange, waiting": partial(daemon, folder, "exchange, waiting", "binance", binance, 1.0),
        "bare server": partial(bare, folder),
    }
    if why_no_reference(reference) is None:
        found["reference service"] = partial(service, folder, reference, exchange_url)
    return found


def why_no_reference(reference: Path) -> str | None:
    """What is missing for the reference service; None: nothing."""
    if not reference.is_file():
        return f"there is no {reference}: it is part of the source, not of the package"
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    return f"it needs {' and '.join(missing)}: pip install 'fks-execution[bench]'" if missing else None


@contextmanager
def daemon(folder: Path, name: str, account: str, exchange: str, wait_s: float) -> Iterator[Target]:
    """The real daemon, its journal on the disk of `folder`. `wait_s` 0 answers as soon as that has it."""
    secret = secrets.token_hex(24)
    state = folder / name.replace(", ", "-").replace(" ", "-")
    state.mkdir()
    config = state / "fks.toml"
    config.touch(mode=0o600)
    config.write_text(CONFIG.format(account=account, secret=secret, wait_s=wait_s) + exchange)
    env = {**os.environ, "STATE_DIRECTORY": str(state)}
    command = ("-m", "fks.bench.unlimited", "run", "--config", str(config))
    with running(state / "daemon.log", *command, env=env, stdout=state / "log.jsonl") as process:
        started = _started(process, state / "log.jsonl")
        settle = partial(_settle, started["desk"][0], secret)
        yield Target(name, process, started["door"][0], secret, settle)


def _started(process: Child, log: Path) -> dict[str, Any]:
    """The log's line that names the addresses, once the account is ready too. Raises BenchError."""
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up and process.process.poll() is None:
        lines = [line for line in log.read_bytes().splitlines(keepends=True) if line.endswith(b"}\n")]
        events: dict[str, dict[str, Any]] = {one["event"]: one for one in map(json.loads, lines)}
        if {"daemon_started", "account_ready"} <= events.keys():
            return events["daemon_started"]
        time.sleep(0.02)
    raise process.failure(f"was not ready within {START_S:g} s; its log: {log.read_text()[-1000:]}")


def _settle(desk: str, token: str) -> None:
    """Wait until no alert is undecided and no order planned or in flight."""
    give_up = time.monotonic() + REST_S
    while any(_some(desk, token, state) for state in ("accepted", "working")):
        if time.monotonic() > give_up:
            raise BenchError(f"the daemon still had orders to send {REST_S:g} s after the last alert")
        time.sleep(POLL_S)


def _some(desk: str, token: str, state: str) -> bool:
    connection = http.client.HTTPConnection(desk, timeout=10)
    try:
        bearer = {"Authorization": f"Bearer {token}"}
        connection.request("GET", f"/v1/alerts?limit=1&state={state}", headers=bearer)
        return bool(json.load(connection.getresponse())["alerts"])
    finally:
        connection.close()


@contextmanager
def bare(folder: Path) -> Iterator[Target]:
    with running(folder / "bare.log", "-m", "fks.bench.bare_server") as process:
        yield Target("bare server", process, process.read(), "unused", lambda: None)


@contextmanager
def service(folder: Path, reference: Path, exchange_url: str) -> Iterator[Target]:
    """The reference service: it answers when the exchange has answered, so there is nothing to wait for."""
    secret = secrets.token_hex(24)
    command = (str(reference), exchange_url, str(folder / "reference-audit.jsonl"))
    env = {**os.environ, "WEBHOOK_SECRET": secret}
    with running(folder / "reference.log", *command, env=env) as process:
        yield Target("reference service", process, process.read(), secret, lambda: None)
