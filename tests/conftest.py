"""Time is a mock clock and every async test ends: it fails after a virtual hour instead of hanging."""

from collections.abc import Awaitable, Callable, Sequence
from inspect import iscoroutinefunction
from typing import Any

import hypothesis
import pytest
import trio
import trio.testing

# A machine that is busy with other tests is no failure.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


def run(fn: Callable[[], Awaitable[None]], *, clock: Any = None, instruments: Sequence[Any] = ()) -> None:
    async def bounded() -> None:
        with trio.fail_after(3600):
            await fn()

    trio.run(bounded, clock=clock or trio.testing.MockClock(autojump_threshold=0), instruments=instruments)


def real_time(
    fn: Callable[[], Awaitable[None]], *, clock: Any = None, instruments: Sequence[Any] = ()
) -> None:
    async def bounded() -> None:
        with trio.fail_after(120):
            await fn()

    trio.run(bounded, clock=None, instruments=instruments)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_time: sockets or processes are involved, so the clock is real")
    config.addinivalue_line("markers", "fault(*numbers): proves these faults of docs/faults.md")


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    for item in items:
        if iscoroutinefunction(item.obj):
            runner = real_time if item.get_closest_marker("real_time") else run
            item.add_marker(pytest.mark.trio(run=runner))
