"""What an account measures reaches the metrics under its own name: waits for the rate limit, clock skew."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from fakes import InlineJournal
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings, Settings
from fks.infra.metrics import Metrics
from fks.venues.account import Account
from fks.venues.accounts import AccountMaker
from makers import dec
from makers import order as any_order
from standins.binance import KEY, SECRET, BinanceStandIn
from test_metrics import value

pytestmark = pytest.mark.real_time


@asynccontextmanager
async def opened(folder: Path, *, skew: float = 0.0) -> AsyncIterator[tuple[Account, Metrics]]:
    async with BinanceStandIn() as exchange:
        exchange.skew = skew
        own = AccountSettings(
            type="binance", base_url=exchange.url, api_key=Secret(KEY), api_secret=Secret(SECRET)
        )
        metrics, journal = Metrics("1", 0.0), InlineJournal(folder / "fks.db", time.time)
        settings = Settings(exchanges={"mine": own})
        maker = AccountMaker(
            settings, journal.store, journal, markets=folder / "markets", wall=time.time, meter=metrics
        )
        account = await maker.make("mine")
        await account.venue.open()
        try:
            yield account, metrics
        finally:
            await account.venue.close()
            journal.store.close()


@pytest.mark.parametrize("skew", [7.0, -7.0])
async def test_clock_skew_is_the_exchanges_clock_minus_ours(tmp_path: Path, skew: float) -> None:
    async with opened(tmp_path, skew=skew) as (_, metrics):
        assert value(metrics, "fks_clock_skew_seconds", account="mine") == pytest.approx(skew, abs=0.5)


async def test_waits_for_the_rate_limit_are_measured_and_nothing_else_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as (account, metrics):
        venue: Any = account.venue
        assert value(metrics, "fks_throttle_wait_seconds_count", account="mine") is None
        gate = venue._session._throttle
        gate.bucket.take(trio.current_time(), gate.bucket.burst + 0.1 * gate.bucket.rate)
        began = trio.current_time()
        await venue.balance()
        took = trio.current_time() - began
        await venue.cancel(any_order("q0123456789abcdefg", amount=dec("0.01")))  # does not wait
        assert value(metrics, "fks_throttle_wait_seconds_count", account="mine") == 1
        waited = value(metrics, "fks_throttle_wait_seconds_sum", account="mine")
    assert waited is not None
    assert 0.1 <= waited <= took
