"""ccxt's unified markets and orders in our words."""

from decimal import Decimal

import pytest
from ccxt.base.decimal_to_precision import DECIMAL_PLACES, SIGNIFICANT_DIGITS, TICK_SIZE

from fks.domain.errors import Unknown
from fks.domain.orders import State
from fks.venues.ccxt_markets import as_market, narrowed
from fks.venues.ccxt_orders import report, state_of

NAME = "q0123456789abcdefg"


@pytest.mark.parametrize(
    ("status", "filled", "amount", "state"),
    [
        ("open", "0", "1", State.OPEN),
        ("open", "0.5", "1", State.PARTIAL),
        ("closed", "1", "1", State.FILLED),
        ("closed", "0.5", "1", State.CANCELED),
        ("closed", "0.5", None, State.FILLED),
        ("canceled", "0.5", "1", State.CANCELED),
        ("canceled", "1", "1", State.FILLED),
        ("expired", "0.5", "1", State.EXPIRED),
        ("rejected", "0", "1", State.REJECTED),
        (None, "0", None, State.OPEN),
        ("canceling", "0", "1", State.OPEN),
    ],
)
def test_state_of_a_unified_order(status: str | None, filled: str, amount: str | None, state: State) -> None:
    assert state_of(status, Decimal(filled), None if amount is None else Decimal(amount)) is state


def test_contracts_are_multiplied_out() -> None:
    market = as_market(PERPETUAL, TICK_SIZE)
    assert (market.amount_step, market.min_amount, market.price_tick) == (
        Decimal("0.01"),
        Decimal("0.01"),
        Decimal("0.5"),
    )
    told = report({"id": "1", "status": "open", "amount": 3.0, "filled": 1.0}, PERPETUAL, NAME)
    assert (told.filled, told.state) == (Decimal("0.01"), State.PARTIAL)


PERPETUAL = {
    "symbol": "BTC/USDT:USDT",
    "id": "X",
    "base": "BTC",
    "quote": "USDT",
    "type": "swap",
    "contract": True,
    "contractSize": 0.01,
    "precision": {"amount": 1.0, "price": 0.5},
    "limits": {"amount": {"min": 1.0}},
}


@pytest.mark.parametrize(
    ("mode", "precision", "step"),
    [
        (TICK_SIZE, 1e-08, "1E-8"),
        (DECIMAL_PLACES, 3, "0.001"),
        (SIGNIFICANT_DIGITS, 5, "0"),
        (TICK_SIZE, None, "0"),
    ],
)
def test_precision_becomes_a_step(mode: int, precision: float | None, step: str) -> None:
    raw = {
        "symbol": "A/B",
        "id": "AB",
        "base": "A",
        "quote": "B",
        "type": "spot",
        "precision": {"amount": precision},
    }
    assert as_market(raw, mode).amount_step == Decimal(step)


@pytest.mark.parametrize("name", [None, "", "<html>Just a moment...</html>", '{"code": 1}', "x" * 200])
def test_order_without_an_id_proves_nothing(name: str | None) -> None:
    with pytest.raises(Unknown):
        report({"id": name, "status": "open"}, {}, NAME)


def test_market_list_is_narrowed_to_the_account_s_kind() -> None:
    assert narrowed({"types": ["spot", "linear", "inverse"], "x": 1}, "spot") == {"types": ["spot"], "x": 1}
    assert narrowed(["spot", "swap"], "swap") == ["swap"]
    assert narrowed("fetchMarketsV3", "spot") == "fetchMarketsV3"
