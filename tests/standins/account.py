"""The money of a stand-in's account: balances, what orders hold of them, and positions."""

from dataclasses import dataclass, field
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True)
class Instrument:
    """One market. `contract`: base units in one unit of quantity, 1 but for contracts of another size."""

    name: str
    base: str
    quote: str
    step: Decimal
    tick: Decimal
    min_notional: Decimal = Decimal(5)
    swap: bool = False
    contract: Decimal = Decimal(1)
    fee: Decimal = Decimal("0.001")
    min_quantity: Decimal = ZERO


@dataclass
class Position:
    """Of a linear contract, in its quantity; below zero is short."""

    instrument: Instrument
    amount: Decimal = ZERO
    average: Decimal = ZERO
    realized: Decimal = ZERO
    updated: int = 0

    def trade(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Add a signed quantity; the profit of the part that closes, quote currency."""
        closing = min(abs(quantity), abs(self.amount)) if quantity * self.amount < 0 else ZERO
        sign = 1 if self.amount > 0 else -1
        profit = closing * sign * (price - self.average) * self.instrument.contract
        opening, left = abs(quantity) - closing, abs(self.amount) - closing
        if opening:
            self.average = (left * self.average + opening * price) / (left + opening)
        self.amount += quantity
        if not self.amount:
            self.average = ZERO
        self.realized += profit
        return profit

    def unrealized(self, mark: Decimal) -> Decimal:
        return self.amount * (mark - self.average) * self.instrument.contract

    def notional(self, mark: Decimal) -> Decimal:
        return abs(self.amount) * mark * self.instrument.contract


@dataclass
class Account:
    """Balances by currency and positions by (instrument name, side); sides are net, long and short."""

    total: dict[str, Decimal]
    held: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    leverage: dict[str, Decimal] = field(default_factory=dict)
    isolated: dict[str, bool] = field(default_factory=dict)
    hedge: bool = False

    def leverage_of(self, name: str) -> Decimal:
        return self.leverage.get(name, Decimal(10))

    def margin(self, position: Position) -> Decimal:
        return position.notional(position.average) / self.leverage_of(position.instrument.name)

    def locked(self, asset: str) -> Decimal:
        """By orders and by positions."""
        margins = (self.margin(one) for one in self.positions.values() if one.instrument.quote == asset)
        return self.held.get(asset, ZERO) + sum(margins, ZERO)

    def free(self, asset: str) -> Decimal:
        return self.total.get(asset, ZERO) - self.locked(asset)

    def hold(self, asset: str, amount: Decimal) -> None:
        self.held[asset] = self.held.get(asset, ZERO) + amount

    def pay(self, asset: str, amount: Decimal) -> None:
        self.total[asset] = self.total.get(asset, ZERO) + amount

    def position(self, instrument: Instrument, side: str) -> Position:
        return self.positions.setdefault((instrument.name, side), Position(instrument))

    def closable(self, instrument: Instrument, side: str, buys: bool) -> Decimal:
        """How much of the position a trade in that direction would close."""
        amount = self.position(instrument, side).amount
        return max(ZERO, -amount if buys else amount)

    def settle(
        self, instrument: Instrument, side: str, *, buys: bool, quantity: Decimal, price: Decimal, now: int
    ) -> tuple[Decimal, str]:
        """Book one execution. The fee and its currency: of what is received on spot, else the quote's."""
        amount = quantity * price * instrument.contract
        if instrument.swap:
            position = self.position(instrument, side)
            profit = position.trade(quantity if buys else -quantity, price)
            position.updated = now
            fee = (amount * instrument.fee).quantize(Decimal("1e-8"))
            self.pay(instrument.quote, profit - fee)
            return fee, instrument.quote
        paid, received = (instrument.quote, instrument.base)[:: 1 if buys else -1]
        gave, got = (amount, quantity)[:: 1 if buys else -1]
        fee = (got * instrument.fee).quantize(Decimal("1e-8"))
        self.pay(paid, -gave)
        self.pay(received, got - fee)
        return fee, received
