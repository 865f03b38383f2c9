"""The one decision: from an intent and what is known of its account to the orders it becomes.

Pure. The sizing actor gathers a `View`, asks `decide`, and writes the answer into the ledger.
"""

from dataclasses import replace as replace_view
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from fks.domain import exits, risk, risk_bounds, risk_entry, shares, sizing, strategy
from fks.domain.alerts import Action, Alert
from fks.domain.errors import Refusal
from fks.domain.making import check_amount, check_minimum, make_order, on_grid, protection_of
from fks.domain.messages import Intent, Order, TradingState
from fks.domain.money import ZERO, floor_to
from fks.domain.orders import Leg, OrderType, Side
from fks.domain.protection import HELD, is_held, make_way
from fks.domain.strategy import Change, Step
from fks.domain.venue import Features
from fks.domain.view import Rules, View


class Planned(Struct, frozen=True):
    """The orders to plan (none for a `cancel`), the live orders to cancel, further legs of earlier alerts.

    `withheld`: why a reversal only closes.
    """

    orders: tuple[Order, ...] = ()
    cancel: tuple[str, ...] = ()
    add: tuple[Order, ...] = ()
    withheld: Refusal | None = None


def decide(intent: Intent, view: View, rules: Rules) -> Planned:
    """What becomes of the intent. Raises Refusal with a stable code and the numbers."""
    if view.now > intent.good_until:
        raise Refusal("gate.stale", "the alert grew too old before it could be decided")
    alert = intent.alert
    known = _scoped(alert, view, rules)
    step = strategy.step(alert, _strategys(alert, view), rules.on_drift)
    if step is not None:
        return _take(step, intent, view, rules)
    match alert.action:
        case Action.CANCEL:
            concerned = (one for one in _entries(known) if _concerns(alert, one.side))
            return Planned(cancel=tuple(one.id for one in concerned))
        case Action.CLOSE:
            part = _part(alert, known)
            return _close(intent, known, rules) if part is None else _close_part(intent, part, view, rules)
        case Action.BUY | Action.SELL:
            return _enter(intent, view, rules)


def decide_in_doubt(intent: Intent, view: View, rules: Rules, *, patient: bool) -> Planned | None:
    """`decide`; but None, to a patient one, when only what ended orders may show late stands against it: that
    is known soon. The entry of a reversal is withheld instead: its close must not wait.
    """
    try:
        return decide(intent, view, rules)
    except Refusal:
        if not patient or not view.exposure.doubtful:
            raise
        certain = replace(view.exposure, doubtful=())
        decide(intent, replace_view(view, exposure=certain), rules)  # raises what stands against it anyway
        return None


def noticed(intent: Intent, view: View) -> str | None:
    """How the book differs from what the alert's strategy assumes; None when it does not. Raises Refusal."""
    return strategy.drift(intent.alert, _strategys(intent.alert, view))


def _strategys(alert: Alert, view: View) -> Decimal:
    """What the alert's strategy has in the book; less than the market takes is nothing."""
    held = strategy.position(shares.own(view.exposure, alert.strategy or ""), view.market.symbol)
    least = max(view.market.amount_step, sizing.minimum(view.market, view.price))
    return held if abs(held) >= least else ZERO


def _scoped(alert: Alert, view: View, rules: Rules) -> View:
    """What a strategy with a table of its own may close and cancel: its orders and its share."""
    if rules.own is None:
        return view
    mine = shares.own(view.exposure, alert.strategy or "")
    scoped = replace_view(view, exposure=mine)
    if view.position is None:
        return scoped
    share = _booked(scoped)
    there = min(abs(share), abs(view.position)) if share * view.position > 0 else ZERO
    return replace_view(scoped, position=there if share > 0 else -there)


def _take(step: Step, intent: Intent, view: View, rules: Rules) -> Planned:
    """What a strategy's own words mean."""
    known = _scoped(intent.alert, view, rules)
    alert = replace(intent.alert, action=Action(step.side.value))
    if step.amount is not None:
        alert = replace(alert, amount=step.amount, notional=None, percent=None)
    match step.change:
        case Change.CLOSE:
            return _close(intent, known, rules)
        case Change.REVERSAL:
            told = view if view.position is not None else replace_view(view, position=_booked(view))
            return _reverse(replace(intent, alert=alert), told, rules)
        case Change.REDUCE:
            out = view.market.kind != "spot" or step.side is Side.SELL
            alert = replace(alert, reduce_only=out, take_profit=(), stop_loss=None)
            return _enter(replace(intent, alert=alert), view, rules, most=step.most)
    if view.market.kind == "spot" and step.side is Side.SELL:
        raise Refusal("order.unsupported", "a spot account holds no short positions", "market_position")
    return _enter(replace(intent, alert=alert), view, rules)


def _live(view: View) -> list[Order]:
    return [order for order in view.exposure.live if order.symbol == view.market.symbol]


def _entries(view: View) -> list[Order]:
    """Entries not yet (fully) filled; protection of what is filled stays."""
    return [order for order in _live(view) if order.leg is Leg.ENTRY]


def _concerns(alert: Alert, opened_by: Side) -> bool:
    """Whether a close or cancel means the position (or entry) that orders of this side open."""
    return alert.position_side in (None, "long" if opened_by is Side.BUY else "short")


def _check_side(alert: Alert, opened_by: Side, symbol: str) -> None:
    if not _concerns(alert, opened_by):
        detail = f"there is no {alert.position_side} position in {symbol} to close"
        raise Refusal("close.nothing", detail, "position_side")


def _part(alert: Alert, known: View) -> Decimal | None:
    """How much of the position a close asks for; None: all of it, also when what other exits leave of it is
    no more than asked for: such a close ends them, and then measures.
    """
    if strategy.ends_all(alert):
        return None
    held = _held(known)
    if held == 0 and alert.amount is None:
        return ZERO  # a share of nothing is refused, whatever may fill yet
    left = floor_to(exits.left(held, known), known.market.amount_step)
    asked = left * (alert.share or 1) if alert.amount is None else alert.amount
    return asked if asked < left else None


def _close_part(intent: Intent, part: Decimal, view: View, rules: Rules) -> Planned:
    """So much of the position, at market, by an order that can only reduce; its stops shrink with it."""
    alert, held = intent.alert, _held(_scoped(intent.alert, view, rules))
    opened_by = Side.BUY if held > 0 else Side.SELL
    if held == 0:
        raise Refusal("close.nothing", f"there is no position in {view.market.symbol} to close")
    _check_side(alert, opened_by, view.market.symbol)
    order = Alert(  # nothing else of the close: its other fields were not even checked
        symbol=alert.symbol,
        action=Action(opened_by.opposite.value),
        amount=part,
        price=alert.price,
        reduce_only=True,  # on spot too: it is a way out, and passes as one
        strategy=alert.strategy,
    )
    return _enter(replace(intent, alert=order), view, rules)


def _close(intent: Intent, view: View, rules: Rules) -> Planned:
    """Everything live is canceled; the close is held until that is done, and then sent for what is left
    (`domain.protection`): only then is it known how much that is. Without a share of its own the close is
    nobody's: it ends whatever there is.
    """
    held, live, entries = _held(view), _live(view), _entries(view)
    amount = floor_to(abs(held), view.market.amount_step)
    if amount == 0 and not entries:
        raise Refusal("close.nothing", f"there is no position in {view.market.symbol} to close")
    if amount > 0:
        side = Side.SELL if held > 0 else Side.BUY
    else:  # what its entries may still fill before they are canceled
        side, amount = entries[0].side.opposite, entries[0].amount
    _check_side(intent.alert, side.opposite, view.market.symbol)
    if not live:
        check_minimum(amount, view)
    close = make_order(
        intent, view, Leg.CLOSE, side=side, type=OrderType.MARKET, amount=amount, not_before=HELD
    )
    if rules.own is None:
        close = replace(close, strategy="")
    return Planned((close,), tuple(order.id for order in live if order.leg is not Leg.CLOSE))


def _held(view: View) -> Decimal:
    """The signed position. Contracts: the exchange's own; spot: what this daemon bought, if it is there.

    Where the exchange shows none, what is booked: it may not show yet. A close is measured once more before
    it is sent, and a part can only reduce.
    """
    booked = _booked(view)
    if view.market.kind == "spot":
        amount = max(ZERO, booked)
        return amount if view.total_base is None else min(amount, view.total_base) or amount
    if view.position is None:
        raise Refusal("close.unknown", f"the exchange does not tell its position in {view.market.symbol}")
    return view.position or booked


def may_exit(alert: Alert) -> bool:
    """Whether the alert asks for a way out, be it among other things. Raises Refusal."""
    leaves = (Change.CLOSE, Change.REDUCE, Change.REVERSAL)
    return strategy.closes(alert) or bool(alert.reduce_only) or strategy.change(alert) in leaves


def _reverse(intent: Intent, view: View, rules: Rules) -> Planned:
    """One intent, two orders: close before open. The entry goes when the close is filled, and never
    without it. The alert's size is that of the new position; of 0, nothing is opened.
    """
    if view.market.kind == "spot":
        detail = "a spot account cannot turn from long to short: send `close`, or use a swap account"
        raise Refusal("order.unsupported", detail, "market_position")
    known = _scoped(intent.alert, view, rules)
    if _held(known) == 0:
        return _enter(intent, view, rules, turns=False)
    closing = _close(intent, known, rules)
    if view.trading is not TradingState.ACTIVE or intent.alert.amount == 0:
        return closing  # the half of it that is allowed
    # What is to be canceled counts on: it may be filled before that.
    share = intent.alert.strategy if rules.own is not None else None
    after = replace_view(view, exposure=shares.without(view.exposure, view.market.symbol, share))
    try:
        entering = _enter(intent, after, rules)
    except Refusal as refusal:
        if not refusal.code.startswith("risk."):
            raise
        return replace(closing, withheld=refusal)  # the way out is nobody's to refuse
    close, (entry, *legs) = closing.orders[0], entering.orders
    entry = replace(entry, parent=close.id, not_before=HELD)
    held = [replace(leg, attached=False, not_before=HELD) for leg in legs]
    return Planned((close, entry, *held), closing.cancel)


def _enter(
    intent: Intent, view: View, rules: Rules, *, most: Decimal | None = None, turns: bool = True
) -> Planned:
    """`most`: in base units, whatever size the alert asks for. `turns`: it may become a reversal."""
    alert = intent.alert
    entry, wanted = _entry(intent, view, rules, most)
    expected = _expected(entry, view)
    known = _scoped(alert, view, rules)
    rest = _turning(view, known, entry) if turns else None
    if rest is not None:
        turn = replace(alert, amount=rest, notional=None, percent=None)
        booked = replace_view(view, position=_booked(view))
        return _reverse(replace(intent, alert=turn), booked, rules)
    check_amount(entry.amount, wanted, view, expected)
    if rules.own is not None:
        _check_opposed(view, known, entry)
    if _only_reduces(view, entry):
        entry = replace(entry, reduce_only=True)
    risk.check_trading(view.trading, view.exposure, entry, view.market)
    bounds = tuple(risk_bounds.bounds(view, rules, entry.strategy))
    for bound in bounds:
        risk_entry.check(entry, alert, view, bound)
    for bound in bounds:
        risk.check(entry, view.price, bound.exposure, bound.limits, bound.whose, market=view.market)
    way = make_way(_in_the_way(entry, view))
    return Planned((entry, *protection_of(intent, view, entry, expected)), way.cancel, way.add)


def _entry(intent: Intent, view: View, rules: Rules, most: Decimal | None) -> tuple[Order, Decimal]:
    """The order, and the amount before rounding."""
    alert = intent.alert
    _check_type(alert, view.features)
    side = Side(alert.action.value)
    if alert.reduce_only and side is Side.BUY and view.market.kind == "spot":
        raise Refusal("order.unsupported", "a buy never reduces a spot position", "reduce_only")
    buying = side is Side.BUY
    tick = view.market.price_tick
    limit = alert.price if _limit(alert) else None
    price = on_grid("price", limit, tick, buying=buying) if limit else None
    trigger = alert.stop_price if "stop_price" in alert.order_type.needs else None
    stop = on_grid("stop_price", trigger, tick, buying=not buying) if trigger else None
    order = make_order(
        intent,
        view,
        Leg.ENTRY,
        side=side,
        type=alert.order_type,
        amount=ZERO,
        price=price,
        stop_price=stop,
        trail_percent=alert.trail_percent,
        time_in_force=alert.time_in_force,
        post_only=alert.post_only,
        reduce_only=alert.reduce_only,
        leverage=alert.leverage or _usual_leverage(alert, view, rules),
        margin_mode=alert.margin_mode,
    )
    wanted = sizing.amount_for(
        alert,
        sizing.effective_rules(alert, rules.size),
        price=price or view.price or stop,
        entry=_expected(order, view),
        equity=view.equity,
        held=strategy.position(shares.own(view.exposure, alert.strategy or ""), view.market.symbol, side),
        candles=view.candles,
        trips=view.trips,
    )
    wanted = wanted if most is None else min(wanted, most)
    return replace(order, amount=floor_to(wanted, view.market.amount_step)), wanted


def _expected(entry: Order, view: View) -> Decimal | None:
    """The price that it is to fill at: what its stop loss and take profit are measured from. A stop that is
    beyond its price already fills at the last one.
    """
    if entry.price or entry.stop_price is None or view.price is None:
        return entry.price or entry.stop_price or view.price
    worse = max if entry.side is Side.BUY else min
    return worse(entry.stop_price, view.price)


def _usual_leverage(alert: Alert, view: View, rules: Rules) -> int | None:
    opens = view.market.kind != "spot" and not alert.reduce_only
    return rules.leverage or None if opens else None


def _check_opposed(view: View, known: View, entry: Order) -> None:
    """An account has one position in a contract: two strategies cannot hold both sides of it."""
    others = strategy.position(view.exposure, entry.symbol) - strategy.position(known.exposure, entry.symbol)
    against = others < 0 if entry.side is Side.BUY else others > 0
    if against and view.market.kind != "spot" and not risk.reduces(known.exposure, entry, view.market):
        detail = (
            f"other strategies of {entry.account} hold the other side of {entry.symbol}: use another account"
        )
        raise Refusal("strategy.opposed", detail, "strategy")


def _booked(view: View) -> Decimal:
    position = view.exposure.positions.get(view.market.symbol)
    return position.amount if position else ZERO


def _only_reduces(view: View, entry: Order) -> bool:
    """What is meant to reduce a contract says so: else, in hedge mode, it would open the other side
    beside it, and in one-way mode it could turn a position that is smaller than thought.
    """
    if view.market.kind == "spot":
        return False
    exposure, market = view.exposure, view.market
    return risk.must_not_turn(exposure, entry, market) or risk.reduces(exposure, entry, market)


def _turning(view: View, known: View, entry: Order) -> Decimal | None:
    """The new position of the reversal that a market order for more than the opposite one is; else None.

    What a market order is about to add to the opposite one is ended as well, and opens nothing.
    """
    held = _booked(known) if view.market.kind != "spot" else ZERO
    against = held < 0 if entry.side is Side.BUY else held > 0
    adding = [one for one in _entries(known) if one.type is OrderType.MARKET and one.side is not entry.side]
    rest = entry.amount - abs(held) - sum((one.remaining for one in adding), start=ZERO)
    if not against or entry.reduce_only or entry.type is not OrderType.MARKET or rest <= 0:
        return None
    if view.trading is not TradingState.ACTIVE or rest < sizing.minimum(view.market, view.price):
        return None
    return rest


def _in_the_way(entry: Order, view: View) -> list[Order]:
    """Stops that hold the coins which a spot sale wants to sell. They come back for what it leaves."""
    free = view.free_base
    if free is None and entry.reduce_only:
        free = ZERO  # not told: a way out must not fail for coins that a stop may hold
    if view.market.kind != "spot" or entry.side is not Side.SELL or free is None or entry.amount <= free:
        return []
    stops = [order for order in _live(view) if order.leg is Leg.STOP_LOSS and not order.attached]
    return [stop for stop in stops if not is_held(stop) and not stop.cancel_requested]


def _limit(alert: Alert) -> bool:
    """A market alert's `price` is what the sender saw, not a limit."""
    return alert.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)


def _check_type(alert: Alert, features: Features) -> None:
    if alert.order_type not in features.order_types:
        able = ", ".join(sorted(features.order_types))
        raise Refusal(
            "order.unsupported", f"this account takes {able} orders, not {alert.order_type}", "order_type"
        )
