"""A Binance that cannot be relied on, as a process and as what a test knows of it.

`python -m crash.exchange` serves it. While its `trouble` is above 0, that share of the placements is
executed without an answer, answered with nonsense, or neither; some are late, and some look-ups fail.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import exchange_process
from process import TESTS
from standins.binance import KEY, SECRET, BinanceStandIn
from standins.server import Fault, main

SILENT = ("reset", "close", "hang", "empty", "html", "cut", "garbage", "status")
# Seconds before a placement is carried out. The longest is more than the daemon waits for an answer.
LATENCIES, WEIGHTS = (0.0, 0.05, 0.3, 3.0), (70, 20, 8, 2)


class Unreliable(BinanceStandIn):
    """Faults at random, from a seed."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble = self.slow = 0.0
        self.random = Random(0)

    def _fault(self, route: str) -> Fault | None:
        planned = super()._fault(route)
        self.latency = self.slow if route in self.placing else 0.0
        if not self.trouble or planned is not None:
            return planned
        random = self.random
        if route not in self.placing:
            return Fault(random.choice(("reset", "status"))) if random.random() < self.trouble / 5 else None
        (self.latency,) = random.choices(LATENCIES, WEIGHTS)
        if random.random() >= self.trouble:
            return None
        if random.random() < 0.1:
            return Fault("limit", seconds=1.0)
        return Fault(random.choice(SILENT), executed=random.random() < 0.8)

    def _controlled(self, name: str, body: dict[str, Any]) -> Any:
        match name:
            case "trouble":
                self.trouble = float(body["share"])
                self.random = Random(body.get("seed", 0))
                self.faults.clear()
            case "slow":
                self.slow = float(body["seconds"])
            case "sent":
                return [one.params["newClientOrderId"] for one in self.placements]
            case "coins":
                return {name: str(amount) for name, amount in self.book.account.total.items()}
            case _:
                return super()._controlled(name, body)
        return {}


class Exchange(exchange_process.Exchange):
    """The process, steered and questioned through its control routes."""

    def __init__(self) -> None:
        self.name = "binance"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "crash.exchange"], cwd=TESTS, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.start = self.coins()

    def sent(self) -> list[str]:
        """The client id of every order request that arrived, carried out or not, in order."""
        found: list[str] = self.control("sent")
        return found

    def coins(self) -> dict[str, str]:
        found: dict[str, str] = self.control("coins")
        return found

    def config(self, **more: Any) -> str:
        """The account's part of the daemon's configuration."""
        extra = "\n".join(f"{name} = {json.dumps(value)}" for name, value in more.items())
        keys = f'api_key = "{KEY}"\napi_secret = "{SECRET}"\nbase_url = "{self.url}"'
        return f"[exchanges.binance]\n{keys}\n{extra}\n"


@contextmanager
def serving() -> Iterator[Exchange]:
    one = Exchange()
    with one.process:
        try:
            yield one
        finally:
            one.process.kill()


if __name__ == "__main__":
    main(Unreliable)
