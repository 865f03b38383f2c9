"""What an account is worth, and when that is not known."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import cast

import pytest
import trio

from fakes import FakeMeter, FakeVenue
from fks.actors.metrics import BOOK_S, EQUITY_S, MetricsActor
from fks.domain.errors import Transient
from fks.domain.limits import Breaker, BreakerRules, Bucket
from fks.domain.messages import AccountStatus, Balance, Market, Ticker
from fks.infra.disk_usage import DiskUsage
from fks.infra.metrics import Metrics
from fks.kernel import INLINE, Latest
from fks.ledger import Journal
from fks.venues.account import Account
from fks.venues.equity import MAX_PRICED, equity
from makers import market
from memory_journal import MemoryJournal, MemoryLedger
from test_metrics import value


class Bourse(FakeVenue):
    """These markets, where everything costs 100 but what has no price."""

    def __init__(self, symbols: Sequence[str], unpriced: str = "") -> None:
        super().__init__()
        self.symbols = symbols
        self.unpriced = unpriced
        self.asked: list[str] = []

    def markets(self) -> Mapping[str, Market]:
        return {symbol: market(symbol) for symbol in self.symbols}

    async def ticker(self, symbol: str) -> Ticker:
        self.asked.append(symbol)
        if symbol == self.unpriced:
            raise Transient("no price")
        return Ticker(symbol=symbol, last=Decimal(100))


def account(venue: Bourse, **total: str) -> Account:
    money = {currency: Decimal(amount) for currency, amount in total.items()}
    balance = Balance(free=money, total=money) if money else None
    return Account(
        name="a",
        venue=venue,
        journal=cast(Journal, None),
        bucket=Bucket(1.0, 1.0),
        breaker=Breaker(BreakerRules()),
        status=Latest(AccountStatus(account="a", type="fake", balance=balance)),
        meter=FakeMeter(),
        wall=lambda: 0.0,
        patience_s=1.0,
    )


PAIRS = ("BTC/USDT", "ETH/USDT")
PERPETUAL = "BTC/USDT:USDT"


@pytest.mark.parametrize(
    ("venue", "total", "traded", "worth"),
    [
        (Bourse(PAIRS), {"USDT": "7", "BTC": "2", "XYZ": "9"}, ["BTC/USDT"], ("USDT", 207)),
        (Bourse(PAIRS), {"USDT": "7", "BTC": "2"}, [], ("USDT", 207)),  # all its markets count in one
        (Bourse((*PAIRS, "BTC/EUR")), {"USDT": "7"}, [], None),  # in which currency?
        (Bourse((*PAIRS, "BTC/EUR")), {"USDT": "7"}, ["ETH/USDT"], ("USDT", 7)),
        (Bourse(PAIRS, unpriced="BTC/USDT"), {"USDT": "7", "BTC": "2"}, ["BTC/USDT"], None),
        (Bourse((PERPETUAL, "BTC/USDT")), {"USDT": "7", "BTC": "2"}, [PERPETUAL], ("USDT", 7)),
        (Bourse(PAIRS), {}, ["BTC/USDT"], None),
    ],
)
async def test_worth(
    venue: Bourse, total: dict[str, str], traded: list[str], worth: tuple[str, int] | None
) -> None:
    assert await equity(account(venue, **total), traded) == worth


async def test_a_testnets_gifts_do_not_cost_the_rate_limit() -> None:
    bases = [f"C{number}" for number in range(MAX_PRICED + 1)]
    venue = Bourse([f"{base}/USDT" for base in bases])
    assert await equity(account(venue, **dict.fromkeys(bases, "1")), []) is None
    assert not venue.asked


async def test_each_account_is_valued_each_minute_unless_it_cannot_be_reached() -> None:
    venue, metrics = Bourse(PAIRS), Metrics("1", 0.0)
    one = account(venue, USDT="7", BTC="2")

    def no_disk() -> DiskUsage:
        raise OSError

    INLINE.set(True)  # the mock clock would not wait for a thread
    async with trio.open_nursery() as tasks:
        journal = MemoryJournal(MemoryLedger())
        await MetricsActor(tasks, metrics, journal, lambda: 0.0, no_disk, lambda: [one]).start()
        await trio.sleep(BOOK_S + 1)
        assert value(metrics, "fks_equity", account="a", currency="USDT") == 207
        await trio.sleep(EQUITY_S + BOOK_S + 1)
        assert len(venue.asked) == 2
        one.tell(reachable=False)
        await trio.sleep(2 * EQUITY_S)
        assert len(venue.asked) == 2
        tasks.cancel_scope.cancel()
