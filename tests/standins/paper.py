"""Orders and settings for tests of the paper exchange, and the least journal that it can be rebuilt from."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from fks.domain.errors import Rejected
from fks.domain.messages import Fill, Order, Report
from fks.domain.money import ZERO
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.settings import AccountSettings
from fks.venues.paper import PaperVenue

SPOT, SWAP = "BTC/USDT", "BTC/USDT:USDT"


def settings(**changes: Any) -> AccountSettings:
    given: dict[str, Any] = {
        "type": "paper",
        "balance": {"USDT": Decimal(1000)},
        "prices": {SPOT: Decimal(100), SWAP: Decimal(100)},
        "fee": Decimal("0.001"),
        "slippage_bps": Decimal(10),
    }
    return AccountSettings(**(given | changes))


def order(name: str, side: str = "buy", amount: str = "1", **changes: Any) -> Order:
    """A market entry on spot unless told otherwise; numbers may be given as strings."""
    for key in ("price", "stop_price", "trail_percent"):
        if isinstance(changes.get(key), str):
            changes[key] = Decimal(changes[key])
    given: dict[str, Any] = {
        "id": name,
        "client_order_id": name,
        "alert_id": "a1",
        "account": "paper",
        "leg": Leg.ENTRY,
        "symbol": SPOT,
        "type": OrderType.MARKET,
        "state": State.SENDING,
        "good_until": 1e12,
        "created_at": 0.0,
        "updated_at": 0.0,
    }
    return Order(side=Side(side), amount=Decimal(amount), **(given | changes))


def limit(name: str, side: str, price: str, amount: str = "1", **changes: Any) -> Order:
    return order(name, side, amount, type=OrderType.LIMIT, price=price, **changes)


def protection(
    entry: Order, *, stop: str | None = None, targets: Sequence[tuple[str, str]] = ()
) -> list[Order]:
    """Attached legs of `entry`: a stop loss for all of it, take profits as (price, amount)."""
    shared: dict[str, Any] = {"parent": entry.id, "attached": True, "symbol": entry.symbol}
    side = str(entry.side.opposite)
    legs = []
    if stop is not None:
        legs.append(
            order(
                f"{entry.id}-sl",
                side,
                str(entry.amount),
                leg=Leg.STOP_LOSS,
                type=OrderType.STOP,
                stop_price=stop,
                **shared,
            )
        )
    for number, (price, amount) in enumerate(targets):
        legs.append(limit(f"{entry.id}-tp{number}", side, price, amount, leg=Leg.TAKE_PROFIT, **shared))
    return legs


class TinyJournal:
    """Rows and fills, as the daemon's ledger keeps them."""

    def __init__(self) -> None:
        self.rows: dict[str, Order] = {}
        self._fills: list[tuple[str, Fill]] = []

    def intend(self, *orders: Order) -> None:
        self.rows |= {one.id: one for one in orders}

    def settle(self, report: Report) -> None:
        known = {fill.trade_id for name, fill in self._fills if name == report.client_order_id}
        for trade in report.trades:
            if trade.id not in known:
                fill = Fill(
                    order_id=report.client_order_id,
                    trade_id=trade.id,
                    time=trade.time,
                    price=trade.price,
                    amount=trade.amount,
                    fee=trade.fee,
                    fee_currency=trade.fee_currency,
                )
                self._fills.append((report.client_order_id, fill))
        row = self.rows[report.client_order_id]
        self.rows[row.id] = msgspec.structs.replace(
            row, state=report.state, filled=report.filled, exchange_order_id=report.exchange_order_id
        )

    @property
    def history(self) -> list[tuple[Order, Fill]]:
        return [(self.rows[name], fill) for name, fill in self._fills]

    @property
    def live(self) -> list[Order]:
        return [row for row in self.rows.values() if not row.at_rest]

    @property
    def bought(self) -> Decimal:
        """Base bought less base sold, all orders."""
        return sum(
            (fill.amount if row.side is Side.BUY else -fill.amount for row, fill in self.history), ZERO
        )


def venue(**changes: Any) -> PaperVenue:
    return PaperVenue("paper", settings(**changes), wall=lambda: 1000.0)


async def placed(exchange: PaperVenue, one: Order, *legs: Order) -> Report:
    reports = await exchange.place(one, legs, 1000.0)
    assert [report.client_order_id for report in reports] == [one.client_order_id, *(leg.id for leg in legs)]
    return reports[0]


async def state_of(exchange: PaperVenue, name: str) -> State | None:
    report = await exchange.find(order(name))
    return report.state if report else None


async def rejection(exchange: PaperVenue, one: Order, *legs: Order) -> Rejected:
    before = await exchange.balance()
    with pytest.raises(Rejected) as caught:
        await exchange.place(one, legs, 1000.0)
    assert await exchange.find(one) is None, "a rejected order does not exist"
    assert await exchange.balance() == before
    return caught.value
