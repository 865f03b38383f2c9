"""Whose is what, where several strategies trade one symbol on one account. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from msgspec.structs import replace

from fks.domain.book import EXACT, MEAN, total
from fks.domain.messages import Exposure, Fill, Order, Position, Share
from fks.domain.money import ZERO
from fks.domain.orders import Leg, Side


def own(account: Exposure, strategy: str) -> Exposure:
    """What is that strategy's of an account; of "" the orders without one, and what no strategy holds."""

    def owns(order: Order) -> bool:
        return order.strategy == strategy or _everybodys(order)

    live, doubtful = tuple(filter(owns, account.live)), tuple(filter(owns, account.doubtful))
    if strategy:
        share = account.shares.get(strategy) or Share()
        return Exposure(
            positions=share.positions,
            live=live,
            realized_today=share.realized_today,
            placed_last_minute=share.placed_last_minute,
            doubtful=doubtful,
        )
    rest = dict(account.positions)
    for share in account.shares.values():
        for symbol, part in share.positions.items():
            rest[symbol] = _less(rest.get(symbol), part)
    return replace(account, positions=rest, live=live, shares={}, doubtful=doubtful)


def without(account: Exposure, symbol: str, strategy: str | None) -> Exposure:
    """As if that strategy had no position in `symbol`; None: as if nobody had."""
    positions, shares = dict(account.positions), dict(account.shares)
    names = shares if strategy is None else (strategy,)
    for name in names:
        share = shares.get(name) or Share()
        if (part := share.positions.get(symbol)) is not None:
            positions[symbol] = _less(positions.get(symbol), part)
            kept = {one: held for one, held in share.positions.items() if one != symbol}
            shares[name] = replace(share, positions=kept)
    if strategy is None:
        positions.pop(symbol, None)
    return replace(account, positions=positions, shares=shares)


def _less(whole: Position | None, part: Position) -> Position:
    amount = EXACT.subtract(whole.amount if whole else ZERO, part.amount)
    return replace(whole or part, amount=amount)


def _everybodys(order: Order) -> bool:
    """A close without a strategy ends whatever there is."""
    return order.leg is Leg.CLOSE and not order.strategy


def attribute(
    order: Order, fill: Fill, before: Decimal, shares: Mapping[str, Decimal]
) -> Iterator[tuple[str, Fill]]:
    """The parts of `fill` by named strategy; what is nobody's is left out.

    `before` is the account's signed position, `shares` the strategies' own, before the fill. An order is
    its strategy's. Only a close may end more than its strategy holds: then what is nobody's goes next, and
    then the others', each in proportion.
    """
    if order.leg is not Leg.CLOSE:
        if order.strategy:
            yield order.strategy, fill
        return
    way = 1 if order.side is Side.SELL else -1  # of the positions that it ends
    ended = {name: max(ZERO, share * way) for name, share in shares.items()}
    nobodys = max(ZERO, EXACT.subtract(before, total(shares.values())) * way)
    own = min(fill.amount, ended.pop(order.strategy, ZERO)) if order.strategy else ZERO
    left = max(ZERO, EXACT.subtract(EXACT.subtract(fill.amount, own), nobodys))
    others = total(ended.values())
    for name, amount in ended.items():
        part = amount if left >= others else _rounded(amount, left, others)
        if part > 0:
            yield name, _part(fill, part)
    own = EXACT.add(own, max(ZERO, EXACT.subtract(left, others)))  # more than anybody had
    if order.strategy and own > 0:
        yield order.strategy, _part(fill, own)


def _part(fill: Fill, amount: Decimal) -> Fill:
    if amount == fill.amount:
        return fill
    return replace(fill, amount=amount, fee=_rounded(fill.fee, amount, fill.amount))


def _rounded(whole: Decimal, share: Decimal, of: Decimal) -> Decimal:
    """`whole * share / of`, rounded once, whatever the calling thread's decimal context is."""
    return MEAN.divide(EXACT.multiply(whole, share), of)
