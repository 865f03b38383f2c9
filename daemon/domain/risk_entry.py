"""When an entry may not be, whatever its size: its market, the hour, a pause, its leverage, the last price.

What can only reduce a position is never asked. A setting of 0, or an empty one, does not bind.
"""

from fks.domain import risk, risk_hours
from fks.domain.alerts import Alert
from fks.domain.dispatch import is_exit
from fks.domain.errors import Refusal
from fks.domain.messages import Order
from fks.domain.money import plain
from fks.domain.orders import OrderType, Side
from fks.domain.settings import RiskSettings
from fks.domain.view import View

CODES = frozenset(
    f"risk.{name}"
    for name in (
        "denied",
        "not_allowed",
        "hours",
        "max_leverage",
        "cooldown",
        "stale_price",
        "max_slippage",
    )
)


def needs_price(alert: Alert, limits: RiskSettings) -> bool:
    """Whether `check` asks for the last price."""
    slips = alert.order_type is OrderType.MARKET and alert.price is not None
    return bool(limits.max_price_age_s or (limits.max_slippage and slips))


def check(order: Order, alert: Alert, view: View, limits: RiskSettings) -> None:
    """Raises Refusal naming the limit, with the numbers. What only reduces always passes."""
    if not _enters(order) or risk.reduces(view.exposure, order):
        return
    _check_market(order, limits)
    if limits.hours and not risk_hours.within(limits.hours, view.now):
        hours = ", ".join(limits.hours)
        raise Refusal("risk.hours", f"entries are allowed in these hours (UTC) only: {hours}")
    _check_leverage(order, view, limits)
    _check_cooldown(order, view, limits)
    if needs_price(alert, limits):
        _check_price(order, alert, view, limits)


def _check_market(order: Order, limits: RiskSettings) -> None:
    if order.symbol in limits.denied:
        raise Refusal("risk.denied", f"{order.symbol} is in risk.denied: no entries", "symbol")
    if limits.allowed and order.symbol not in limits.allowed:
        allowed = ", ".join(limits.allowed)
        raise Refusal("risk.not_allowed", f"{order.symbol} is not in risk.allowed: {allowed}", "symbol")


def _check_leverage(order: Order, view: View, limits: RiskSettings) -> None:
    most = limits.max_leverage
    if not most or view.market.kind == "spot":
        return
    if order.leverage is None:  # what is set at the exchange may be anything
        detail = f"an entry must name its leverage, because risk.max_leverage is {most}: send leverage"
        raise Refusal("risk.max_leverage", detail, "leverage")
    if order.leverage > most:
        detail = f"the leverage would be {order.leverage}, the account's limit is {most}"
        raise Refusal("risk.max_leverage", detail, "leverage")


def _check_cooldown(order: Order, view: View, limits: RiskSettings) -> None:
    if not limits.cooldown_s:
        return
    known = [one.created_at for one in view.exposure.live if one.symbol == order.symbol and _enters(one)]
    if view.last_entry is not None:
        known.append(view.last_entry)
    if not known:
        return
    ago = max(0.0, view.now - max(known))  # the clock may have been set back
    if ago < limits.cooldown_s:
        detail = f"the last entry in {order.symbol} was {ago:.1f} s ago; the pause is {limits.cooldown_s:g} s"
        raise Refusal("risk.cooldown", detail)


def _enters(order: Order) -> bool:
    """A sale on spot opens nothing, whosever coins it sells."""
    return not is_exit(order) and (order.side is Side.BUY or ":" in order.symbol)


def _check_price(order: Order, alert: Alert, view: View, limits: RiskSettings) -> None:
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
            f"the last price {plain(view.price)} is {worse / alert.price:.2%} worse than the alert's "
            f"{plain(alert.price)}; the limit is {limits.max_slippage:.2%}",
            "price",
        )
