"""What the exits that are under way leave of a position. Pure."""

from decimal import Decimal

from fks.domain.dispatch import is_exit
from fks.domain.money import ZERO
from fks.domain.orders import OrderType, Side
from fks.domain.view import View


def left(held: Decimal, view: View) -> Decimal:
    """How much of the signed position `held` no live exit is about to end: parts that are closed at the same
    time are together no more than is held. Its stops and targets do not count: they give way.
    """
    market, closing = view.market, Side.SELL if held > 0 else Side.BUY
    live = [one for one in view.exposure.live if one.symbol == market.symbol and one.side is closing]
    ways = [one for one in live if is_exit(one) and not one.leg.protective]
    if market.kind != "spot":  # what rests there may never fill, and holds nothing that others want to sell
        ways = [one for one in ways if one.type is OrderType.MARKET]
    if not ways:
        return abs(held)
    # The exchange may show fills already that these orders do not; what is booked knows as much as they do.
    position = view.exposure.positions.get(market.symbol)
    booked = position.amount if position and position.amount * held > 0 else ZERO
    return max(ZERO, max(abs(held), abs(booked)) - sum(one.remaining for one in ways))
