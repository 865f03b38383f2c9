"""A race of any number of alerts passes no limit: of the account, a market, a strategy; whatever outcomes are
unknown, and however often the actors die meanwhile.
"""

import random
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from fakes import FakeVenue
from fks.domain.messages import Order, Report
from fks.domain.orders import State
from fks.domain.settings import Limits, RiskSettings, StrategyLimits, StrategySettings
from rig import Rig

PRICE = Decimal(50_000)
ALERTS, WAVES = 500, 5


class Witness(FakeVenue):
    """Notes, at each request, the most that the account may have by then in the worst case."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        steps = ("fill", "open", "lost", "never", "hang")
        super().__init__(*chance.choices(steps, (8, 4, 3, 2, 1), k=ALERTS))
        self.sent: list[tuple[float, Order]] = []
        self.worst: dict[str, Decimal] = {"account": Decimal(0), "ETH/USDT": Decimal(0), "trend": Decimal(0)}
        self.most_open = 0

    async def place(self, order: Order, legs: Any, at: float) -> Any:
        self.sent.append((trio.current_time(), order))
        there = {**{one.client_order_id: one for _, one in self.placed}, order.client_order_id: order}
        for name, counts in WHOSE.items():
            by_symbol: dict[str, Decimal] = {}
            for one in there.values():
                if counts(one):
                    known = self.orders.get(one.client_order_id)
                    unsent = one is order or known is None
                    amount = order.amount if one is order else Decimal(0) if unsent else _at_most(one, known)
                    by_symbol[one.symbol] = by_symbol.get(one.symbol, Decimal(0)) + amount
            self.worst[name] = max(self.worst[name], *by_symbol.values(), Decimal(0))
        live = sum(one.state in (State.OPEN, State.PARTIAL) for one in self.orders.values())
        self.most_open = max(self.most_open, live + 1)
        return await super().place(order, legs, at)


def _at_most(order: Order, known: Report | None) -> Decimal:
    """What it has filled, or may still fill."""
    if known is None:
        return Decimal(0)
    return known.filled if known.state in (State.CANCELED, State.REJECTED) else order.amount


WHOSE: dict[str, Callable[[Order], bool]] = {
    "account": lambda _order: True,
    "ETH/USDT": lambda order: order.symbol == "ETH/USDT",
    "trend": lambda order: order.strategy == "trend",
}


def within_a_minute(sent: Iterable[tuple[float, Order]], counts: Callable[[Order], bool]) -> int:
    """The most requests in any window of 60 s."""
    times = sorted(at for at, order in sent if counts(order))
    return max((sum(at <= other < at + 60 for other in times) for at in times), default=0)


POSITION = {"max_position_notional": Decimal(5_000)}


@pytest.mark.parametrize("whose", list(WHOSE))
@pytest.mark.parametrize(
    "limit",
    [
        POSITION,
        {"max_order_notional": Decimal(499)},
        {"max_open_orders": 4},
        {"max_orders_per_minute": 7},
        {"cooldown_s": 30.0},
    ],
    ids=lambda limit: next(iter(limit)),
)
async def test_no_race_passes_a_limit_whatever_becomes_of_the_orders(
    tmp_path: Path, whose: str, limit: dict[str, Any]
) -> None:
    of_account = limit if whose == "account" else {}
    symbols = {whose: Limits(**limit)} if whose == "ETH/USDT" else {}
    own = StrategyLimits(**limit) if whose == "trend" else StrategyLimits()
    venue = Witness(seed=7)
    rig = Rig(
        tmp_path,
        venue,
        limits=RiskSettings(symbols=symbols, **of_account),
        strategies={"trend": StrategySettings(risk=own), "grid": StrategySettings()},
        patience_s=10.0,
    )
    async with rig.running(), trio.open_nursery() as lives:
        await trio.sleep(1)
        for wave in range(WAVES):
            async with trio.open_nursery() as race:
                for number in range(wave, ALERTS, WAVES):
                    race.start_soon(send, rig, number)
            await trio.sleep(0.1 + 4 * (wave % 2))
            if wave % 2:  # in the midst of it
                rig.crash()
                rig.start(lives)
        await trio.sleep(100)
        orders = await rig.orders()
        lives.cancel_scope.cancel()
    counts = WHOSE[whose]
    mine = [order for order in orders if counts(order)]
    assert len(orders) > len(mine) or whose == "account"
    match next(iter(limit)):
        case "max_position_notional":
            assert 0 < venue.worst[whose] * PRICE <= 5_000
        case "max_order_notional":
            assert {order.amount for order in mine} == {Decimal("0.009")}
        case "max_open_orders":
            live = [order for order in mine if order.state is not State.FILLED]
            assert len(live) <= 4
            assert venue.most_open <= 4 or whose != "account"
        case "max_orders_per_minute":
            assert 1 < within_a_minute(venue.sent, counts) <= 7
        case "cooldown_s":
            for symbol in {order.symbol for order in mine}:
                firsts = sorted(order.created_at for order in mine if order.symbol == symbol)
                assert all(later - one >= 30 for one, later in pairwise(firsts))


async def send(rig: Rig, number: int) -> None:
    await rig.send(
        id=f"n{number}",
        symbol=("BTC/USDT", "ETH/USDT")[number % 2],
        strategy=("trend", "grid")[number // 2 % 2],
        amount=Decimal("0.009") if number % 5 else Decimal("0.011"),
        age=float(number % 7),
    )
