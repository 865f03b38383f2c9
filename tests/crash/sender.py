"""Alert senders with TradingView's rules, several at once, each from its own seed.

A 5xx is sent again, three times at most, 5 s apart (here scaled); a timeout never. A proxy stands
before the daemon: where nobody listens, or the connection breaks, it says 502.
"""

import heapq
import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fks.domain.auth import sign
from process import SECRET, Daemon, Reply, request

PATIENCE_S = 3.0
RESENDS = 3
EXPECTED = (200, 202, 422, 502, 503)


@dataclass(frozen=True)
class Acknowledged:
    alert_id: str
    status: int
    body: dict[str, Any]


@dataclass
class Senders:
    """Start with `with`. What they were told is in `acknowledged` and `surprises`."""

    daemon: Daemon
    seed: int
    count: int = 6
    pause_s: float = 0.05  # between two alerts of one sender
    resend_s: float = 0.6
    acknowledged: list[Acknowledged] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    sent: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Senders":
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        random = Random(self.seed * 100 + number)
        again: list[tuple[float, int, bytes]] = []  # due, how often sent, body
        serial = 0
        while not self._stop.wait(random.uniform(0, 2 * self.pause_s)):
            if again and again[0][0] <= time.monotonic():
                _, times, body = heapq.heappop(again)
            else:
                serial += 1
                times, body = 0, alert(random, f"{number}-{serial}")
            status = self._send(body)
            if random.random() < 0.05:  # the network doubles it
                status = self._send(body)
            if status >= 500 and times < RESENDS:
                heapq.heappush(again, (time.monotonic() + self.resend_s, times + 1, body))

    def _send(self, body: bytes) -> int:
        """The status that the sender sees; 0 for none in time."""
        self.sent += 1
        try:
            reply = request(
                self.daemon.door,
                "POST",
                "/webhook",
                body,
                {"X-Signature": sign(SECRET, body)},
                patience_s=PATIENCE_S,
            )
        except TimeoutError:
            return 0
        except (OSError, http.client.HTTPException):
            return 502
        self._note(reply)
        return reply.status

    def _note(self, reply: Reply) -> None:
        if reply.status not in EXPECTED:
            self.surprises.append(repr(reply))
        if reply.status in (200, 202, 422):
            self.acknowledged.append(Acknowledged(reply.json["alert_id"], reply.status, reply.json))


def alert(random: Random, name: str) -> bytes:
    """Every kind that an account on spot takes."""
    raw: dict[str, Any] = {
        "symbol": random.choice(("BTC/USDT", "ETHUSDT")),
        "action": random.choice(("buy", "sell")),
        "confidence": 0.9,
        "timestamp": time.time(),
        "strategy": name.partition("-")[0],
    }
    price, unit = (50_000, "0.0010") if raw["symbol"] == "BTC/USDT" else (2_500, "0.0200")
    raw["amount"] = float(unit) * random.randint(1, 5)
    raw["exchanges"] = random.choice((["binance"], ["binance"], ["paper"], ["binance", "paper"]))
    if random.random() < 0.8:  # the others are told apart by what they say
        raw["id"] = name
    kind = random.random()
    if kind < 0.15:
        raw |= {"order_type": "limit", "price": price * random.choice((0.98, 1.02))}
    elif kind < 0.30:
        raw |= {"action": "buy", "stop_loss": price * 0.96, "take_profit": price * 1.04}
    elif kind < 0.32:
        raw = {**raw, "action": random.choice(("close", "cancel"))}
        del raw["amount"]
    return json.dumps(raw).encode()
