"""The life of an order, as one table: nothing else decides what may follow what."""

from enum import StrEnum


class State(StrEnum):
    """Where an order is. See `NEXT` for what may follow."""

    PLANNED = "planned"  # decided and on disk; nothing sent
    SENDING = "sending"  # claimed: from here on the exchange may have it
    UNKNOWN = "unknown"  # sent, and the answer proves nothing
    OPEN = "open"  # on the exchange, nothing filled
    PARTIAL = "partial"  # on the exchange, some filled
    FILLED = "filled"
    CANCELED = "canceled"  # possibly with a part filled
    REJECTED = "rejected"  # the exchange said no
    EXPIRED = "expired"  # the exchange ended it (time in force)
    REFUSED = "refused"  # we said no, nothing is on the exchange


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields without which it is no order."""
        return _NEEDS[self]


_NEEDS: dict[OrderType, tuple[str, ...]] = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("price",),
    OrderType.STOP: ("stop_price",),
    OrderType.STOP_LIMIT: ("price", "stop_price"),
    OrderType.TRAILING_STOP: ("trail_percent",),
}


class Leg(StrEnum):
    ENTRY = "entry"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    CLOSE = "close"

    @property
    def protective(self) -> bool:
        """Placed only for what its entry has filled."""
        return self in (Leg.STOP_LOSS, Leg.TAKE_PROFIT)


S = State
_ON_EXCHANGE = frozenset({S.OPEN, S.PARTIAL, S.FILLED, S.CANCELED, S.EXPIRED})

NEXT: dict[State, frozenset[State]] = {
    S.PLANNED: frozenset({S.SENDING, S.REFUSED, S.CANCELED}),
    # back to planned: proven that it never left
    S.SENDING: _ON_EXCHANGE | {S.PLANNED, S.UNKNOWN, S.REJECTED, S.REFUSED},
    # back to planned: proven, behind the fence, that the exchange never took it
    S.UNKNOWN: _ON_EXCHANGE | {S.PLANNED, S.REJECTED, S.REFUSED},
    S.OPEN: frozenset({S.PARTIAL, S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED}),
    S.PARTIAL: frozenset({S.FILLED, S.CANCELED, S.EXPIRED}),
    S.CANCELED: frozenset({S.FILLED}),  # real exchanges report a fill after a cancel
    S.EXPIRED: frozenset({S.FILLED}),
    S.FILLED: frozenset(),
    S.REJECTED: frozenset(),
    S.REFUSED: frozenset(),
}

AT_REST = frozenset({S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED, S.REFUSED})
IN_FLIGHT = frozenset({S.SENDING, S.UNKNOWN})
LIVE = frozenset({S.OPEN, S.PARTIAL})
ENDED_SHORT = frozenset({S.CANCELED, S.EXPIRED})  # on the exchange, before all of it was filled


class IllegalTransition(Exception):
    """Somebody told us something that the table calls impossible. Nothing was changed."""


def advance(now: State, to: State) -> State:
    """`to`, if the table allows it after `now`; staying is always allowed. Raises IllegalTransition."""
    if to is not now and to not in NEXT[now]:
        raise IllegalTransition(f"{now} -> {to}")
    return to
