"""The orders of a stand-in's book, in nobody's words: what each is, and when its trigger fires."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from standins.account import ZERO, Instrument


class Reason(StrEnum):
    """Why an order is refused; each exchange has its own code for it."""

    SYMBOL = "no such instrument"
    REQUEST = "a parameter is wrong"
    QUANTITY = "the quantity is off the step or not above zero"
    PRICE = "the price is off the tick or missing"
    NOTIONAL = "too small"
    FUNDS = "insufficient balance"
    DUPLICATE = "the client id is in use"
    NOT_FOUND = "no such order"
    NOT_OPEN = "the order has ended"
    TRIGGERS = "the trigger would fire at once"
    TAKES = "a post-only order would take"
    REDUCES_NOTHING = "there is no position to reduce"
    POSITION_SIDE = "the position side does not fit the position mode"
    BUSY = "there are positions or open orders"
    SAME = "nothing to change"


class Refused(Exception):
    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason


class Status(StrEnum):
    NEW = "new"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    TRIGGERED = "triggered"  # it became another order
    FAILED = "failed"  # its trigger fired and the book could not take it


@dataclass(frozen=True)
class Trade:
    id: int
    order: "BookOrder"
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    time: int
    maker: bool


@dataclass
class Trail:
    """A trigger that follows the best price since it was activated, at a distance or a share of it."""

    distance: Decimal = ZERO
    share: Decimal = ZERO
    activation: Decimal = ZERO
    best: Decimal | None = None  # None: not yet activated

    def fires(self, buys: bool, mark: Decimal) -> bool:
        if self.best is None:
            reached = mark <= self.activation if buys else mark >= self.activation
            if self.activation and not reached:
                return False
            self.best = mark
        self.best = min(self.best, mark) if buys else max(self.best, mark)
        gap = self.distance or self.best * self.share
        return mark >= self.best + gap if buys else mark <= self.best - gap


@dataclass(frozen=True)
class Trigger:
    stop: Decimal
    rises: bool  # it waits for a rise
    price: Decimal = ZERO  # 0: at the market

    def fires(self, mark: Decimal) -> bool:
        return mark >= self.stop if self.rises else mark <= self.stop


@dataclass(frozen=True)
class Protection:
    """A take profit or stop loss that comes to life with the fill of the order that carries it."""

    takes_profit: bool
    stop: Decimal
    price: Decimal = ZERO  # 0: at the market
    client_id: str = ""
    becomes: bool = False  # as of an order
    other: tuple[Decimal, Decimal] | None = None  # stop and price in the other direction, of the same order
    wire: dict[str, Any] = field(default_factory=dict)


@dataclass
class BookOrder:
    """`wire`: the request as it came, for what the exchange only repeats."""

    instrument: Instrument
    side: str  # buy or sell
    quantity: Decimal
    client_id: str = ""
    price: Decimal = ZERO  # 0: at the market
    stop: Decimal = ZERO  # 0: no trigger
    rises: bool = False  # the trigger waits for a rise
    other: Trigger | None = None  # a second trigger: the first of both that fires makes the order
    trail: Trail | None = None
    time_in_force: str = "GTC"
    post_only: bool = False
    reduce_only: bool = False
    position_side: str = "net"
    whole: bool = False  # closes all of the position that there is when the trigger fires
    holds: bool = True  # locks funds while it waits for its trigger
    becomes: bool = False  # when the trigger fires it becomes another order
    attached: tuple[Protection, ...] = ()
    attached_when_full: bool = False  # they come to life only if all of it was filled
    attached_whole: bool = False  # they protect the position from the first fill on, not the order at its end
    group: int = 0  # of these one alone is carried out
    wire: dict[str, Any] = field(default_factory=dict)
    # From here on the book's own.
    id: int = 0
    time: int = 0
    updated: int = 0
    status: Status = Status.NEW
    executed: Decimal = ZERO
    spent: Decimal = ZERO  # price times quantity
    waiting: bool = False  # for its trigger
    held_asset: str = ""
    held: Decimal = ZERO  # a fill releases its share and then pays what it really costs
    trades: list[Trade] = field(default_factory=list)
    became: "BookOrder | None" = None

    @property
    def open(self) -> bool:
        return self.status in (Status.NEW, Status.PARTIAL)

    @property
    def buys(self) -> bool:
        return self.side == "buy"

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def average(self) -> Decimal:
        return self.spent / self.executed if self.executed else ZERO

    @property
    def reduces(self) -> bool:
        """Whether it may only close: asked for, or the closing direction of one side of a hedge."""
        return (
            self.reduce_only
            or self.whole
            or (self.position_side, self.side)
            in (
                ("long", "sell"),
                ("short", "buy"),
            )
        )

    def crosses(self, mark: Decimal) -> bool:
        return not self.price or (self.price >= mark if self.buys else self.price <= mark)

    def fires(self, mark: Decimal) -> bool:
        """Whether a trigger fires at that mark; if it is the second one, it becomes the order's own."""
        if self.trail:
            return self.trail.fires(self.buys, mark)
        if self.other and self.other.fires(mark):
            self.stop, self.rises, self.price = self.other.stop, self.other.rises, self.other.price
            return True
        return Trigger(self.stop, self.rises).fires(mark)
