"""The load: signed alerts over several connections, each sent when the one before is answered.

`python -m fks.bench.load` reads lines of JSON (address, secret, seconds, connections, keep_alive) and tells
what came of each. One thread and one selector, so that it costs less than what it loads.
"""

import itertools
import json
import selectors
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fks.bench.usage import tell
from fks.domain.auth import sign
from fks.domain.secret import Secret

PATH = "/webhook/tradingview"
PATIENCE_S = 10.0  # for one answer


@dataclass(slots=True)
class Client:
    """One connection, or one after another."""

    sock: socket.socket | None = None
    sent_at: float = 0.0
    buffer: bytes = b""


@dataclass(slots=True)
class Load:
    """`latencies`: seconds from sending, connecting included, to the answer's last byte, of 2xx answers."""

    host: str
    port: int
    secret: Secret
    keep_alive: bool
    numbers: "itertools.count[int]"
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def run(self, seconds: float, connections: int) -> float:
        """Seconds from the first request to the last answer."""
        began = time.monotonic()
        busy = connections
        for _ in range(connections):
            self._send(Client())
        while busy:
            ready = self.selector.select(PATIENCE_S)
            if not ready:
                raise TimeoutError(f"no answer for {PATIENCE_S:g} s from {self.host}:{self.port}")
            for key, _ in ready:
                client: Client = key.data
                if self._answered(client):
                    if time.monotonic() < began + seconds:
                        self._send(client)
                    else:
                        self._hang_up(client)
                        busy -= 1
        return time.monotonic() - began

    def _send(self, client: Client) -> None:
        message = self._message()
        client.buffer, client.sent_at = b"", time.monotonic()
        if client.sock is None:
            client.sock = socket.create_connection((self.host, self.port), PATIENCE_S)
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(client.sock, selectors.EVENT_READ, client)
        client.sock.sendall(message)

    def _message(self) -> bytes:
        body = json.dumps(alert(next(self.numbers))).encode()
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nUser-Agent: Go-http-client/1.1\r\n"
            f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            f"Connection: {'keep-alive' if self.keep_alive else 'close'}\r\n"
            f"X-Signature: {sign(self.secret, body)}\r\n\r\n"
        )
        return head.encode() + body

    def _answered(self, client: Client) -> bool:
        """Read what is there; whether the answer is complete, or the connection lost."""
        assert client.sock is not None
        try:
            data = client.sock.recv(65536)
        except ConnectionError:
            data = b""
        client.buffer += data
        head, end, body = client.buffer.partition(b"\r\n\r\n")
        if not data:
            self.broken += 1
        elif not end or len(body) < _content_length(head):
            return False
        else:
            status = int(head[9:12])
            self.statuses[status] += 1
            if status < 300:
                self.latencies.append(time.monotonic() - client.sent_at)
        if not data or not self.keep_alive:
            self._hang_up(client)
        return True

    def _hang_up(self, client: Client) -> None:
        if client.sock is not None:
            self.selector.unregister(client.sock)
            client.sock.close()
            client.sock = None


def alert(number: int) -> dict[str, Any]:
    """A new event each, so that none is a duplicate."""
    return {
        "id": f"bench-{number}",
        "symbol": "BTC/USDT",
        "action": "buy",
        "confidence": 0.85,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "amount": 0.001,
        "order_type": "market",
        "strategy": "bench",
        "comment": "what a strategy would say about this entry",
    }


def _content_length(head: bytes) -> int:
    _, name, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if name else 0


def main() -> None:
    numbers = itertools.count(time.time_ns())
    for line in sys.stdin:
        wish = json.loads(line)
        host, _, port = wish["address"].rpartition(":")
        load = Load(host, int(port), Secret(wish["secret"]), wish["keep_alive"], numbers)
        cpu = time.process_time()
        elapsed = load.run(wish["seconds"], wish["connections"])
        tell(
            {
                "seconds": elapsed,
                "cpu_s": time.process_time() - cpu,
                "latencies": load.latencies,
                "statuses": load.statuses,
                "broken": load.broken,
            }
        )


if __name__ == "__main__":
    main()
