"""A stand-in exchange as a process of its own, as the daemon under test meets it."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from process import PATIENCE_S, TESTS


class Exchange:
    """Steered through its control routes. `name`: binance, bybit or okx."""

    def __init__(self, name: str = "binance") -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"standins.{name}"], cwd=TESTS, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def control(self, name: str, **body: Any) -> Any:
        data = json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}/_control/{name}", data, timeout=PATIENCE_S) as reply:
            return json.load(reply)

    def fault(self, kind: str, **more: Any) -> None:
        self.control("fault", kind=kind, **more)

    def executions(self) -> dict[str, int]:
        """How often each client order id was executed."""
        found: dict[str, int] = self.control("executions")
        return found


@contextmanager
def exchange_running(name: str) -> Iterator[Exchange]:
    """One that ends with the test, however that ends."""
    one = Exchange(name)
    with one.process:
        try:
            yield one
        finally:
            one.process.kill()
