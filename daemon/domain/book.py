"""What an exchange's word proves: an order's state, its new fills, and what they make of a position. Pure.

Sums of money are exact (60 digits); only a mean price is rounded, to 28 significant digits.
"""

from collections.abc import Collection, Iterable, Sequence
from decimal import Context, Decimal

from msgspec.structs import replace

from fks.domain.messages import Fill, Order, Position, Report, Trade
from fks.domain.money import ZERO, plain
from fks.domain.orders import ENDED_SHORT, LIVE, NEXT, Side, State, advance

EXACT = Context(prec=60)
MEAN = Context(prec=28)

# What a late report cannot undo: the exchange had the order already.
_KNOWN_THERE = LIVE | ENDED_SHORT | {State.FILLED}


def currencies(symbol: str) -> tuple[str, str]:
    """Base and quote of a unified symbol: `BTC/USDT:USDT` gives BTC and USDT."""
    base, _, rest = symbol.partition("/")
    return base, rest.partition(":")[0]


def total(numbers: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    result = ZERO
    for number in numbers:
        result = EXACT.add(result, number)
    return result


def standing(order: Order, report: Report) -> State:
    """The order's state in the light of `report`; a late report never undoes what is known.

    Raises IllegalTransition when the exchange knows an order that was proven never to have been there
    (planned, rejected or refused): somebody's proof was wrong, and a human must look.
    """
    to = _meaning(order, report)
    if to in NEXT[order.state] or order.state not in _KNOWN_THERE:
        return advance(order.state, to)
    return order.state


def _meaning(order: Order, report: Report) -> State:
    some = max(report.filled, order.filled) > ZERO
    match report.state:
        case State.FILLED if report.filled <= ZERO:
            # "Filled" without an amount proves that it exists, not what it did: ask again.
            return State.PARTIAL if some else State.OPEN
        case State.OPEN if some:
            return State.PARTIAL
        case State.REJECTED if some:
            return State.CANCELED  # what executed was not rejected; its rest was
    return report.state


def new_fills(
    order: Order, report: Report, recorded: Sequence[Fill], taken: Collection[str], now: float
) -> list[Fill]:
    """The fills that `report` proves beyond `recorded`, never more in sum than its cumulative amount adds.

    `recorded` are the order's own fills, `taken` the trade ids that the account has used already. The
    report's new trades count when they add up exactly; else the difference becomes one fill, priced by
    the change of cost. Once an order has such a made-up fill, its trades can no longer be told apart
    from what that covered, so all that follow are made up too.
    """
    delta = EXACT.subtract(report.filled, order.filled)
    if delta <= ZERO:
        return []
    trades = {trade.id: trade for trade in report.trades if trade.id not in taken}
    made_up = any(fill.trade_id.startswith(f"{order.client_order_id}:") for fill in recorded)
    if not made_up and trades and total(trade.amount for trade in trades.values()) == delta:
        return [
            Fill(
                order_id=order.id,
                trade_id=trade.id,
                time=trade.time or report.time or now,
                price=trade.price,
                amount=trade.amount,
                fee=trade.fee,
                fee_currency=trade.fee_currency,
            )
            for trade in trades.values()
        ]
    fee = ZERO
    if report.fee_currency is not None:
        paid = total(fill.fee for fill in recorded if fill.fee_currency == report.fee_currency)
        fee = EXACT.subtract(report.fee, paid)
    return [
        Fill(
            order_id=order.id,
            trade_id=f"{order.client_order_id}:{plain(report.filled)}",
            time=report.time or now,
            price=_price_of_rest(order, report, recorded, delta),
            amount=delta,
            fee=fee,
            fee_currency=report.fee_currency,
        )
    ]


def _price_of_rest(order: Order, report: Report, recorded: Sequence[Fill], delta: Decimal) -> Decimal:
    mean = report.average or mean_price(report.trades) or order.average
    if mean is None:
        # Executed at a price that nobody tells. What was asked for is the nearest that is known.
        return order.price or order.stop_price or order.reference_price or ZERO
    before = total(EXACT.multiply(fill.amount, fill.price) for fill in recorded)
    price = MEAN.divide(EXACT.subtract(EXACT.multiply(report.filled, mean), before), delta)
    # An exchange rounds its averages: for a small rest the change of cost may come out absurd.
    return price if price > ZERO else mean


def mean_price(executions: Sequence[Fill] | Sequence[Trade]) -> Decimal | None:
    """Weighted by amount; None when there is nothing to weigh."""
    amount = total(one.amount for one in executions)
    if amount == ZERO:
        return None
    return MEAN.divide(total(EXACT.multiply(one.amount, one.price) for one in executions), amount)


def apply(position: Position, side: Side, fill: Fill, base: str, quote: str) -> Position:
    """`position` after `fill`: mean entry price, profit gross of fees, fees apart.

    The mean is weighted when adding, unchanged when reducing, new when the position turns. On spot a fee
    in the base currency is paid out of the position, as if its amount were sold at the fill's price and
    the proceeds given away. So cash = realized - fees - amount * average, always. Fees are in quote
    currency; one in a third currency cannot be valued here and stays on the fill alone.
    """
    spot = ":" not in position.symbol
    position = _trade(position, fill.amount if side is Side.BUY else -fill.amount, fill.price)
    fee = fill.fee if fill.fee_currency == quote else ZERO
    if fill.fee_currency == base:
        fee = EXACT.multiply(fill.fee, fill.price)
        if spot:
            position = _trade(position, -fill.fee, fill.price)
    return replace(position, fees=EXACT.add(position.fees, fee))


def _trade(position: Position, amount: Decimal, price: Decimal) -> Position:
    """`amount` is signed: above zero bought."""
    held = position.amount
    after = EXACT.add(held, amount)
    if amount == ZERO:
        return position
    if held == ZERO or (held > ZERO) == (amount > ZERO):
        cost = EXACT.add(EXACT.multiply(held, position.average), EXACT.multiply(amount, price))
        return replace(position, amount=after, average=MEAN.divide(cost, after))
    closed = held if abs(held) <= abs(amount) else EXACT.minus(amount)
    gain = EXACT.multiply(closed, EXACT.subtract(price, position.average))
    turned = (after > ZERO) != (held > ZERO)
    average = ZERO if after == ZERO else price if turned else position.average
    return replace(position, amount=after, average=average, realized=EXACT.add(position.realized, gain))
