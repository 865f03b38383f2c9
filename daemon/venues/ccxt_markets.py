"""ccxt's market list as `Market` structs, and how to get it without stopping the loop or asking too much."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ccxt.base.decimal_to_precision import DECIMAL_PLACES, TICK_SIZE

from fks.domain.messages import Market
from fks.domain.money import ZERO

# What the exchanges call the parts of their market list that hold a kind of market.
_PARTS = {"spot": {"spot"}, "swap": {"swap", "linear"}, "future": {"future", "linear"}}


def number(value: object) -> Decimal | None:
    """A float of ccxt's as the decimal that the exchange wrote: its repr is the shortest that reads alike."""
    if value is None or isinstance(value, bool):
        return None
    result = Decimal(value) if isinstance(value, str) else Decimal(repr(value))
    return result if result.is_finite() else None


def as_market(raw: dict[str, Any], precision_mode: int) -> Market:
    """One unified market. Amounts are multiplied out to base units; what is unknown does not bind."""
    size = contract_size(raw)
    limits = raw.get("limits") or {}
    amounts, costs = limits.get("amount") or {}, limits.get("cost") or {}
    precision = raw.get("precision") or {}

    def units(value: object) -> Decimal | None:
        amount = number(value)
        return None if amount is None else amount * size

    return Market(
        symbol=raw["symbol"],
        id=str(raw["id"]),
        base=raw["base"],
        quote=raw["quote"],
        kind=raw["type"],
        settle=raw.get("settle"),
        active=raw.get("active") is not False,
        amount_step=_step(precision.get("amount"), precision_mode) * size,
        price_tick=_step(precision.get("price"), precision_mode),
        min_amount=units(amounts.get("min")),
        max_amount=units(amounts.get("max")),
        min_notional=number(costs.get("min")),
    )


def _step(precision: object, mode: int) -> Decimal:
    """The grid's step; significant digits are no grid, so the check before sending is all there is (0)."""
    value = number(precision)
    if value is None:
        return ZERO
    if mode == TICK_SIZE:
        return value
    return Decimal(1).scaleb(-int(value)) if mode == DECIMAL_PLACES else ZERO


def contract_size(raw: dict[str, Any]) -> Decimal:
    """Base units in one unit of the exchange's amount: 1 on spot."""
    return (number(raw.get("contractSize")) or Decimal(1)) if raw.get("contract") else Decimal(1)


def narrowed(fetch_markets: object, kind: str) -> object:
    """The option `fetchMarkets` reduced to the parts that hold `kind`, or as it was."""
    if isinstance(fetch_markets, dict) and isinstance(fetch_markets.get("types"), list):
        return {**fetch_markets, "types": narrowed(fetch_markets["types"], kind)}
    if isinstance(fetch_markets, list):
        return [part for part in fetch_markets if part in _PARTS[kind]] or fetch_markets
    return fetch_markets


def is_wanted(raw: dict[str, Any], kind: str, symbols: tuple[str, ...]) -> bool:
    """Of the account's kind and among its symbols (none: all).

    Inverse contracts count in quote units, which the daemon's base amounts cannot express: left out.
    """
    fits = raw["type"] == kind and not raw.get("inverse")
    return fits and (not symbols or raw["symbol"] in symbols)


async def load(make: Callable[[], Any], kind: str, symbols: tuple[str, ...]) -> Any:
    """A fresh exchange of `make` with its wanted markets set; meant to run in a thread of its own.

    The market list alone is asked for, no currencies: each endpoint more is one that a mirror may lack.
    """
    exchange = make()
    try:
        exchange.options["fetchMarkets"] = narrowed(exchange.options.get("fetchMarkets"), kind)
        raw = [one for one in await exchange.fetch_markets() if is_wanted(one, kind, symbols)]
        exchange.set_markets(raw)
        return exchange
    finally:
        await exchange.close()
