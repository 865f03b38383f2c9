"""`python -m fks.bench.unlimited ARGS`: the `fks` command with every rate limit lifted.

The limits (alerts of one sender, orders of one account, requests to one exchange) exist to make it wait.
What is to be measured is how fast it is when it need not. Everything else is as it always is.
"""

import os
import runpy
import signal
import sys
from threading import Thread

from fks.domain.limits import Bucket


def _never(self: Bucket, now: float, cost: float = 1.0, reserve: float = 0.0) -> float:  # noqa: ARG001
    return 0.0  # in the place of `Bucket.wait`, hence its signature


def _end_with_the_bench() -> None:
    os.read(sys.stdin.fileno(), 1)  # nobody writes to it: it returns when the bench is gone
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Bucket.wait = _never  # type: ignore[method-assign]  # the bench's one lever
    Thread(target=_end_with_the_bench, daemon=True).start()
    runpy.run_module("fks", run_name="__main__", alter_sys=True)
