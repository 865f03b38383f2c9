"""When an entry may not be, whatever its size: its market, the hour, a pause, its leverage, the last price.

What can only reduce a position is never asked. A setting of 0, or an empty one, does not bind.
"""

from fks.domain import risk, risk_hours
from fks.domain.alerts import Alert
from fks.domain.dispatch import is_exit
from fks.domain.errors import Refusal
from fks.domain.messages import Market, Order
from fks.domain.money import percent, plain
from fks.domain.orders import OrderType, Side
from fks.domain.risk_bounds import Bound
from fks.domain.settings import Limits, StrategyLimits
from fks.domain.view import View


def needs_price(alert: Alert, limits: Limits) -> bool:
    """Whether `check` asks for the last price."""
    slips = alert.order_type is OrderType.MARKET and alert.price is not None
    return bool(limits.max_price_age_s or (limits.max_slippage and slips))


def check(order: Order, alert: Alert, view: View, bound: Bound) -> None:
    """Raises Refusal naming the limit, with the numbers. What only reduces always passes."""
    limits, whose = bound.limits, bound.whose
    if not _enters(order, view.market) or risk.reduces(bound.exposure, order, view.market):
        return
    if isinstance(limits, StrategyLimits):
        _check_market(order, limits, whose)
    if limits.hours and not risk_hours.within(limits.hours, view.now):
        hours = ", ".join(limits.hours)
        raise Refusal("risk.hours", f"the {whose}'s entries are allowed in these hours (UTC) only: {hours}")
    _check_leverage(order, view, limits.max_leverage, whose)
    _check_cooldown(order, view, bound)
    if needs_price(alert, limits):
        _check_price(order, alert, view, limits)


def _check_market(order: Order, limits: StrategyLimits, whose: str) -> None:
    if order.symbol in limits.denied:
        raise Refusal("risk.denied", f"{order.symbol} is in the {whose}'s risk.denied: no entries", "symbol")
    if limits.allowed and order.symbol not in limits.allowed:
        allowed = ", ".join(limits.allowed)
        detail = f"{order.symbol} is not in the {whose}'s risk.allowed: {allowed}"
        raise Refusal("risk.not_allowed", detail, "symbol")


def _check_leverage(order: Order, view: View, most: int, whose: str) -> None:
    if not most or view.market.kind == "spot":
        return
    leverage = order.leverage or view.features.leverage
    if leverage is None:  # what is set at the exchange may be anything
        detail = (
            f"the {whose}'s limit is {most}, and what is set at the exchange is not known: send leverage, "
            f"or set exchanges.{order.account}.leverage"
        )
        raise Refusal("risk.max_leverage", detail, "leverage")
    if leverage > most:
        detail = f"the leverage would be {leverage}, the {whose}'s limit is {most}"
        raise Refusal("risk.max_leverage", detail, "leverage")


def _check_cooldown(order: Order, view: View, bound: Bound) -> None:
    pause = bound.limits.cooldown_s
    if not pause:
        return
    known = [
        one.created_at
        for one in bound.exposure.live
        if one.symbol == order.symbol and _enters(one, view.market)
    ]
    if bound.last_entry is not None:
        known.append(bound.last_entry)
    if not known:
        return
    ago = max(0.0, view.now - max(known))  # the clock may have been set back
    if ago < pause:
        detail = (
            f"the last entry in {order.symbol} was {ago:.1f} s ago; the {bound.whose}'s pause is {pause:g} s"
        )
        raise Refusal("risk.cooldown", detail)


def _enters(order: Order, market: Market) -> bool:
    """A sale on spot opens nothing, whosever coins it sells."""
    return not is_exit(order) and (order.side is Side.BUY or not risk.is_spot(order, market))


def _check_price(order: Order, alert: Alert, view: View, limits: Limits) -> None:
    if view.price is None:
        raise Refusal("risk.no_price", "there is no price to check the limits with: try again later")
    age = 0.0 if view.price_time is None else view.now - view.price_time
    if limits.max_price_age_s and age > limits.max_price_age_s:
        raise Refusal(
            "risk.stale_price",
            f"the last price {plain(view.price)} is {age:.1f} s old; "
            f"the limit is {limits.max_price_age_s:g} s",
        )
    if not limits.max_slippage or order.type is not OrderType.MARKET or not alert.price:
        return
    worse = view.price - alert.price if order.side is Side.BUY else alert.price - view.price
    if worse / alert.price > limits.max_slippage:
        raise Refusal(
            "risk.max_slippage",
            f"the last price {plain(view.price)} is {percent(worse / alert.price)} worse than the alert's "
            f"{plain(alert.price)}; the limit is {percent(limits.max_slippage)}",
            "price",
        )
