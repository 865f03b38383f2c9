"""When not at all: the limits that an order must keep before anything is sent.

Orders that are planned, sent or unknown count as if they were filled, and so does what an order that has
just ended may show late, so that no race of alerts passes a limit. A limit of 0 does not bind.

Spot or contract is asked of the `market`; where that is not at hand (None), the unified symbol tells, though
not of a paper account whose contracts are called BTC/USDT.
"""

from collections.abc import Mapping
from decimal import Decimal

from msgspec.structs import replace

from fks.domain.dispatch import is_exit
from fks.domain.errors import Refusal
from fks.domain.messages import Exposure, Market, Order, TradingState
from fks.domain.money import ZERO, percent, plain, rough
from fks.domain.orders import OrderType, Side, State
from fks.domain.settings import Limits


def position_after(exposure: Exposure, order: Order, market: Market | None = None) -> Decimal:
    """The signed position if this order and every live one of its side were filled in full.

    Exits of a contract are taken to fill first: they end at nothing, and the others start from there.
    (On spot they compete for the same coins, and below zero there is nothing to sell.)
    """
    held = _held(exposure, order.symbol)
    sign = 1 if order.side is Side.BUY else -1
    same = [live for live in exposure.live if live.symbol == order.symbol and live.side is order.side]
    pending = sum((live.remaining for live in same if not is_exit(live)), start=ZERO)
    if held * sign < 0 and not is_spot(order, market):
        exits = sum((live.remaining for live in same if is_exit(live)), start=ZERO)
        held = -sign * max(ZERO, abs(held) - exits)
    return held + sign * (pending + order.amount)


def _at_most(exposure: Exposure, order: Order, market: Market | None) -> Decimal:
    """`position_after`, as if what may show late were open yet, and on spot with the exits filled as well:
    what they sell may be older coins.
    """
    live = {one.id for one in exposure.live}
    late = (replace(one, state=State.OPEN) for one in exposure.doubtful if one.id not in live)
    exposure = replace(exposure, live=(*exposure.live, *late))
    after = position_after(exposure, order, market)
    if not is_spot(order, market) or order.side is Side.BUY:
        return after
    exits = (one for one in exposure.live if one.symbol == order.symbol and is_exit(one))
    return after - sum((one.remaining for one in exits if one.side is Side.SELL), start=ZERO)


def reduces(exposure: Exposure, order: Order, market: Market | None = None) -> bool:
    """Whether the order can only make the position smaller, whatever of the live ones is filled.

    A spot account has no short positions: below zero are coins that it had before, and buying never reduces.
    """
    if is_exit(order):
        return True
    if is_spot(order, market) and order.side is Side.BUY:
        return False
    held, after = _held(exposure, order.symbol), position_after(exposure, order, market)
    return held != 0 and held * after >= 0 and abs(after) < abs(held)


def must_not_turn(exposure: Exposure, order: Order, market: Market | None = None) -> bool:
    """Whether the order is meant to reduce, but a live exit that fills first would make it open the
    opposite position: then it is sent reduce-only.
    """
    entries = tuple(live for live in exposure.live if not is_exit(live))
    meant = reduces(replace(exposure, live=entries), order, market)
    return meant and not is_spot(order, market) and not reduces(exposure, order, market)


def _held(exposure: Exposure, symbol: str) -> Decimal:
    position = exposure.positions.get(symbol)
    return position.amount if position else ZERO


def is_spot(order: Order, market: Market | None = None) -> bool:
    return ":" not in order.symbol if market is None else market.kind == "spot"


def effective_trading(states: Mapping[str | None, TradingState], account: str) -> TradingState:
    """The stricter of the global state (None) and the account's own; absent means active."""
    both = [states.get(scope, TradingState.ACTIVE) for scope in (None, account)]
    return max(both, key=lambda state: state.severity)


def check_trading(
    state: TradingState, exposure: Exposure, order: Order, market: Market | None = None
) -> None:
    """Raises Refusal when the trading state does not allow this order."""
    if state is TradingState.HALTED and not is_exit(order):
        detail = f"trading is halted: only `close` and reduce_only orders pass; {_ends(order.account)}"
        raise Refusal("risk.halted", detail)
    if state is TradingState.REDUCE and not reduces(exposure, order, market):
        detail = f"only what reduces a position is allowed; {_ends(order.account)}"
        raise Refusal("risk.reduce_only", detail)


def _ends(account: str) -> str:
    return f"`fks resume {account}` ends it if it is the account's own, `fks resume` if it is for all"


def check(
    order: Order,
    price: Decimal | None,
    exposure: Exposure,
    limits: Limits,
    whose: str = "account",
    *,
    market: Market | None = None,
) -> None:
    """Raises Refusal naming the limit, with the numbers. What only reduces always passes. `exposure` is that
    of the limits' owner: the account, a strategy on it, or the account's in one market.
    """
    if reduces(exposure, order, market):
        return
    _check_deviation(order, price, limits, whose)
    _check_loss(exposure, limits, whose)
    _check_rate(exposure, limits, whose)
    _check_open(exposure, limits, whose)
    _check_size(order, price, abs(_at_most(exposure, order, market)), limits, whose)


def _check_open(exposure: Exposure, limits: Limits, whose: str) -> None:
    entries = sum(not is_exit(live) for live in exposure.live)
    most = limits.max_open_orders
    if most and entries >= most:
        raise Refusal("risk.max_open_orders", f"{entries} orders are open, the {whose}'s limit is {most}")


def _check_size(order: Order, price: Decimal | None, after: Decimal, limits: Limits, whose: str) -> None:
    """`after`: the position, at most."""
    if not (limits.max_order_notional or limits.max_position_notional):
        return
    if price is None and order.price is None:  # a trigger alone bounds nothing
        raise Refusal("risk.no_price", "there is no price to check the limits with: try again later")
    # Never less than the last price, at which a stop may fill at once; but a buy pays no more than its limit.
    highest = max(order.price or ZERO, order.stop_price or ZERO, price or ZERO)
    capped = order.price if order.side is Side.BUY else None
    notional = order.amount * (capped or highest)
    _within("risk.max_order_notional", "order's notional", notional, limits.max_order_notional, whose)
    # What is held is worth the last price, however low the limit of what is added to it.
    held = after * highest
    _within("risk.max_position_notional", "position's notional", held, limits.max_position_notional, whose)


def _check_loss(exposure: Exposure, limits: Limits, whose: str) -> None:
    if limits.max_daily_loss and -exposure.realized_today >= limits.max_daily_loss:
        raise Refusal(
            "risk.max_daily_loss",
            f"today's loss is {plain(-exposure.realized_today)}, the limit {plain(limits.max_daily_loss)}: "
            f"the {whose} only reduces until 00:00 UTC",
        )


def _check_rate(exposure: Exposure, limits: Limits, whose: str) -> None:
    waiting = (live for live in exposure.live if live.state is State.PLANNED and not is_exit(live))
    recent = exposure.placed_last_minute + sum(1 for _ in waiting)
    most = limits.max_orders_per_minute
    if most and recent >= most:
        detail = f"{recent} orders within a minute, the {whose}'s limit is {most}"
        raise Refusal("risk.max_orders_per_minute", detail)


def _check_deviation(order: Order, price: Decimal | None, limits: Limits, whose: str) -> None:
    # A stop limit's is that far from its trigger: there the last price is when it goes into the book.
    triggered = order.type is OrderType.STOP_LIMIT
    anchor, name = (order.stop_price, "stop price") if triggered else (price, "last price")
    if not (limits.max_price_deviation and order.price and anchor):
        return
    # Both ways: a digit too few is as much a slip as a digit too many.
    deviation = abs(order.price - anchor) / anchor
    if deviation > limits.max_price_deviation:
        raise Refusal(
            "risk.max_price_deviation",
            f"the limit price {plain(order.price)} is {percent(deviation)} away from the {name} "
            f"{plain(anchor)}; the {whose}'s limit is {percent(limits.max_price_deviation)}",
            "price",
        )


def _within(code: str, what: str, value: Decimal, limit: Decimal, whose: str) -> None:
    if limit and value > limit:
        detail = f"the {what} would be {rough(value)}, the {whose}'s limit is {plain(limit)}"
        raise Refusal(code, detail)
