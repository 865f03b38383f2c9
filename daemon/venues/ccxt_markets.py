"""ccxt's market list as `Market` structs, and how to get it without stopping the loop or asking too much."""

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

from ccxt.base.decimal_to_precision import DECIMAL_PLACES, TICK_SIZE
from ccxt.base.errors import BadResponse

from fks.domain.messages import Market
from fks.domain.money import ZERO
from fks.venues.json_steps import loads_in_steps

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


def is_wanted(raw: dict[str, Any], kind: str, symbols: Collection[str]) -> bool:
    """Of the account's kind and among its symbols (none: all).

    Inverse contracts count in quote units, which the daemon's base amounts cannot express: left out.
    """
    fits = raw["type"] == kind and not raw.get("inverse")
    return fits and (not symbols or raw["symbol"] in symbols)


async def load(
    make: Callable[[], Any],
    kind: str,
    symbols: Collection[str],
    known: Mapping[str, dict[str, Any]] | None = None,
) -> Any:
    """A fresh exchange of `make` with its wanted markets set; meant to run in a thread of its own.

    The market list alone is asked for, no currencies: each endpoint more is one that a mirror may lack.
    A market of `known` (unified, by symbol) that is listed no more stays, inactive: it may hold an order.
    Raises ccxt's errors; a list with no market at all is one (BadResponse), and no news of a delisting.
    """
    exchange = make()
    try:
        exchange.on_json_response = loads_in_steps
        exchange.options["fetchMarkets"] = narrowed(exchange.options.get("fetchMarkets"), kind)
        listed = await exchange.fetch_markets()
        if not listed:
            raise BadResponse(f"{exchange.id} lists no markets")
        raw = [one for one in listed if is_wanted(one, kind, symbols)]
        told = {one["symbol"] for one in raw}
        known = known or {}
        gone = [{**known[one], "active": False} for one in known if one not in told]
        _set_markets(exchange, raw + gone, known)
        return exchange
    finally:
        await exchange.close()


def restored(make: Callable[[], Any], raw: list[dict[str, Any]]) -> Any:
    """As `load`, of unified markets that were loaded earlier; nothing is asked."""
    exchange = make()
    _set_markets(exchange, raw, {})
    return exchange


def _set_markets(exchange: Any, raw: list[dict[str, Any]], known: Mapping[str, dict[str, Any]]) -> None:
    """As ccxt's `set_markets`, with as few objects as possible.

    What is as it was `known` keeps its object: to free thousands at once, when the last account has taken
    over a new list, would stop the event loop. ccxt's index by id has copies of its own; here it shares.
    """
    exchange.set_markets(raw)
    markets = exchange.markets
    for symbol, market in markets.items():
        if known.get(symbol) == market:
            markets[symbol] = known[symbol]

    def shared(own: dict[str, Any]) -> dict[str, Any]:
        market: dict[str, Any] = markets[own["symbol"]]
        return market if market["id"] == own["id"] else own

    exchange.markets_by_id = {name: list(map(shared, each)) for name, each in exchange.markets_by_id.items()}


def as_markets(exchange: Any) -> dict[str, Market]:
    """By unified symbol."""
    return {symbol: as_market(raw, exchange.precisionMode) for symbol, raw in exchange.markets.items()}
