"""The two sides: upstream (asyncio and aiohttp), and ours (trio). Both under a clock that stands still."""

import asyncio
import json
import random
import re
import uuid
import warnings
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from itertools import count
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import trio
import yarl

from conformance import calls
from conformance.calls import Call
from conformance.recorder import Recorder, Wire
from fks.venues import trio_ccxt

PATIENCE_S = 5.0  # for one call: over loopback it takes milliseconds


class Outcome(NamedTuple):
    """`requests` as recorded. `result`: what was returned, as JSON, or the class of the exception."""

    requests: Sequence[Wire]
    result: str


@contextmanager
def _frozen() -> Iterator[None]:
    """Time stands still, and chance begins anew: two runs of one call see the same of both."""
    now_ns = calls.NOW_MS * 1_000_000
    clock = SimpleNamespace(time=lambda: now_ns / 1e9, time_ns=lambda: now_ns)
    serial = count(1)
    uuids = SimpleNamespace(uuid4=lambda: uuid.UUID(int=next(serial)), uuid5=uuid.uuid5, UUID=uuid.UUID)
    with (
        patch.multiple("ccxt.base.exchange", time=clock, uuid=uuids, random=random.Random(1)),
        patch.object(trio_ccxt, "time", clock),
    ):
        yield


async def _outcome(answer: Awaitable[Any]) -> str:
    try:
        value = await answer
    except Exception as error:  # noqa: BLE001 - its class is what is compared
        kind = type(error)
        return f"raised {kind.__module__}.{kind.__qualname__}"
    return "returned " + json.dumps(value, default=lambda one: type(one).__qualname__)


def _made(kind: type[Any], **settings: Any) -> Any:
    with _frozen():
        exchange = kind(
            {**calls.account(kind.__name__), "enableRateLimit": False, "timeout": 5000, **settings}
        )
        exchange.set_markets(calls.markets(exchange))
    return exchange


class _LoopbackSession:
    """aiohttp's session, its requests turned to the recorder after ccxt has signed them for the real host."""

    def __init__(self, session: Any, address: str) -> None:
        self._session, self._address = session, address

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._session, name)
        if name not in ("get", "post", "put", "patch", "delete"):
            return value
        return lambda url, **options: value(
            yarl.URL(re.sub(r"^https?://[^/?#]+", self._address, str(url)), encoded=True), **options
        )


def upstream(exchange_id: str, todo: Sequence[Call], recorder: Recorder) -> list[Outcome]:
    """What ccxt's own asynchronous class does, each call after the other."""

    async def outcome(exchange: Any, method: str, args: Any) -> str:
        try:
            async with asyncio.timeout(PATIENCE_S):
                result = await _outcome(getattr(exchange, method)(*args))
                # asyncio's gather returns at the first error; the other requests are still on their way.
                if others := asyncio.all_tasks() - {asyncio.current_task()}:
                    await asyncio.wait(others)
            return result
        except TimeoutError:
            return f"upstream's {method} did not end"

    async def run() -> list[Outcome]:
        module = import_module(f"ccxt.async_support.{exchange_id}")
        exchange = _made(getattr(module, exchange_id), verify=False)
        exchange.timeout_on_exit = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # aiohttp's word on upstream's options
            exchange.open()
        exchange.session = _LoopbackSession(exchange.session, recorder.url)
        found = []
        for method, args in deepcopy(todo):
            with _frozen():
                result = await outcome(exchange, method, args)
            found.append(Outcome(recorder.take(), result))
        await exchange.close()
        return found

    return asyncio.run(run())


def ours(exchange_id: str, todo: Sequence[Call], recorder: Recorder) -> list[Outcome]:
    """What the class on trio does, each call after the other."""

    async def run() -> list[Outcome]:
        exchange = _made(trio_ccxt.trio_exchange(exchange_id), base_url=recorder.url)
        found = []
        for method, args in deepcopy(todo):
            result = f"our {method} did not end"
            with _frozen(), trio.move_on_after(PATIENCE_S):
                result = await _outcome(getattr(exchange, method)(*args))
            found.append(Outcome(recorder.take(), result))
        await exchange.close()
        return found

    return trio.run(run)
