"""What users see of the daemon's facts: JSON-ready dicts, the same over HTTP and on the command line.

Decimals are plain strings (a JSON number would be read as a float), times ISO 8601 in UTC.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from fks.domain.alerts import SECRET_FIELD
from fks.domain.book import EXACT
from fks.domain.documents import (
    AccountView,
    AlertChainView,
    AlertView,
    CurrencyView,
    EventView,
    FillView,
    IntentView,
    OrderView,
    PositionView,
    Restriction,
    TickerView,
    TradeView,
    Trading,
)
from fks.domain.limits import BreakerState
from fks.domain.messages import (
    AccountStatus,
    Balance,
    Event,
    Fill,
    Intent,
    Order,
    Position,
    Ticker,
    TradingRecord,
    TradingState,
)
from fks.domain.money import ZERO, plain, rough
from fks.domain.trades import RoundTrip

View = dict[str, Any]

_DERIVED = Context(prec=15)  # digits of what was divided on the way: more would be noise


def iso(seconds: float) -> str:
    """UTC epoch seconds as `2025-11-07T10:30:00.123Z`."""
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def order_view(order: Order, fills: Sequence[Fill] | None = None) -> OrderView:
    """An order; with its `fills` when they are given."""
    view: OrderView = {
        "id": order.id,
        "alert_id": order.alert_id,
        "account": order.account,
        "exchange": order.account,
        "leg": order.leg,
        "attempt": order.attempt,
        "client_order_id": order.client_order_id,
        "exchange_order_id": order.exchange_order_id,
        "symbol": order.symbol,
        "side": order.side,
        "type": order.type,
        "amount": plain(order.amount),
        "price": _number(order.price),
        "stop_price": _number(order.stop_price),
        "state": order.state,
        "filled": plain(order.filled),
        "average": _number(order.average),
        "reason": order.reason,
        "time_in_force": order.time_in_force,
        "reduce_only": order.reduce_only,
        "post_only": order.post_only,
        "created_at": iso(order.created_at),
        "updated_at": iso(order.updated_at),
    }
    if fills is not None:
        view["fills"] = [fill_view(fill) for fill in fills]
    return view


def fill_view(fill: Fill) -> FillView:
    return {
        "order_id": fill.order_id,
        "trade_id": fill.trade_id,
        "time": iso(fill.time),
        "price": plain(fill.price),
        "amount": plain(fill.amount),
        "fee": plain(fill.fee),
        "fee_currency": fill.fee_currency,
    }


def position_views(
    positions: Sequence[Position],
    shares: Sequence[tuple[str, Position]],
    prices: Mapping[tuple[str, str], Decimal],
) -> list[PositionView]:
    """`shares` are the named strategies' own; `prices` are the last ones by account and symbol."""
    parts: dict[tuple[str, str], list[tuple[str, Position]]] = {}
    for strategy, share in shares:
        parts.setdefault((share.account, share.symbol), []).append((strategy, share))
    keys = [(one.account, one.symbol) for one in positions]
    return [
        position_view(one, prices.get(key), parts.get(key, ()))
        for key, one in zip(keys, positions, strict=True)
    ]


def position_view(
    position: Position, last: Decimal | None = None, shares: Sequence[tuple[str, Position]] = ()
) -> PositionView:
    """`amount` is signed: above zero is long. `shares` are those of the named strategies."""
    return {
        "account": position.account,
        "exchange": position.account,
        "symbol": position.symbol,
        "amount": plain(position.amount),
        "average": plain(_DERIVED.plus(position.average)),
        "realized": rough(position.realized),
        "last": _number(last),
        "unrealized": _number(_unrealized(position, last)),
        "fees": plain(position.fees),
        "strategies": [
            {
                "strategy": strategy,
                "amount": plain(share.amount),
                "average": plain(_DERIVED.plus(share.average)),
                "realized": rough(share.realized),
                "unrealized": _number(_unrealized(share, last)),
                "fees": plain(share.fees),
            }
            for strategy, share in shares
        ],
    }


def _unrealized(position: Position, last: Decimal | None) -> Decimal | None:
    """`amount * (last - average)`, in quote units."""
    if not position.amount:
        return ZERO
    if last is None:
        return None
    return _DERIVED.plus(EXACT.multiply(position.amount, EXACT.subtract(last, position.average)))


def trade_view(trip: RoundTrip, number: int | None = None) -> TradeView:
    """`number`: of a closed one."""
    return {
        "id": None if number is None else str(number),
        "account": trip.account,
        "strategy": trip.strategy,
        "symbol": trip.symbol,
        "side": trip.side,
        "opened_at": iso(trip.opened_at),
        "closed_at": None if trip.closed_at is None else iso(trip.closed_at),
        "holding_s": None if trip.holding_s is None else round(trip.holding_s, 3),
        "amount": plain(trip.amount),
        "entry": plain(_DERIVED.plus(trip.entry)),
        "exit": None if trip.exit is None else plain(_DERIVED.plus(trip.exit)),
        "profit": plain(_DERIVED.plus(trip.profit)),
        "fees": plain(_DERIVED.plus(trip.fees)),
        "slippage": None if trip.slippage is None else plain(_DERIVED.plus(trip.slippage)),
    }


def balance_view(balance: Balance) -> dict[str, CurrencyView]:
    """`{currency: {free, total}}`; a currency that only one side names counts as zero on the other."""
    return {
        currency: {
            "free": plain(balance.free.get(currency, Decimal(0))),
            "total": plain(balance.total.get(currency, Decimal(0))),
        }
        for currency in sorted(balance.free.keys() | balance.total.keys())
    }


def account_view(status: AccountStatus) -> AccountView:
    return {
        "account": status.account,
        "type": status.type,
        "mode": status.mode,
        "ready": status.ready,
        "reason": status.reason,
        "breaker": BreakerState(status.breaker).name.lower(),
        "unknown_orders": status.unknown,
        "foreign_orders": status.foreign,
        "balance_at": iso(status.balance_at) if status.balance_at else None,
        "reconciled_at": iso(status.reconciled_at) if status.reconciled_at else None,
    }


def ticker_view(account: str, ticker: Ticker) -> TickerView:
    return {
        "account": account,
        "exchange": account,
        "symbol": ticker.symbol,
        "last": plain(ticker.last),
        "bid": _number(ticker.bid),
        "ask": _number(ticker.ask),
        "time": iso(ticker.time) if ticker.time else None,
    }


def intent_view(intent: Intent) -> IntentView:
    return {
        "account": intent.account,
        "state": intent.state,
        "code": intent.code,
        "reason": intent.reason,
    }


def event_view(event: Event) -> EventView:
    return {
        "seq": event.seq,
        "time": iso(event.time),
        "kind": event.kind,
        "alert_id": event.alert_id,
        "order_id": event.order_id,
        "account": event.account,
        "data": event.data,
    }


def alert_view(row: View) -> AlertView:
    """An alert's row of the journal as users see it.

    The secret is taken out before a body is stored; it is left out here once more, because this is the
    last place before the wire.
    """
    body = {name: value for name, value in (row.get("body") or {}).items() if name != SECRET_FIELD}
    received = row["received_at"]
    return {
        "id": row["id"],
        "state": row["state"],
        "key": row["key"],
        "source": row["source"],
        "symbol": row.get("symbol") or body.get("symbol"),
        "action": row.get("action") or body.get("action"),
        "received_at": received if isinstance(received, str) else iso(received),
        "body": body,
    }


def alert_chain_view(
    row: View, intents: Sequence[Intent], orders: Sequence[tuple[Order, Sequence[Fill]]]
) -> AlertChainView:
    """The whole chain: alert → intents → orders → fills."""
    return {
        **alert_view(row),
        "intents": [intent_view(intent) for intent in intents],
        "orders": [order_view(order, fills) for order, fills in orders],
    }


def trading_view(records: Mapping[str | None, TradingRecord], accounts: Sequence[str]) -> Trading:
    """Of the configured accounts; absent means active."""
    own = {name: records.get(name, TradingRecord()).state for name in accounts}
    restrictions = [
        Restriction(account=scope, state=one.state, by=one.by, at=iso(one.at), why=one.why)
        for scope, one in records.items()
        if one.state is not TradingState.ACTIVE and (scope is None or scope in own)
    ]
    return Trading(state=records.get(None, TradingRecord()).state, accounts=own, restrictions=restrictions)
