"""Which limits an order must keep, beside each other: its account's, its market's, its strategy's. Pure."""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from fks.domain import shares
from fks.domain.messages import Exposure, Share
from fks.domain.settings import Limits
from fks.domain.view import Rules, View


class Bound(Struct, frozen=True):
    """Limits, whose they are, what counts against them, and when their last entry was (UTC)."""

    whose: str
    limits: Limits
    exposure: Exposure
    last_entry: float | None


def bounds(view: View, rules: Rules, strategy: str) -> Iterator[Bound]:
    """All that hold for an order in the view's market."""
    yield Bound("account", rules.limits, view.exposure, view.last_entry)
    market = rules.limits.symbols.get(view.market.symbol)
    if market is not None:
        yield Bound(view.market.symbol, market, _within(view), view.last_entry)
    if rules.own is not None:
        own = shares.own(view.exposure, strategy)
        yield Bound(f"strategy {strategy}", rules.own, own, view.own_last_entry)


def _within(view: View) -> Exposure:
    """The account's in one market."""
    symbol, exposure, today = view.market.symbol, view.exposure, view.symbol_today or Share()
    return replace(
        exposure,
        live=tuple(order for order in exposure.live if order.symbol == symbol),
        realized_today=today.realized_today,
        placed_last_minute=today.placed_last_minute,
    )
