"""Every fact and command of the daemon. Frozen: a fact does not change after it was sent.

Amounts are in base units (contracts already multiplied out), prices in quote units, both Decimal;
times are UTC seconds since the epoch; symbols are ccxt's unified ones (`BTC/USDT`, `BTC/USDT:USDT`).
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from fks.domain.alerts import Alert
from fks.domain.money import ZERO
from fks.domain.orders import AT_REST, Leg, OrderType, Side, State


class Order(Struct, frozen=True, kw_only=True):
    """One leg sent, or to be sent, to one account; the ledger's row."""

    id: str  # the first attempt's client_order_id: ours, stable for the order's whole life
    client_order_id: str  # of the present attempt: what the exchange is asked by
    alert_id: str
    account: str
    leg: Leg
    attempt: int = 1
    parent: str | None = None  # a protective leg's entry (its id)
    symbol: str
    side: Side
    type: OrderType
    amount: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_percent: Decimal | None = None
    time_in_force: str | None = None
    post_only: bool = False
    reduce_only: bool = False
    leverage: int | None = None
    margin_mode: str | None = None
    attached: bool = False  # a protective leg that travels with its entry
    state: State = State.PLANNED
    exchange_order_id: str | None = None
    filled: Decimal = ZERO
    average: Decimal | None = None
    reference_price: Decimal | None = None  # the last price when it was sized: exposure of market orders
    reason: str | None = None
    cancel_requested: bool = False
    waived: bool = False  # a human canceled it: a stop is then not put back
    good_until: float  # not sent after this: the signal is stale
    not_before: float = 0.0  # not sent before this: backing off
    send_by: float | None = None  # the exchange itself refuses the request after this
    strategy: str = ""  # its alert's
    created_at: float
    updated_at: float

    @property
    def at_rest(self) -> bool:
        return self.state in AT_REST

    @property
    def remaining(self) -> Decimal:
        """What may still be filled; 0 at rest."""
        return ZERO if self.at_rest else self.amount - self.filled


class Fill(Struct, frozen=True, kw_only=True):
    """An execution, once: `trade_id` is the exchange's, or made from the cumulative amount."""

    order_id: str
    trade_id: str
    time: float
    price: Decimal
    amount: Decimal
    fee: Decimal = ZERO
    fee_currency: str | None = None


class Trade(Struct, frozen=True, kw_only=True):
    """An execution as an exchange reports it, within a `Report`."""

    id: str
    time: float
    price: Decimal
    amount: Decimal
    fee: Decimal = ZERO
    fee_currency: str | None = None


class Report(Struct, frozen=True, kw_only=True):
    """What an exchange proves of one order. `filled`, `cost` and `fee` are cumulative.

    `state` is OPEN, PARTIAL, FILLED, CANCELED, EXPIRED or REJECTED; `exchange_order_id` is never empty.
    `trades` may be empty although something is filled: not every exchange tells them.
    `loose`: it was attached to reduce a position, and could open one: the exchange made it so.
    """

    client_order_id: str
    exchange_order_id: str
    state: State
    filled: Decimal = ZERO
    average: Decimal | None = None
    fee: Decimal = ZERO
    fee_currency: str | None = None
    trades: tuple[Trade, ...] = ()
    time: float = 0.0
    reason: str | None = None
    loose: bool = False


class Balance(Struct, frozen=True):
    """Per currency; `free` can be spent now, `total` includes what open orders hold. `gains`: the profit of
    open positions, below zero a loss, where `total` does not hold it.
    """

    free: dict[str, Decimal]
    total: dict[str, Decimal]
    gains: dict[str, Decimal] = field(default_factory=dict)


class Position(Struct, frozen=True, kw_only=True):
    """Signed: above zero is long. `average` is the mean entry price, `realized` the profit so far."""

    account: str
    symbol: str
    amount: Decimal = ZERO
    average: Decimal = ZERO
    realized: Decimal = ZERO
    fees: Decimal = ZERO


class Carried(Struct, frozen=True, kw_only=True):
    """What a market's fills came to up to number `upto`, when it was flat; they are part of no fold any more.

    `position` is the account's, with all its profit and fees. `shares` are the named strategies' own, and
    of "" what no named strategy has (only its amount and average count). `price`: of the last fill.
    """

    account: str
    symbol: str
    upto: int
    price: Decimal
    position: Position
    shares: dict[str, Position] = field(default_factory=dict)


class Ticker(Struct, frozen=True):
    """`time` is the exchange's own; 0 where it tells none. `bid`, `ask`: None where they are not known."""

    symbol: str
    last: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    time: float = 0.0


class Market(Struct, frozen=True, kw_only=True):
    """What an exchange demands of an order in one market. Steps of 0 and limits of None do not bind."""

    symbol: str
    id: str
    base: str
    quote: str
    kind: str = "spot"  # "spot", "swap" or "future"
    settle: str | None = None
    active: bool = True
    amount_step: Decimal = ZERO
    price_tick: Decimal = ZERO
    min_amount: Decimal | None = None
    max_amount: Decimal | None = None
    min_notional: Decimal | None = None


class TradingState(StrEnum):
    # Of an account, or of all: the stricter one holds. A cancel passes in each. (A docstring would be served
    # in the API's description.)
    ACTIVE = "active"
    REDUCE = "reduce"  # only what makes a position smaller
    HALTED = "halted"  # only exits: closes, protective legs, reduce-only orders

    @property
    def severity(self) -> int:
        """0 active, 1 reduce, 2 halted."""
        return ("active", "reduce", "halted").index(self.value)


class TradingRecord(Struct, frozen=True, kw_only=True):
    """A trading state with who set it, when (UTC epoch seconds) and why; `resumed_at` is when a human last
    set it to active.
    """

    state: TradingState = TradingState.ACTIVE
    by: str = ""
    at: float = 0.0
    why: str = ""
    resumed_at: float = 0.0


class NewAlert(Struct, frozen=True, kw_only=True):
    """A validated alert on its way to the ledger."""

    id: str
    key: str  # what makes it that event: the idempotency key
    digest: str  # of the body without its secret: same key with another digest is a conflict
    source: str  # name of the credential that authenticated it
    alert: Alert
    body: dict[str, Any]  # as sent, without the secret
    accounts: tuple[str, ...]
    received_at: float
    good_until: float
    resend_keys: tuple[
        str, ...
    ] = ()  # without time and id: the keys of the same body shortly before or after


class Verdict(StrEnum):
    FRESH = "fresh"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Acceptance(Struct, frozen=True):
    """What the ledger made of a `NewAlert`; `alert_id` is the first one's."""

    verdict: Verdict
    alert_id: str


class IntentState(StrEnum):
    ACCEPTED = "accepted"  # on disk, not yet sized
    PLANNED = "planned"  # has orders
    REFUSED = "refused"


class Intent(Struct, frozen=True, kw_only=True):
    """A validated wish for one account: what, where, which way."""

    alert_id: str
    account: str
    alert: Alert
    received_at: float
    good_until: float
    state: IntentState = IntentState.ACCEPTED
    reason: str | None = None
    code: str | None = None


class Event(Struct, frozen=True, kw_only=True):
    """One committed record of the journal's hash chain. `kind` is stable snake_case."""

    seq: int
    time: float
    kind: str
    alert_id: str | None = None
    order_id: str | None = None
    account: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


class AccountStatus(Struct, frozen=True, kw_only=True):
    """What an exchange actor lets the others know; it overwrites, never queues.

    `connected`: markets are loaded. `resolved`: and every order of an earlier life was looked up. `ready`:
    and after that the book was held against the exchange, so entries may go. `failed`: an actor of this
    account failed too often; until the daemon is started anew no entry goes, while cancels and closes do.
    """

    account: str
    type: str
    mode: str = "live"
    connected: bool = False
    resolved: bool = False
    ready: bool = False
    failed: bool = False
    reason: str = "starting"
    balance: Balance | None = None
    balance_at: float = 0.0
    breaker: int = 0
    reachable: bool = True  # the last request to the exchange was answered
    returns: int = 0  # how often one was answered after one that was not
    unknown: int = 0
    reconciled_at: float = 0.0  # UTC: when the book was last held against the exchange
    foreign: int = 0  # open orders on the exchange that are not ours, as it was then


class Share(Struct, frozen=True, kw_only=True):
    """A strategy's part of what its account holds and did; as in `Exposure`."""

    positions: dict[str, Position] = field(default_factory=dict)
    realized_today: Decimal = ZERO
    placed_last_minute: int = 0


class Exposure(Struct, frozen=True, kw_only=True):
    """What risk must know of an account, read in one transaction.

    `live` holds every order that is not at rest, also planned and unknown ones: they count as if filled.
    `shares` are those of the named strategies; what remains belongs to the orders without one.
    `doubtful` ended before they were filled, so lately that the exchange may show a fill of them yet.
    """

    positions: dict[str, Position]
    live: tuple[Order, ...]
    realized_today: Decimal  # quote currency, since 00:00 UTC
    placed_last_minute: int
    shares: dict[str, Share] = field(default_factory=dict)
    doubtful: tuple[Order, ...] = ()


class Look(Struct, frozen=True):
    """A wake-up: the ledger has something for you. Losing one beside another loses nothing."""
