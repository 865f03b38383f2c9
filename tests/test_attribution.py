"""Whose each execution is: the parts make the whole, and money is neither made nor lost by sharing."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from fks.domain.attribution import Attribution
from fks.domain.book import total
from fks.domain.messages import Fill, Position
from fks.domain.orders import Leg, Side
from fks.domain.trades import Execution, RoundTrips
from makers import fold, order

STEPS = st.lists(
    st.tuples(
        st.sampled_from([Leg.ENTRY, Leg.STOP_LOSS, Leg.CLOSE]),
        st.sampled_from(Side),
        st.sampled_from(["", "a", "b"]),
        st.integers(1, 50),
        st.integers(50, 150),
        st.sampled_from(["USDT", "BTC", "BNB", None]),
    ),
    max_size=30,
)


def executions(steps: list[tuple[Leg, Side, str, int, int, str | None]]) -> list[Execution]:
    made = []
    for n, (leg, side, strategy, amount, price, fee_currency) in enumerate(steps):
        one = order(f"o{n}", leg, side, strategy=strategy)
        fill = Fill(
            order_id=one.id, trade_id=f"t{n}", time=float(n), price=Decimal(price), amount=Decimal(amount),
            fee=Decimal(amount) / 1000, fee_currency=fee_currency,
        )  # fmt: skip
        made.append(Execution(one, fill, strategy))
    return made


def cash(position: Position) -> Decimal:
    return position.realized - position.fees - position.amount * position.average


def near(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) < Decimal("1e-15")


def test_a_close_that_ends_everybodys_is_parted_and_the_rest_is_nobodys() -> None:
    whose = Attribution()
    *entries, out = executions(
        [
            (Leg.ENTRY, Side.BUY, "a", 1, 100, None),
            (Leg.ENTRY, Side.BUY, "", 2, 100, None),
            (Leg.CLOSE, Side.SELL, "", 3, 110, "USDT"),
        ]
    )
    assert [part.strategy for one in entries for part in whose.parts(one)] == ["a", ""]
    parts = whose.parts(out)
    assert [(part.strategy, part.fill.amount, part.fill.fee) for part in parts] == [
        ("a", 1, Decimal("0.001")),
        ("", 2, Decimal("0.002")),
    ]
    assert {name: share.amount for name, share in whose.shares["paper", "BTC/USDT"].items()} == {"a": 0}


def test_what_a_division_leaves_over_is_nobodys_position() -> None:
    whose = Attribution()
    *entries, out = executions(
        [
            *((Leg.ENTRY, Side.BUY, name, 1, 100, None) for name in "abc"),
            (Leg.CLOSE, Side.SELL, "", 1, 110, None),
        ]
    )
    for one in entries:
        whose.parts(one)
    assert [part.strategy for part in whose.parts(out)] == ["a", "b", "c"]


@given(STEPS)
def test_parts_make_the_whole(steps: list[tuple[Leg, Side, str, int, int, str | None]]) -> None:
    whose, trips, made = Attribution(), RoundTrips(), executions(steps)
    done = []
    for one in made:
        parts = whose.parts(one)
        assert near(total(part.fill.amount for part in parts), one.fill.amount)
        assert near(total(part.fill.fee for part in parts), one.fill.fee)
        done += [trip for part in parts for trip in trips.add(part)]
    assert whose.positions == fold((one.order, one.fill) for one in made)
    told = total(trip.profit for trip in done) + total(map(cash, trips.positions().values()))
    assert near(told, total(map(cash, whose.positions.values())))
