"""`python -m crash.restarts [--restarts N]`: restart the daemon every two seconds under 50 alerts a second.

As under systemd with `fks.socket`, the listening sockets are held by who starts it, so that a restart refuses
nobody: a connection waits for the next life. Prints what the senders saw and what the journal holds.
Exit codes: 0 every acknowledged alert has exactly one order and no connection was refused, 1 otherwise.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from fks.domain.auth import sign
from process import HOST, PAPER, SECRET, Daemon

PER_S = 50.0
EVERY_S = 2.0
PATIENCE_S = 30.0  # longer than a start on a busy machine: what is counted is refusals
RESENDS = 5


class Held(Daemon):
    """A daemon whose sockets are passed to it, as by systemd."""

    def __init__(self, folder: Path, config: str = PAPER) -> None:
        super().__init__(folder, config)
        self.listeners = [socket.create_server((HOST, 0), backlog=1024) for _ in range(2)]

    def spawn(self, **env: str) -> None:
        fds = [listener.fileno() for listener in self.listeners]
        script = f'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=door:desk exec "$0" "$@" 3<&{fds[0]} 4<&{fds[1]}'
        with self.log.open("ab") as log:
            self._written = log.tell()
            command = [sys.executable, "-m", "fks", "run", "--config", str(self.config)]
            self.process = subprocess.Popen(
                ["bash", "-c", script, *command],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                pass_fds=fds,
                env={**os.environ, "STATE_DIRECTORY": str(self.folder), **env},
            )

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()


@dataclass
class Seen:
    """What the senders saw. `waited` are the seconds until each acknowledgement, re-sends included."""

    sent: int = 0
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # connections: refused, reset, or closed without a reply
    late: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    waited: list[float] = field(default_factory=list)
    restarts: int = 0
    exits: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # acknowledged alerts without exactly one order

    @property
    def sound(self) -> bool:
        return not self.refused and not self.wrong and not self.late and set(self.exits) == {0}

    def __str__(self) -> str:
        waited = sorted(self.waited) or [0.0]
        return (
            f"{self.restarts} restarts, {self.sent} alerts sent, {len(self.acknowledged)} acknowledged, "
            f"{len(self.wrong)} without exactly one order, {len(self.refused)} connections refused; "
            f"acknowledged after {waited[len(waited) // 2]:.3f} s (median), {waited[-1]:.2f} s (longest); "
            f"replies {dict(self.statuses)}"
        )


def run(folder: Path, restarts: int) -> Seen:
    """Restart so many times under load, then compare the journal with what was acknowledged."""
    daemon, seen, stop = Held(folder), Seen(), threading.Event()
    daemon.start()
    load = threading.Thread(target=_load, args=(daemon, seen, stop))
    load.start()
    try:
        for _ in range(restarts):
            began = time.monotonic()
            seen.exits[daemon.stop()] += 1
            daemon.start()
            seen.restarts += 1
            time.sleep(max(0.0, began + EVERY_S - time.monotonic()))
    finally:
        stop.set()
        load.join()
        _rest(daemon)
        seen.exits[daemon.stop()] += 1
        daemon.close()
    seen.wrong = _wrong(folder, seen.acknowledged)
    return seen


def _load(daemon: Held, seen: Seen, stop: threading.Event) -> None:
    """An open loop: whatever the replies take, alerts keep coming."""
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=200) as senders:
        while not stop.wait(max(0.0, began + seen.sent / PER_S - time.monotonic())):
            seen.sent += 1
            senders.submit(_send, daemon, seen, f"restart-{seen.sent}")


def _send(daemon: Held, seen: Seen, name: str) -> None:
    began, raw = time.monotonic(), {"symbol": "BTC/USDT", "action": "buy", "amount": 0.0002, "confidence": 1}
    body = json.dumps({**raw, "id": name, "timestamp": time.time()}).encode()
    for _ in range(RESENDS):
        try:
            reply = daemon.post(body, {"X-Signature": sign(SECRET, body)})
        except TimeoutError:
            seen.late += 1
            return
        except (OSError, http.client.HTTPException) as error:
            seen.refused.append(f"{name}: {error!r}")
            return
        seen.statuses[reply.status] += 1
        if reply.status in (200, 202):
            seen.acknowledged.append(reply.json["alert_id"])
            seen.waited.append(time.monotonic() - began)
            return
        time.sleep(0.5)  # 503: TradingView would wait for 5 s


def _rest(daemon: Held) -> None:
    """Until nothing is owed any more."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not any(one["state"] in ("planned", "sending", "unknown") for one in daemon.orders()):
            return
        time.sleep(0.2)


def _wrong(folder: Path, acknowledged: Sequence[str]) -> list[str]:
    database = apsw.Connection(str(folder / "fks.db"), flags=apsw.SQLITE_OPEN_READONLY)
    rows: Any = database.execute(
        "SELECT alert_id, count(*), sum(state = 'filled') FROM orders GROUP BY alert_id"
    )
    orders = {alert_id: (count, filled) for alert_id, count, filled in rows}
    database.close()
    return [f"{one}: {orders.get(one)}" for one in set(acknowledged) if orders.get(one) != (1, 1)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m crash.restarts", description=__doc__)
    parser.add_argument("--restarts", type=int, default=30, metavar="N")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fks-restarts-") as folder:
        seen = run(Path(folder), options.restarts)
    sys.stdout.write("\n".join([str(seen), *seen.refused[:5], *seen.wrong[:5]]) + "\n")
    return 0 if seen.sound else 1


if __name__ == "__main__":
    sys.exit(main())
