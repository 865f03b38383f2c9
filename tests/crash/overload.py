"""`python -m crash.overload [--seconds N]`: far more than the real daemon can take, by every way in.

Prints what it was told and what it took. Exit codes: 0 every limit held, 1 one did not, 2 usage.
"""

import argparse
import json
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

from fks.domain.auth import sign
from process import PAPER, SECRET, Daemon

SLOWEST_S = 3.0  # TradingView waits no longer
GROWTH = 24 << 20  # bytes, once every pool, cache and buffer has its size
EXPECTED = {"200", "202", "429", "503"}
DEAD = """
[exchanges.dead]
type = "binance"
api_key = "key"
api_secret = "secret"
base_url = "http://127.0.0.1:9"
"""
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")


@dataclass
class Told:
    """By the daemon, in one flood. Times in seconds, memory in bytes."""

    name: str
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)  # "": hung up without a word
    slowest: float = 0.0
    began_with: int = 0
    settled_at: int = 0  # after the first third
    ended_with: int = 0

    @property
    def problems(self) -> Iterator[str]:
        if strange := self.statuses.keys() - EXPECTED:
            yield f"{self.name}: unexpected replies {strange}"
        if not self.statuses:
            yield f"{self.name}: no reply at all"
        if self.slowest > SLOWEST_S:
            yield f"{self.name}: a reply took {self.slowest:.1f} s"
        if self.ended_with - self.settled_at > GROWTH:
            yield f"{self.name}: the memory grew by {(self.ended_with - self.settled_at) >> 20} MB"

    def __str__(self) -> str:
        replies = ", ".join(f"{status} {count:,}" for status, count in sorted(self.statuses.items()))
        memory = " → ".join(f"{one >> 20}" for one in (self.began_with, self.settled_at, self.ended_with))
        rate = self.statuses.total() / max(self.seconds, 1e-9)
        return f"{self.name}: {replies} ({rate:,.0f}/s), slowest {self.slowest:.2f} s, memory {memory} MB"


class Overload:
    """Floods of one daemon, one after the other."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._serial = 0

    async def flood(self, name: str, seconds: float, senders: int, **fields: object) -> Told:
        """As many alerts as go, each sender on a connection of its own while the daemon keeps it."""
        told = Told(name, began_with=self.memory())
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(senders):
                nursery.start_soon(self._sender, told, fields)
            await trio.sleep(seconds / 3)
            told.settled_at = self.memory()
            await trio.sleep(seconds * 2 / 3)
            nursery.cancel_scope.cancel()
        told.seconds = trio.current_time() - began
        told.ended_with = self.memory()
        return told

    def memory(self) -> int:
        """Resident and its own: pages of mapped files are the kernel's to take back."""
        assert self.daemon.process is not None
        text = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        return int(text.partition("RssAnon:")[2].split()[0]) << 10

    async def _sender(self, told: Told, fields: dict[str, object]) -> None:
        while True:
            with suppress(OSError, trio.BrokenResourceError):
                async with await trio.open_tcp_stream(*self.daemon.door) as stream:
                    while await self._send(told, stream, fields):
                        pass

    async def _send(self, told: Told, stream: trio.SocketStream, fields: dict[str, object]) -> bool:
        """Whether the connection may be used again."""
        began = trio.current_time()
        await stream.send_all(self._request(fields))
        seen = await stream.receive_some(65_536)
        told.slowest = max(told.slowest, trio.current_time() - began)
        if found := _STATUS.match(seen):
            told.statuses[found[1].decode()] += 1
        return bool(found) and b"connection: close" not in seen.lower()

    def _request(self, fields: dict[str, object]) -> bytes:
        self._serial += 1
        raw = {
            "symbol": "BTC/USDT", "action": "buy", "amount": 0.001, "confidence": 0.9,
            "timestamp": time.time(), "id": f"over-{self._serial}", **fields,
        }  # fmt: skip
        body = json.dumps(raw).encode()
        head = f"POST /webhook HTTP/1.1\r\nHost: a\r\nX-Signature: {sign(SECRET, body)}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def idle(daemon: Daemon, count: int) -> Iterator[None]:
    """So many connections that say nothing."""
    connections = [socket.create_connection(daemon.door, timeout=5) for _ in range(count)]
    try:
        yield
    finally:
        for one in connections:
            one.close()


def prepared(folder: Path, *, wait_s: float = 0.0, max_connections: int = 256) -> Daemon:
    """A daemon with a paper account and one whose exchange is dead."""
    daemon = Daemon(folder, PAPER + DEAD, head='default_exchange = "paper"\n')
    text = daemon.config.read_text().replace("wait_s = 5.0", f"wait_s = {wait_s}")
    text = text.replace("per_minute = 100000", "per_minute = 100000000").replace("10000,", "1000000,")
    daemon.config.write_text(text.replace("[server]", f"[server]\nmax_connections = {max_connections}"))
    return daemon


async def campaign(daemon: Daemon, seconds: float) -> list[Told]:
    over = Overload(daemon)
    await over.flood("", seconds, 64)  # until then pools, caches and buffers have no size yet
    found = [
        await over.flood("64 senders", seconds, 64),
        await over.flood("600 senders on 256 connections", seconds, 600),
        await over.flood("bodies of 16 KB", seconds, 64, padding="x" * 15_000),
        await over.flood("for a dead exchange", seconds, 64, exchange="dead"),
    ]
    with idle(daemon, 2_000):
        found.append(await over.flood("beside 2,000 idle connections", seconds, 16))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m crash.overload", description="Too much of everything.")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="N", help="for each flood (30)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fks-overload-") as folder:
        daemon = prepared(Path(folder)).start()
        try:
            found = trio.run(campaign, daemon, options.seconds)
            alive = daemon.stop() == 0
        finally:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.kill()
    problems = [problem for told in found for problem in told.problems]
    problems += [] if alive else ["the daemon did not end with 0"]
    sys.stdout.write("\n".join([*map(str, found), *problems]) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
