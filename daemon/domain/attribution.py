"""Whose each execution is, told from all executions, or from what is carried of them: `shares` as a fold."""

from decimal import Decimal

from msgspec.structs import replace

from fks.domain.book import EXACT, apply, currencies, total
from fks.domain.messages import Carried, Position
from fks.domain.shares import attribute
from fks.domain.trades import Execution

_ROUNDING = Decimal("1e-20")  # of a fill: what a division leaves over is nobody's position


class Attribution:
    """Executions come in the order of their recording; keys are (account, symbol)."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, str], Position] = {}
        self.shares: dict[tuple[str, str], dict[str, Position]] = {}  # then by named strategy

    def begin(self, carried: Carried) -> None:
        """The market's fold goes on from there."""
        key = (carried.account, carried.symbol)
        self.positions[key] = carried.position
        self.shares[key] = {name: share for name, share in carried.shares.items() if name}

    def carried(
        self, account: str, symbol: str, *, upto: int, price: Decimal, rest: Position | None
    ) -> Carried:
        """The market's fold as it is now; `rest` is what no named strategy has."""
        key = (account, symbol)
        unnamed = {"": rest} if rest else {}
        return Carried(
            account=account,
            symbol=symbol,
            upto=upto,
            price=price,
            position=self.positions[key],
            shares={**unnamed, **self.shares[key]},
        )

    def parts(self, one: Execution) -> list[Execution]:
        """`one` by strategy; of "" is what no named strategy has a share in."""
        order, fill = one.order, one.fill
        key = (order.account, order.symbol)
        empty, pair = Position(account=order.account, symbol=order.symbol), currencies(order.symbol)
        before, named = self.positions.get(key) or empty, self.shares.setdefault(key, {})
        held = {name: share.amount for name, share in named.items()}
        parts = list(attribute(order, fill, before.amount, held))
        for name, part in parts:
            named[name] = apply(named.get(name) or empty, order.side, part, *pair)
        self.positions[key] = apply(before, order.side, fill, *pair)
        rest = EXACT.subtract(fill.amount, total(part.amount for _, part in parts))
        if rest > fill.amount * _ROUNDING:
            fee = EXACT.subtract(fill.fee, total(part.fee for _, part in parts))
            parts.append(("", replace(fill, amount=rest, fee=fee)))
        return [replace(one, fill=part, strategy=name) for name, part in parts]
