"""A sender of good alerts, in a process of its own: what it waits is the daemon's time, not the fuzzer's."""

import http.client
import json
import multiprocessing
import time
from collections import Counter
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from types import TracebackType

from fks.domain.auth import sign
from process import SECRET, request

_PATIENCE_S = 20.0
_CONTEXT = multiprocessing.get_context("spawn")


class Witness:
    """Sends while its `with` lasts; then `statuses` (`none`: hung up on) and `waits_s` say what it saw."""

    def __init__(self, address: tuple[str, int], seed: int, pause_s: float) -> None:
        self.statuses: Counter[str] = Counter()
        self.waits_s: list[float] = []
        self._stop: Event = _CONTEXT.Event()
        self._seen: SimpleQueue[tuple[Counter[str], list[float]]] = _CONTEXT.SimpleQueue()
        self._process = _CONTEXT.Process(
            target=_send, args=(address, seed, pause_s, self._stop, self._seen), daemon=True
        )

    def __enter__(self) -> "Witness":
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self.statuses, self.waits_s = self._seen.get()
        self._process.join()


def _send(
    address: tuple[str, int],
    seed: int,
    pause_s: float,
    stop: Event,
    seen: "SimpleQueue[tuple[Counter[str], list[float]]]",
) -> None:
    statuses, waits_s = Counter[str](), list[float]()
    while not (stop.wait(pause_s) and waits_s):
        body = _alert(f"good-{seed}-{len(waits_s)}", len(waits_s))
        began = time.monotonic()
        try:
            reply = request(
                address, "POST", "/webhook", body, {"X-Signature": sign(SECRET, body)}, patience_s=_PATIENCE_S
            )
            statuses[str(reply.status)] += 1
        except (OSError, http.client.HTTPException):
            statuses["none"] += 1
        waits_s.append(time.monotonic() - began)
    seen.put((statuses, waits_s))


def _alert(name: str, serial: int) -> bytes:
    raw = {"symbol": "BTC/USDT", "action": ("buy", "sell")[serial % 2], "amount": 0.001, "confidence": 0.9}
    return json.dumps({**raw, "timestamp": time.time(), "id": name}).encode()
