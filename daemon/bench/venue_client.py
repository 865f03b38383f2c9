"""One side of the venue comparison: `python -m fks.bench.venue_client SIDE URL`, asked in lines of JSON.

SIDE is `ours` or `upstream`, a module here with a `Client` and a `run`. Only that side is imported, so
that the memory is its own.
"""

import gc
import importlib
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from fks.bench.usage import rss_mb, tell

KEY, SECRET = "k" * 64, "s" * 64  # of the length of real ones: signing costs by it
SYMBOL, AMOUNT = "BTC/USDT", 0.001
OUT_OF_REACH = 1e12  # requests, and a second: the rate limiters work as always, and never wait

Work = Callable[[], Awaitable[None]]


class Client(Protocol):
    """ccxt's Binance on one asynchronous library, its rate limiter on and never full."""

    async def load_markets(self) -> int:
        """How many there are."""
        ...

    async def place(self, client_order_id: str) -> dict[str, Any]:
        """A market buy by ccxt's `create_order`; its unified order."""
        ...

    async def together(self, works: Sequence[Work]) -> None:
        """Run them at once, to the end of the last."""
        ...

    async def close(self) -> None: ...


async def serve(client: Client) -> None:
    """Answer until stdin closes. Reading it blocks the loop, in which nothing else runs by then."""
    for line in sys.stdin:
        question = json.loads(line)
        match question["do"]:
            case "load":
                markets = await client.load_markets()
                gc.collect()
                tell({"markets": markets, "rss_mb": rss_mb()})
            case "place":
                tell(await _place(client, question["in_flight"], question["seconds"]))
    await client.close()


async def _place(client: Client, in_flight: int, seconds: float) -> dict[str, float]:
    """Orders without a pause on `in_flight` tasks. CPU is this process's alone, the parsing included."""
    numbers = itertools.count(time.time_ns())
    placed = 0
    began, cpu = time.monotonic(), time.process_time()

    async def one_after_another() -> None:
        nonlocal placed
        while True:  # at least one each, however short the time
            name = f"q{next(numbers) % 10**17:017d}"
            order = await client.place(name)
            if not order["id"] or order["clientOrderId"] != name:
                raise RuntimeError(f"this is no answer to order {name}: {order}")
            placed += 1
            if time.monotonic() > began + seconds:
                return

    await client.together([one_after_another] * in_flight)
    return {"orders": placed, "seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}


def main() -> None:
    side, url = sys.argv[1:]
    before = rss_mb()
    module = importlib.import_module(f"fks.bench.{side}")
    tell({"rss_mb": rss_mb(), "before_mb": before})

    async def run() -> None:
        await serve(module.Client(url))

    module.run(run)


if __name__ == "__main__":
    main()
