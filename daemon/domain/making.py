"""The making of orders: an entry or close, and the protective legs that an alert asks for. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fks.domain import sizing
from fks.domain.alerts import Alert, Target
from fks.domain.errors import Refusal
from fks.domain.ids import client_order_id
from fks.domain.messages import Intent, Order
from fks.domain.money import floor_to, plain, price_to, rough
from fks.domain.orders import Leg, OrderType, Side
from fks.domain.protection import HELD
from fks.domain.venue import Features
from fks.domain.view import View


def make_order(
    intent: Intent, view: View, leg: Leg, *, side: Side, amount: Decimal, number: int = 0, **more: Any
) -> Order:
    """A planned order in the view's market, `amount` in base units; `more` are further fields of `Order`.

    Its id is a function of alert, account, leg and `number` (of several take profits): decided twice, it is
    the same. A close is reduce-only on contracts unless `more` says otherwise.
    """
    name = f"{leg}-{number}" if number else str(leg)
    id_ = client_order_id(intent.alert_id, intent.account, name, 1)
    more.setdefault("reduce_only", leg is Leg.CLOSE and view.market.kind != "spot")
    return Order(
        id=id_,
        client_order_id=id_,
        alert_id=intent.alert_id,
        account=intent.account,
        leg=leg,
        symbol=view.market.symbol,
        side=side,
        amount=amount,
        strategy=intent.alert.strategy or "",
        reference_price=view.price,
        good_until=intent.good_until,
        created_at=view.now,
        updated_at=view.now,
        **more,
    )


def on_grid(name: str, price: Decimal, tick: Decimal, *, buying: bool) -> Decimal:
    """`price_to`; raises Refusal naming the field `name` for a price below the first tick: 0 would read as
    "no price" further on.
    """
    rounded = price_to(price, tick, buying=buying)
    if rounded <= 0:
        raise Refusal("alert.number", f"{name} {plain(price)} is below one tick of {plain(tick)}", name)
    return rounded


def check_amount(amount: Decimal, wanted: Decimal, view: View, price: Decimal | None) -> None:
    """Raises Refusal when `amount` (base units; `wanted` before rounding) is nothing, or less or more than
    the market takes at `price` (quote units; None: the last one).
    """
    if amount <= 0:
        step = plain(view.market.amount_step)
        raise Refusal("order.below_minimum", f"{plain(wanted)} is less than one step of {step}", "amount")
    check_minimum(amount, view, price)
    if view.market.max_amount is not None and amount > view.market.max_amount:
        most = plain(view.market.max_amount)
        raise Refusal(
            "order.above_maximum", f"{plain(amount)} is more than the market takes: {most}", "amount"
        )


def check_minimum(amount: Decimal, view: View, price: Decimal | None = None) -> None:
    """Raises Refusal when `amount` (base units) is less than the market takes at `price`, or at the last."""
    least = sizing.minimum(view.market, price or view.price)
    if amount < least:
        raise Refusal(
            "order.below_minimum",
            f"{plain(amount)} {view.market.base} is less than {view.market.symbol} takes: "
            f"{rough(least)} {view.market.base}",
            "amount",
        )


def protection_of(intent: Intent, view: View, entry: Order, reference: Decimal | None) -> Sequence[Order]:
    """The protective orders that the alert asks for, prices rounded towards safety.

    `reference`: the entry's price (quote units) from which distances count. Raises Refusal when it is not
    known, when a leg lies on the wrong side of it or is too small, or when the account cannot hold a stop.
    """
    alert = intent.alert
    if not (alert.stop_loss or alert.take_profit):
        return ()
    if reference is None:
        raise Refusal("sizing.no_price", "there is no price to place the stop loss and take profit from")
    _check_protection(alert, view.features)
    tick, buying = view.market.price_tick, entry.side is Side.BUY
    legs = []
    if alert.stop_loss:
        at = _leg_price(alert.stop_loss, reference, tick, profit=False, buying=buying)
        check_minimum(entry.amount, view, at)  # else the entry would fill and its stop be rejected
        legs.append(_leg(intent, view, entry, Leg.STOP_LOSS, amount=entry.amount, at=at))
    left = entry.amount
    for number, target in enumerate(alert.take_profit):
        last = number == len(alert.take_profit) - 1
        share = entry.amount * (target.share or 1)
        # the last of shares that make a whole takes what the rounding of the others left
        whole = sum((one.share or Decimal(1)) for one in alert.take_profit) == 1
        amount = left if last and whole else min(floor_to(share, view.market.amount_step), left)
        left -= amount
        at = _leg_price(target, reference, tick, profit=True, buying=buying)
        check_amount(amount, share, view, at)
        legs.append(_leg(intent, view, entry, Leg.TAKE_PROFIT, number=number, amount=amount, at=at))
    return legs


def _leg_price(target: Target, reference: Decimal, tick: Decimal, *, profit: bool, buying: bool) -> Decimal:
    """On the grid, towards the market for a stop (it loses less), away from it for a take profit; and
    after the rounding still on its own side of the entry.
    """
    exact = sizing.target_price(target, reference, profit=profit, buying=buying)
    at = price_to(exact, tick, buying=not buying)
    return sizing.target_price(Target(price=at), reference, profit=profit, buying=buying)


def _check_protection(alert: Alert, features: Features) -> None:
    """What this exchange cannot hold is refused by name, never dropped."""
    if features.attached_protection or alert.stop_loss is None:
        return
    if OrderType.STOP not in features.order_types:
        raise Refusal("order.unsupported", "this account cannot hold a stop loss", "stop_loss")


def _leg(
    intent: Intent, view: View, entry: Order, leg: Leg, *, amount: Decimal, at: Decimal, number: int = 0
) -> Order:
    stop = leg is Leg.STOP_LOSS
    linked = view.features.attached_protection
    attached = linked or (stop and view.features.carries_stop(entry))
    # Played by the daemon beside a stop (domain/protection.py): its price is a mark to wait for, and
    # then it must be gone at once, for the stop has made room for it.
    played = not linked and not view.features.oco and intent.alert.stop_loss is not None
    take_profit = OrderType.MARKET if played else OrderType.LIMIT
    return make_order(
        intent,
        view,
        leg,
        number=number,
        side=entry.side.opposite,
        type=OrderType.STOP if stop else take_profit,
        amount=amount,
        price=None if stop else at,
        stop_price=at if stop else None,
        reduce_only=view.market.kind != "spot",
        margin_mode=entry.margin_mode,
        parent=entry.id,
        attached=attached,
        not_before=0.0 if attached else HELD,
    )
