"""What open positions have gained counts as equity, also where an exchange's total leaves it out."""

from decimal import Decimal
from typing import Any

import pytest

from fks.domain.sizing import equity
from fks.venues.ccxt_derivatives import position_gains
from fks.venues.ccxt_dialects import dialect_of
from fks.venues.trio_ccxt import trio_exchange
from standins.paper import SWAP, order, placed, venue

D = Decimal

BYBIT = {"result": {"list": [{"accountType": "UNIFIED", "coin": [
    {"coin": "USDT", "walletBalance": "1000", "unrealisedPnl": "-12.5"},
    {"coin": "BTC", "walletBalance": "0", "unrealisedPnl": ""},
]}]}}  # fmt: skip
GATE = [{"currency": "USDT", "total": "1000", "unrealised_pnl": "3.25", "history": {"pnl": "9"}}]


@pytest.mark.parametrize(
    ("exchange", "info", "found"),
    [
        ("bybit", BYBIT, {"USDT": "-12.5", "BTC": ""}),
        ("gate", GATE, {"USDT": "3.25"}),
        ("bybit", {"result": None}, {}),
        ("bybit", None, {}),
    ],
)
def test_they_are_read_from_the_exchanges_own_rows(exchange: str, info: Any, found: dict[str, str]) -> None:
    key = dialect_of(trio_exchange(exchange)).gain
    assert key is not None
    assert dict(position_gains(info, key)) == found


async def test_on_paper_they_follow_the_mark() -> None:
    exchange = venue(fee=D(0), slippage_bps=D(0))
    await placed(exchange, order("q1", amount="2", symbol=SWAP, leverage=5))
    for mark, gain in ((100, 0), (110, 20), (95, -10)):
        exchange.hint(SWAP, D(mark))
        balance = await exchange.balance()
        assert balance.gains == {"USDT": gain}
        assert balance.total["USDT"] == 1000
        assert equity(balance, "USDT", {}) == exchange.equity("USDT") == 1000 + gain
