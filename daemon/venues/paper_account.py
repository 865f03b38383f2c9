"""The paper exchange's purse: what a fill does to balances and positions. Pure and exact.

Spot fills swap base for quote. Linear swaps are cash-settled: a position has a signed amount and the
cost it was opened for, and closing a part of it pays the difference into cash.

Fees are taken in quote, on buys too. Real spot exchanges take a buyer's fee in base; in quote a bought
amount can be sold again whole, and the user's books stay in one currency.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_UP, Context, Decimal, localcontext
from functools import wraps
from typing import ParamSpec, TypeVar

from fks.domain.messages import Market, Position, Trade
from fks.domain.money import ZERO
from fks.domain.orders import Side
from fks.domain.settings import AccountSettings, Steps

P = ParamSpec("P")
R = TypeVar("R")

_EXACT = Context(prec=60)  # a price of 18 digits times an amount of 36 loses nothing
_DUST = Decimal("1e-12")


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` with enough digits that sums and products of money are never rounded."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(_EXACT):
            return function(*args, **kwargs)

    return wrapper


def market_of(symbol: str, settings: AccountSettings) -> Market:
    """The market that the paper exchange makes of a unified symbol.

    `BTC/USDT` is spot unless the account's `market` says otherwise; `BTC/USDT:USDT` is a linear swap.
    Raises ValueError for what is no symbol, and for swaps settled in another currency than the quote.
    """
    pair, _, settle = symbol.partition(":")
    base, slash, quote = pair.partition("/")
    if not (base and slash and quote):
        raise ValueError(f"{symbol!r} is not a symbol like BTC/USDT or BTC/USDT:USDT")
    if settle not in ("", quote):
        raise ValueError(f"{symbol!r} settles in {settle}: the paper exchange has only linear swaps")
    derivative = settings.market if settings.market != "spot" else "swap"
    linear = bool(settle) or settings.market != "spot"
    own = settings.steps.get(symbol, Steps())
    return Market(
        symbol=symbol,
        id=base + quote,
        base=base,
        quote=quote,
        kind=derivative if linear else "spot",
        settle=quote if linear else None,
        amount_step=settings.amount_step if own.amount_step is None else own.amount_step,
        price_tick=settings.price_tick if own.price_tick is None else own.price_tick,
        min_notional=settings.min_notional if own.min_notional is None else own.min_notional,
    )


def fee_rate(settings: AccountSettings, *, maker: bool) -> Decimal:
    """Share of the notional."""
    own = settings.maker_fee if maker else settings.taker_fee
    return settings.fee if own is None else own


@dataclass(slots=True)
class Holding:
    """One swap position; `amount` and `cost` are signed alike, below zero is short."""

    currency: str  # it is settled in
    amount: Decimal = ZERO
    cost: Decimal = ZERO  # what `amount` was opened for, quote
    margin: Decimal = ZERO  # initial margin that it holds, quote
    realized: Decimal = ZERO
    fees: Decimal = ZERO

    def trade(self, change: Decimal, price: Decimal, leverage: int | None) -> Decimal:
        """Change the position by the signed amount `change`; return the profit that this realises."""
        closing = min(abs(change), abs(self.amount)) if change * self.amount < 0 else ZERO
        sign = 1 if change > 0 else -1
        profit = self._close(closing, price) if closing else ZERO
        opening = abs(change) - closing
        self.amount += sign * opening
        self.cost += sign * opening * price
        self.margin += initial_margin(opening * price, leverage)
        return profit

    def _close(self, closing: Decimal, price: Decimal) -> Decimal:
        whole, sign = abs(self.amount), 1 if self.amount > 0 else -1
        # Rounding a part is harmless: what leaves the cost is what profit is measured against.
        cost, held = (_part(value, closing, whole) for value in (self.cost, self.margin))
        profit = sign * closing * price - cost
        self.amount -= sign * closing
        self.cost -= cost
        self.margin -= held
        self.realized += profit
        return profit


def _part(value: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    return value if part == whole else (value * part / whole).quantize(_DUST)


def initial_margin(notional: Decimal, leverage: int | None) -> Decimal:
    """Of a linear swap: `notional / leverage`, rounded up to 1e-12; leverage is 1 unless given."""
    return (notional / leverage).quantize(_DUST, rounding=ROUND_UP) if leverage else notional


@dataclass(slots=True)
class PaperAccount:
    """Balances by currency and swap positions by symbol.

    Profit that is not realised is no margin for another position, a loss takes from it. What a liquidation
    does not cover takes cash below zero: there is no insurance fund.
    """

    cash: dict[str, Decimal]
    holdings: dict[str, Holding] = field(default_factory=dict)

    def apply(self, market: Market, side: Side, trade: Trade, leverage: int | None) -> None:
        """Book one fill; its fee is in quote."""
        change = trade.amount if side is Side.BUY else -trade.amount
        if market.settle is None:
            self._add(market.base, change)
            self._add(market.quote, -change * trade.price - trade.fee)
            return
        holding = self.holdings.setdefault(market.symbol, Holding(currency=market.settle))
        holding.fees += trade.fee
        self._add(market.settle, holding.trade(change, trade.price, leverage) - trade.fee)

    def carry(self, market: Market, carried: Position) -> None:
        """What fills that are not told one by one came to: cash is profit less fees less what is held.

        See `domain.book.apply`, whose identity this is, up to its mean prices' 28 digits.
        """
        gained = carried.realized - carried.fees
        cost = carried.amount * carried.average
        if market.settle is None:
            self._add(market.base, carried.amount)
            self._add(market.quote, gained - cost)
            return
        self._add(market.settle, gained)
        self.holdings[market.symbol] = Holding(
            currency=market.settle,
            amount=carried.amount,
            cost=cost,
            realized=carried.realized,
            fees=carried.fees,
        )

    def opposing(self, market: Market, side: Side) -> Decimal:
        """How much of a swap position an order of this side would close before it opens."""
        holding = self.holdings.get(market.symbol)
        held = holding.amount if holding else ZERO
        return max(ZERO, -held if side is Side.BUY else held)

    def margins(self) -> dict[str, Decimal]:
        """Initial margin held by positions, per currency."""
        held: dict[str, Decimal] = {}
        for holding in self.holdings.values():
            held[holding.currency] = held.get(holding.currency, ZERO) + holding.margin
        return held

    def positions(self, account: str) -> list[Position]:
        """The swap positions that are not flat."""
        return [
            Position(
                account=account,
                symbol=symbol,
                amount=holding.amount,
                average=holding.cost / holding.amount,
                realized=holding.realized,
                fees=holding.fees,
            )
            for symbol, holding in self.holdings.items()
            if holding.amount
        ]

    def pay(self, currency: str, amount: Decimal) -> None:
        """Funding; below zero it is received."""
        self._add(currency, -amount)

    def unrealized(self, marks: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Of the swap positions with a mark, per currency."""
        gains: dict[str, Decimal] = {}
        for symbol, holding in self.holdings.items():
            if holding.amount and symbol in marks:
                gain = holding.amount * marks[symbol] - holding.cost
                gains[holding.currency] = gains.get(holding.currency, ZERO) + gain
        return gains

    def _add(self, currency: str, amount: Decimal) -> None:
        self.cash[currency] = self.cash.get(currency, ZERO) + amount
