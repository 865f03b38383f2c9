"""The JSON documents that users get and send, as types: what the API's description is made from.

`domain.views` and `domain.replies` fill them in. Decimals are plain strings (a JSON number would be read
as a float), times ISO 8601 in UTC.
"""

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta, Struct

from fks.domain.messages import IntentState, TradingState
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.outcome import AlertState

Number = Annotated[str, Meta(pattern=r"^-?\d+(\.\d+)?$", description="a decimal number, exact")]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description="ISO 8601, UTC")]


class FillView(TypedDict):
    order_id: str
    trade_id: str
    time: Time
    price: Number
    amount: Number
    fee: Number
    fee_currency: str | None


class OrderView(TypedDict):
    """One leg sent to one exchange account."""

    id: str
    alert_id: str
    account: str
    exchange: str
    leg: Leg
    attempt: int
    client_order_id: str
    exchange_order_id: str | None
    symbol: str
    side: Side
    type: OrderType
    amount: Number
    price: Number | None
    stop_price: Number | None
    state: State
    filled: Number
    average: Number | None
    reason: str | None
    time_in_force: str | None
    reduce_only: bool
    post_only: bool
    created_at: Time
    updated_at: Time
    fills: NotRequired[list[FillView]]


class ShareView(TypedDict):
    """What a named strategy has of a position."""

    strategy: str
    amount: Number
    average: Number
    realized: Number
    unrealized: Number | None
    fees: Number


class PositionView(TypedDict):
    """`amount` is signed: above zero is long. Profits are before fees, in quote units.

    `unrealized` is at the `last` price; both are null when the exchange does not tell one in time.
    """

    account: str
    exchange: str
    symbol: str
    amount: Number
    average: Number
    realized: Number
    last: Number | None
    unrealized: Number | None
    fees: Number
    strategies: list[ShareView]


class TradeView(TypedDict):
    """A round trip, from flat to flat. `amount`: entered in all. `profit` is after `fees`, in quote units.

    `slippage`: what the entries paid beyond the prices of their alerts (or, where an alert told none, the
    last price when its order was sized), above zero when that was worse. `id`, `closed_at` and `holding_s`
    are null while it is open.
    """

    id: str | None
    account: str
    strategy: str
    symbol: str
    side: Side
    opened_at: Time
    closed_at: Time | None
    holding_s: float | None
    amount: Number
    entry: Number
    exit: Number | None
    profit: Number
    fees: Number
    slippage: Number | None


class CurrencyView(TypedDict):
    free: Number
    total: Number


class AccountView(TypedDict):
    account: str
    type: str
    mode: str
    ready: bool
    reason: str
    breaker: str
    unknown_orders: int
    foreign_orders: int
    balance_at: Time | None
    reconciled_at: Time | None


class TickerView(TypedDict):
    account: str
    exchange: str
    symbol: str
    last: Number
    bid: Number | None
    ask: Number | None
    time: Time | None


class IntentView(TypedDict):
    """What one account was to do about an alert, and why it did not."""

    account: str
    state: IntentState
    code: str | None
    reason: str | None


class EventView(TypedDict):
    """One record of the journal's chain."""

    seq: int
    time: Time
    kind: str
    alert_id: str | None
    order_id: str | None
    account: str | None
    data: dict[str, Any]


class AlertView(TypedDict):
    """What came in, without its secret."""

    id: str
    state: AlertState
    key: str
    source: str
    symbol: str | None
    action: str | None
    received_at: Time
    body: dict[str, Any]


class AlertChainView(AlertView):
    """The whole chain: alert → intents → orders → fills."""

    intents: list[IntentView]
    orders: list[OrderView]


class AlertPage(TypedDict):
    """`next`: the `before` of the next page."""

    alerts: list[AlertView]
    next: str | None


class OrderPage(TypedDict):
    """`next`: the `before` of the next page."""

    orders: list[OrderView]
    next: str | None


class Orders(TypedDict):
    orders: list[OrderView]


class Positions(TypedDict):
    positions: list[PositionView]


class TradePage(TypedDict):
    """Closed ones, newest first, and those still open. `next`: the `before` of the next page."""

    trades: list[TradeView]
    open: list[TradeView]
    next: str | None


class Balances(TypedDict):
    """By account, then by currency."""

    balances: dict[str, dict[str, CurrencyView]]


class Accounts(TypedDict):
    accounts: list[AccountView]


class Restriction(TypedDict):
    """`account` null is all of them. `by` is who ordered it, or the setting whose limit was reached."""

    account: str | None
    state: TradingState
    by: str
    at: Time
    why: str


class Trading(TypedDict):
    """`state` holds for all; an account's own can only make it stricter. `restrictions` are all that are not
    active, with who set them, when and why.
    """

    state: TradingState
    accounts: dict[str, TradingState]
    restrictions: list[Restriction]


class Health(TypedDict):
    status: str


class Problem(TypedDict):
    """An error (RFC 9457); `detail` says what happened to what, and what to do next."""

    type: str
    title: str
    status: int
    detail: str
    code: NotRequired[str]
    field: NotRequired[str]
    alert_id: NotRequired[str]
    reason: NotRequired[str]
    reasons: NotRequired[list[str]]


class AlertReply(TypedDict):
    """`status`: `success` (placed or finished in time), `accepted` (still working) or `duplicate`."""

    status: str
    alert_id: str
    order_id: NotRequired[str | None]
    symbol: NotRequired[str]
    action: NotRequired[str]
    exchange: NotRequired[str | None]
    orders: NotRequired[list[OrderView]]
    state: NotRequired[AlertState]
    reason: NotRequired[str]
    detail: NotRequired[str]


class TradingRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`account` null is all of them. A misspelt key is refused: it must not widen a command."""

    state: TradingState
    account: str | None = None


class CancelRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`account` null is all of them, and has to be said."""

    account: str | None
