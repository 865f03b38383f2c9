"""Small factories for tests of the pure core: everything has a harmless default."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from fks.domain import book
from fks.domain.alerts import Action, Alert
from fks.domain.gate import GateRules, Indexes, identify, validate
from fks.domain.messages import Exposure, Fill, Intent, Market, NewAlert, Order, Position, TradingState
from fks.domain.orders import Leg, OrderType, Side
from fks.domain.venue import Features
from fks.domain.view import View

NOW = 1_762_511_400.0  # 2025-11-07 10:30:00 UTC
SPOT, SWAP = "BTC/USDT", "BTC/USDT:USDT"
ALL_TYPES = frozenset(one.value for one in OrderType)


def dec(text: str | int) -> Decimal:
    return Decimal(text)


def alert(action: str = "buy", symbol: str = SPOT, **fields: Any) -> Alert:
    return Alert(symbol=symbol, action=Action(action), **fields)


def intent(action: str = "buy", *, id: str = "a1", account: str = "paper", **fields: Any) -> Intent:  # noqa: A002 - the field's name
    return Intent(
        alert_id=id,
        account=account,
        alert=alert(action, **fields),
        received_at=NOW,
        good_until=NOW + 300,
    )


def order(id: str = "q1", leg: Leg = Leg.ENTRY, side: Side = Side.BUY, **fields: Any) -> Order:  # noqa: A002 - the field's name
    defaults: dict[str, Any] = {
        "client_order_id": id,
        "alert_id": "a1",
        "account": "paper",
        "symbol": SPOT,
        "type": OrderType.MARKET,
        "amount": Decimal(1),
        "good_until": NOW + 300,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Order(id=id, leg=leg, side=side, **{**defaults, **fields})


def market(symbol: str = SPOT, **fields: Any) -> Market:
    base, _, rest = symbol.partition("/")
    quote, _, settle = rest.partition(":")
    defaults: dict[str, Any] = {
        "id": base + quote,
        "kind": "swap" if settle else "spot",
        "settle": settle or None,
        "amount_step": Decimal("0.001"),
        "price_tick": Decimal("0.01"),
    }
    return Market(symbol=symbol, base=base, quote=quote, **{**defaults, **fields})


def exposure(
    held: dict[str, Decimal] | None = None,
    live: tuple[Order, ...] = (),
    *,
    realized_today: str = "0",
    placed_last_minute: int = 0,
) -> Exposure:
    """`held`: signed amounts by symbol."""
    return Exposure(
        positions={
            symbol: Position(account="paper", symbol=symbol, amount=amount)
            for symbol, amount in (held or {}).items()
        },
        live=live,
        realized_today=Decimal(realized_today),
        placed_last_minute=placed_last_minute,
    )


def view(of: Market | None = None, **fields: Any) -> View:
    defaults: dict[str, Any] = {
        "features": Features(order_types=ALL_TYPES, attached_protection=True, oco=True),
        "exposure": exposure(),
        "trading": TradingState.ACTIVE,
        "now": NOW,
        "price": Decimal(50_000),
        "equity": Decimal(100_000),
    }
    return View(market=of or market(), **{**defaults, **fields})


def admit(
    headers: Mapping[str, str], body: bytes, rules: GateRules, indexes: Indexes, now: float
) -> NewAlert:
    """The alert in `body`, ready for the ledger. Raises Denied, or Refusal naming the field at fault."""
    sender, read = identify(headers, body, rules.secrets, now)
    return validate(read, sender, rules, indexes, now)


def fold(fills: Iterable[tuple[Order, Fill]]) -> dict[tuple[str, str], Position]:
    """Every position, by account and symbol, from all fills in the order of their recording."""
    positions: dict[tuple[str, str], Position] = {}
    for order, fill in fills:
        key = (order.account, order.symbol)
        position = positions.get(key) or Position(account=order.account, symbol=order.symbol)
        positions[key] = book.apply(position, order.side, fill, *book.currencies(order.symbol))
    return positions
