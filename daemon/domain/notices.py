"""What a human is told of the journal's events, in plain words. Pure.

`NAMES` are the words of `[notify] on`. A fact that the journal records twice (a rejection is an event of its
order and an alarm) makes one notice, which either word asks for.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from fks.domain.events import MISDIRECTED, ORDER_STATES, Kind, order_event
from fks.domain.limits import BreakerState
from fks.domain.messages import Event, TradingState
from fks.domain.orders import State

NAMES = (
    *(state.value for state in State),  # of an order; "refused": also of an alert
    "unprotected",  # a position is without its stop for too long
    "breaker",  # an exchange fails, or answers again
    "halted",  # trading was halted, restricted to reducing, or resumed
    "drift",  # the book is not what the exchange, or the strategy, has
    "failed",  # an account is closed to entries, because an actor of it fails
    "alarm",  # everything that a human must look at, those above among it
    "started",
    "stopped",
)

LONGEST = 300  # characters of a reason: an exchange's may be a page
URGENT = frozenset({"alarm", "unknown", "unprotected", "breaker", "halted", "drift", "failed"})

_ALARMING = {order_event(State.REJECTED), order_event(State.REFUSED)}
_OTHERS = {
    Kind.ALARM,
    Kind.INTENT_REFUSED,
    Kind.TRADING_STATE,
    Kind.STRATEGY_DRIFT,
    Kind.DAEMON_STARTED,
}
_ALARMS = {
    "position.unprotected": "unprotected",
    "drift": "drift",
    "strategy.drift": "drift",
    "account.failed": "failed",
}
_STALE = "gate.stale"
_TRADING = {
    TradingState.ACTIVE: "trading goes on",
    TradingState.REDUCE: "entries are refused, positions are only reduced",
    TradingState.HALTED: "trading is halted",
}
_DONE = {"buy": "bought", "sell": "sold"}
_TITLES = {
    State.PLANNED: "planned: {what}",
    State.SENDING: "sending: {what}",
    State.UNKNOWN: "outcome unknown: {what}",
    State.OPEN: "on the exchange: {what}",
    State.PARTIAL: "{did} {filled} of {amount} {symbol} so far",
    State.FILLED: "{did} {filled} {symbol} at {average}",
    State.CANCELED: "canceled: {what}",
    State.REJECTED: "rejected by the exchange: {what}",
    State.EXPIRED: "expired: {what}",
    State.REFUSED: "not sent: {what}",
}


class Notice(Struct, frozen=True, kw_only=True):
    """One fact. `names`: it is wanted when one of them is; the first is what it is counted as."""

    names: tuple[str, ...]
    title: str
    text: str = ""

    @property
    def urgent(self) -> bool:
        return not URGENT.isdisjoint(self.names)


def of(event: Event) -> Notice | None:
    """None: not a human's business, or told by another event of the same fact."""
    if state := ORDER_STATES.get(event.kind):
        return _order(state, event)
    match event.kind:
        case Kind.ALARM:
            return _alarm(event)
        case Kind.INTENT_REFUSED:
            return _refused(event)
        case Kind.TRADING_STATE:
            return _trading(event)
        case Kind.STRATEGY_DRIFT:
            return _notice(event, ("drift",), "a strategy's position was not the book's, and is followed")
        case Kind.DAEMON_STARTED:
            return _notice(event, ("started",), "fks has started")
        case _:
            return None


def kinds(on: Iterable[str]) -> frozenset[str]:
    """Of the events that may make a wanted notice: orders have many others."""
    wanted = set(on)
    orders = {kind for kind, state in ORDER_STATES.items() if state.value in wanted}
    return frozenset(orders | (_ALARMING if "alarm" in wanted else set()) | _OTHERS)


def stopping() -> Notice:
    """The journal tells of the end when nobody is there any more to pass it on."""
    return Notice(names=("stopped",), title="fks is stopping")


def breaker(account: str, state: BreakerState) -> Notice:
    """A breaker has opened or closed."""
    told = "the exchange fails: entries wait" if state is BreakerState.OPEN else "the exchange answers again"
    return Notice(names=("breaker",), title=f"{account}: {told}")


def _order(state: State, event: Event) -> Notice:
    told = event.data
    # Decided, and then too old to be sent; or refused by the exchange: each is recorded as an alarm as well.
    alarm = state is State.REJECTED or (state is State.REFUSED and told.get("reason") == "stale")
    amount, symbol, side = _word(told, "amount"), _word(told, "symbol"), _word(told, "side")
    title = _TITLES[state].format(
        what=f"{side} {amount} {symbol}{_price(told)}",
        did=_DONE.get(side, side),
        filled=_word(told, "filled"),
        amount=amount,
        symbol=symbol,
        average=_word(told, "average") or "a price not told",
    )
    parts = [f"{_word(told, 'leg').replace('_', ' ')}, {_word(told, 'type').replace('_', ' ')}"]
    if state is State.UNKNOWN:
        parts.append("it is looked up, and not sent again meanwhile")
    return _notice(event, (state.value, "alarm") if alarm else (state.value,), title, parts, "reason")


def _price(told: dict[str, Any]) -> str:
    stop, price = _word(told, "stop_price"), _word(told, "price")
    return (f" from {stop}" if stop else "") + (f" at {price}" if price else "")


def _alarm(event: Event) -> Notice | None:
    code = _word(event.data, "code")
    of_alert = event.alert_id is not None
    if code in ("order.rejected", "stale") or (of_alert and code in {*MISDIRECTED, _STALE}):
        return None  # the order's, or the intent's, own event
    if code.startswith("risk.") and not of_alert:
        return None  # the trading state's
    name = _ALARMS.get(code)
    return _notice(event, (name, "alarm") if name else ("alarm",), f"alarm {code}", (), "detail")


def _refused(event: Event) -> Notice:
    code = _word(event.data, "code")
    alarm = code in {*MISDIRECTED, _STALE}
    title = f"refused: an alert for {_word(event.data, 'symbol')}"
    return _notice(event, ("refused", "alarm") if alarm else ("refused",), title, (code,), "reason")


def _trading(event: Event) -> Notice:
    state, by, why = TradingState(event.data["state"]), _word(event.data, "by"), event.data.get("why")
    names = ("halted", "alarm") if why and state is not TradingState.ACTIVE else ("halted",)
    return _notice(event, names, _TRADING[state], (f"by {by}",), "why")


def _notice(
    event: Event,
    names: tuple[str, ...],
    title: str,
    parts: Sequence[str] = (),
    reason: str = "",
) -> Notice:
    """With the account before the title, and the ids by which it is found behind the text."""
    about = [*parts, _word(event.data, reason)]
    about += [f"order {event.order_id}"] if event.order_id else []
    about += [f"alert {event.alert_id}"] if event.alert_id else []
    where = f"{event.account}: " if event.account else ""
    return Notice(names=names, title=where + title, text="; ".join(filter(None, about)))


def _word(told: dict[str, Any], key: str) -> str:
    """On one line, and not too long: it may be a sender's or an exchange's own text."""
    text = " ".join(str(told.get(key) or "").split())
    text = "".join(one for one in text if one.isprintable())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
