"""The one decision: from an intent and what is known of its account to the orders it becomes.

Pure. The sizing actor gathers a `View`, asks `decide`, and writes the answer into the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_view
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from fks.domain import risk, sizing
from fks.domain.alerts import Action, Alert, Target
from fks.domain.errors import Refusal
from fks.domain.ids import client_order_id
from fks.domain.messages import Exposure, Intent, Market, Order, TradingState
from fks.domain.money import ZERO, floor_to, plain, price_to, rough
from fks.domain.orders import Leg, OrderType, Side
from fks.domain.protection import HELD, is_held, make_way
from fks.domain.settings import RiskSettings, SizingSettings
from fks.domain.venue import Features


@dataclass(frozen=True, slots=True)
class View:
    """What is known when an intent is decided. `price` is the last one.

    `free_base` and `total_base`: what can be sold now, and what there is with what open orders hold.
    """

    market: Market
    features: Features
    exposure: Exposure
    trading: TradingState
    now: float
    price: Decimal | None = None
    equity: Decimal | None = None
    free_base: Decimal | None = None
    total_base: Decimal | None = None
    position: Decimal | None = None  # the exchange's own, of contracts


class Planned(Struct, frozen=True):
    """The orders to plan (none for a `cancel`), the live orders to cancel, further legs of earlier alerts."""

    orders: tuple[Order, ...] = ()
    cancel: tuple[str, ...] = ()
    add: tuple[Order, ...] = ()


def decide(intent: Intent, view: View, size: SizingSettings, limits: RiskSettings) -> Planned:
    """What becomes of the intent. Raises Refusal with a stable code and the numbers."""
    if view.now > intent.good_until:
        raise Refusal("gate.stale", "the alert grew too old before it could be decided")
    match intent.alert.action:
        case Action.CANCEL:
            return Planned(cancel=tuple(one.id for one in _entries(view)))
        case Action.CLOSE:
            return _close(intent, view)
        case Action.BUY | Action.SELL if _reverses(intent.alert):
            return _reverse(intent, view, size, limits)
        case Action.BUY | Action.SELL:
            return _enter(intent, view, size, limits)


def _live(view: View) -> list[Order]:
    return [order for order in view.exposure.live if order.symbol == view.market.symbol]


def _entries(view: View) -> list[Order]:
    """Entries not yet (fully) filled; protection of what is filled stays."""
    return [order for order in _live(view) if order.leg is Leg.ENTRY]


def _close(intent: Intent, view: View) -> Planned:
    """Everything live is canceled; the close is held until that is done, and then sent for what is left
    (`domain.protection`): only then is it known how much that is.
    """
    held, live, entries = _held(view), _live(view), _entries(view)
    amount = floor_to(abs(held), view.market.amount_step)
    if amount == 0 and not entries:
        raise Refusal("close.nothing", f"there is no position in {view.market.symbol} to close")
    if amount > 0:
        side = Side.SELL if held > 0 else Side.BUY
    else:  # what its entries may still fill before they are canceled
        side, amount = entries[0].side.opposite, entries[0].amount
    if not live:
        _check_minimum(amount, view)
    close = _order(intent, view, Leg.CLOSE, side=side, type=OrderType.MARKET, amount=amount, not_before=HELD)
    return Planned((close,), tuple(order.id for order in live if order.leg is not Leg.CLOSE))


def _held(view: View) -> Decimal:
    """The signed position. Contracts: the exchange's own; spot: what this daemon bought, if it is there."""
    if view.market.kind != "spot":
        if view.position is None:
            raise Refusal("close.unknown", f"the exchange does not tell its position in {view.market.symbol}")
        return view.position
    booked = view.exposure.positions.get(view.market.symbol)
    amount = max(ZERO, booked.amount) if booked else ZERO
    return amount if view.total_base is None else min(amount, view.total_base)


def _reverses(alert: Alert) -> bool:
    """TradingView's strategy turns from long to short or back with one order."""
    return {alert.market_position, alert.prev_market_position} == {"long", "short"}


def _reverse(intent: Intent, view: View, size: SizingSettings, limits: RiskSettings) -> Planned:
    """One intent, two orders: close before open. The entry goes when the close is filled, and never
    without it.
    """
    if view.market.kind == "spot":
        detail = "a spot account cannot turn from long to short: send `close`, or use a swap account"
        raise Refusal("order.unsupported", detail, "market_position")
    if _held(view) == 0:
        return _enter(intent, view, size, limits)
    closing = _close(intent, view)
    if view.trading is not TradingState.ACTIVE:
        return closing  # the half of it that is allowed
    # The order's own size covers both halves; the new position is what the strategy says it will be.
    alert = intent.alert
    if alert.position_size:
        alert = replace(alert, amount=abs(alert.position_size), notional=None, percent=None)
    flat = {symbol: one for symbol, one in view.exposure.positions.items() if symbol != view.market.symbol}
    # What is to be canceled counts on: it may be filled before that.
    after = replace_view(view, exposure=replace(view.exposure, positions=flat))
    entering = _enter(replace(intent, alert=alert), after, size, limits)
    close, (entry, *legs) = closing.orders[0], entering.orders
    entry = replace(entry, parent=close.id, not_before=HELD)
    held = [replace(leg, attached=False, not_before=HELD) for leg in legs]
    return Planned((close, entry, *held), closing.cancel)


def _enter(intent: Intent, view: View, size: SizingSettings, limits: RiskSettings) -> Planned:
    alert = intent.alert
    _check_type(alert, view.features)
    side = Side(alert.action.value)
    if alert.reduce_only and side is Side.BUY and view.market.kind == "spot":
        raise Refusal("order.unsupported", "a buy never reduces a spot position", "reduce_only")
    buying = side is Side.BUY
    tick = view.market.price_tick
    limit = alert.price if _limit(alert) else None
    price = _on_grid("price", limit, tick, buying=buying) if limit else None
    stop = _on_grid("stop_price", alert.stop_price, tick, buying=not buying) if alert.stop_price else None
    reference = price or stop or view.price
    rules = sizing.effective_rules(alert, size)
    wanted = sizing.amount_for(alert, rules, price=reference, equity=view.equity)
    amount = floor_to(wanted, view.market.amount_step)
    _check_amount(amount, wanted, view, reference)
    entry = _order(
        intent,
        view,
        Leg.ENTRY,
        side=side,
        type=alert.order_type,
        amount=amount,
        price=price,
        stop_price=stop,
        trail_percent=alert.trail_percent,
        time_in_force=alert.time_in_force,
        post_only=alert.post_only,
        reduce_only=alert.reduce_only,
        leverage=alert.leverage,
        margin_mode=alert.margin_mode,
    )
    if (turn := _turning(intent, view, entry)) is not None:
        return _reverse(turn, replace_view(view, position=_booked(view)), size, limits)
    if _only_reduces(view, entry):
        entry = replace(entry, reduce_only=True)
    risk.check_trading(view.trading, view.exposure, entry)
    risk.check(entry, view.price, view.exposure, limits)
    way = make_way(_in_the_way(entry, view))
    return Planned((entry, *_legs(intent, view, entry, reference)), way.cancel, way.add)


def _booked(view: View) -> Decimal:
    position = view.exposure.positions.get(view.market.symbol)
    return position.amount if position else ZERO


def _only_reduces(view: View, entry: Order) -> bool:
    """What is meant to reduce a contract says so: else, in hedge mode, it would open the other side
    beside it, and in one-way mode it could turn a position that is smaller than thought.
    """
    if view.market.kind == "spot":
        return False
    return risk.must_not_turn(view.exposure, entry) or risk.reduces(view.exposure, entry)


def _turning(intent: Intent, view: View, entry: Order) -> Intent | None:
    """The reversal that a market order for more than the opposite position is; None when it is none."""
    held = _booked(view) if view.market.kind != "spot" else ZERO
    against = held < 0 if entry.side is Side.BUY else held > 0
    rest = entry.amount - abs(held)
    if not against or entry.reduce_only or entry.type is not OrderType.MARKET or rest <= 0:
        return None
    if view.trading is not TradingState.ACTIVE or rest < sizing.minimum(view.market, view.price):
        return None
    alert = replace(intent.alert, amount=rest, notional=None, percent=None, position_size=None)
    return replace(intent, alert=alert)


def _in_the_way(entry: Order, view: View) -> list[Order]:
    """Stops that hold the coins which a spot sale wants to sell. They come back for what it leaves."""
    if view.market.kind != "spot" or entry.side is not Side.SELL or view.free_base is None:
        return []
    if entry.amount <= view.free_base:
        return []
    stops = [order for order in _live(view) if order.leg is Leg.STOP_LOSS and not order.attached]
    return [stop for stop in stops if not is_held(stop) and not stop.cancel_requested]


def _on_grid(name: str, price: Decimal, tick: Decimal, *, buying: bool) -> Decimal:
    """`price_to`, but a price below the first tick is refused: 0 would read as "no price" further on."""
    rounded = price_to(price, tick, buying=buying)
    if rounded <= 0:
        raise Refusal("alert.number", f"{name} {plain(price)} is below one tick of {plain(tick)}", name)
    return rounded


def _limit(alert: Alert) -> bool:
    """A market alert's `price` is what the sender saw, not a limit."""
    return alert.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)


def _check_type(alert: Alert, features: Features) -> None:
    if alert.order_type not in features.order_types:
        able = ", ".join(sorted(features.order_types))
        raise Refusal(
            "order.unsupported", f"this account takes {able} orders, not {alert.order_type}", "order_type"
        )


def _check_amount(amount: Decimal, wanted: Decimal, view: View, price: Decimal | None) -> None:
    if amount <= 0:
        step = plain(view.market.amount_step)
        raise Refusal("order.below_minimum", f"{plain(wanted)} is less than one step of {step}", "amount")
    _check_minimum(amount, view, price)
    if view.market.max_amount is not None and amount > view.market.max_amount:
        most = plain(view.market.max_amount)
        raise Refusal(
            "order.above_maximum", f"{plain(amount)} is more than the market takes: {most}", "amount"
        )


def _check_minimum(amount: Decimal, view: View, price: Decimal | None = None) -> None:
    least = sizing.minimum(view.market, price or view.price)
    if amount < least:
        raise Refusal(
            "order.below_minimum",
            f"{plain(amount)} {view.market.base} is less than {view.market.symbol} takes: "
            f"{rough(least)} {view.market.base}",
            "amount",
        )


def _legs(intent: Intent, view: View, entry: Order, reference: Decimal | None) -> Sequence[Order]:
    """The protective orders that the alert asks for, prices rounded towards safety."""
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
        _check_minimum(entry.amount, view, at)  # else the entry would fill and its stop be rejected
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
        _check_amount(amount, share, view, at)
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
    attached = view.features.attached_protection
    # Played by the daemon beside a stop (domain/protection.py): its price is a mark to wait for, and
    # then it must be gone at once, for the stop has made room for it.
    played = not attached and not view.features.oco and intent.alert.stop_loss is not None
    take_profit = OrderType.MARKET if played else OrderType.LIMIT
    return _order(
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


def _order(
    intent: Intent, view: View, leg: Leg, *, side: Side, amount: Decimal, number: int = 0, **more: Any
) -> Order:
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
        reference_price=view.price,
        good_until=intent.good_until,
        created_at=view.now,
        updated_at=view.now,
        **more,
    )
