"""Round trips: from flat to flat, and the money in them adds up."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.messages import Fill
from fks.domain.orders import Side
from fks.domain.trades import Execution, RoundTrip, TripQuery, round_trips
from makers import fold, order

D = Decimal


def execution(
    n: int, side: str, amount: str, price: str, *, strategy: str = "", fee: str = "0", saw: str | None = None
) -> Execution:
    """Fill number `n`, a minute after the one before; `saw` is its alert's price."""
    made = order(id=f"o{n}", client_order_id=f"o{n}", side=Side(side), amount=D(amount))
    fill = Fill(
        order_id=made.id,
        trade_id=f"t{n}",
        time=60.0 * n,
        price=D(price),
        amount=D(amount),
        fee=D(fee),
        fee_currency="USDT",
    )
    return Execution(made, fill, strategy, D(saw) if saw else None)


def closed(*executions: Execution) -> list[RoundTrip]:
    done, still_open = round_trips(executions)
    assert not still_open
    return done


def test_bought_and_sold_is_one_round_trip() -> None:
    (trip,) = closed(execution(1, "buy", "2", "100", fee="1"), execution(3, "sell", "2", "110", fee="1"))
    assert (trip.side, trip.amount, trip.entry, trip.exit) == (Side.BUY, 2, 100, 110)
    assert (trip.realized, trip.fees, trip.profit) == (20, 2, 18)
    assert trip.holding_s == 120


def test_added_to_and_taken_from_it_stays_one() -> None:
    (trip,) = closed(
        execution(1, "buy", "1", "100"),
        execution(2, "buy", "3", "120"),
        execution(3, "sell", "2", "130"),
        execution(4, "sell", "2", "150"),
    )
    assert (trip.amount, trip.entry, trip.exit) == (4, 115, 140)
    assert trip.profit == 100


def test_a_fill_that_turns_the_position_ends_one_and_begins_another() -> None:
    done, still_open = round_trips(
        [execution(1, "buy", "1", "100"), execution(2, "sell", "3", "90", fee="3")]
    )
    assert [(trip.profit, trip.fees) for trip in done] == [(-11, 1)]
    assert [(trip.side, trip.amount, trip.entry, trip.fees) for trip in still_open] == [(Side.SELL, 2, 90, 2)]
    assert still_open[0].closed_at is None
    assert still_open[0].exit is None


def test_strategies_on_one_symbol_do_not_meet() -> None:
    done, still_open = round_trips(
        [execution(1, "buy", "1", "100", strategy="a"), execution(2, "sell", "1", "110", strategy="b")]
    )
    assert done == []
    assert {(trip.strategy, trip.side) for trip in still_open} == {("a", Side.BUY), ("b", Side.SELL)}


@pytest.mark.parametrize(("side", "other", "worse"), [("buy", "sell", 4), ("sell", "buy", -4)])
def test_slippage_is_what_the_entries_paid_beyond_their_alerts(side: str, other: str, worse: int) -> None:
    (trip,) = closed(execution(1, side, "2", "102", saw="100"), execution(2, other, "2", "103", saw="110"))
    assert trip.slippage == worse


def test_slippage_is_not_known_when_no_alert_told_a_price() -> None:
    (trip,) = closed(execution(1, "buy", "1", "100"), execution(2, "sell", "1", "100"))
    assert trip.slippage is None


def test_what_is_too_small_to_sell_counts_as_flat() -> None:
    fills = [execution(1, "buy", "1.0005", "100"), execution(2, "sell", "1", "110")]
    assert round_trips(fills)[0] == []
    assert len(round_trips(fills, {"BTC/USDT": D("0.001")})[0]) == 1


def test_what_was_left_is_carried_into_the_next_round_trip() -> None:
    fills = [
        execution(1, "buy", "1.0005", "100"),
        execution(2, "sell", "1", "110"),
        execution(3, "buy", "0.9995", "120"),
        execution(4, "sell", "1", "130"),
    ]
    done, still_open = round_trips(fills, {"BTC/USDT": D("0.001")})
    assert [trip.amount for trip in done] == [D("1.0005"), D("0.9995")]
    assert (
        sum(trip.profit for trip in done)
        == fold((one.order, one.fill) for one in fills).popitem()[1].realized
    )
    assert still_open == []


def test_an_entry_of_less_than_a_step_is_not_flat() -> None:
    fills = [execution(1, "buy", "0.0005", "100"), execution(2, "buy", "1", "100")]
    done, (trip,) = round_trips(fills, {"BTC/USDT": D("0.001")})
    assert (done, trip.amount) == ([], D("1.0005"))


def test_a_query_takes_the_newest_of_what_it_wants() -> None:
    ended = closed(
        *(execution(n, ("buy", "sell")[n % 2], "1", "100", strategy="ab"[n // 2 % 2]) for n in range(10))
    )
    numbered = list(enumerate(ended, 1))[::-1]
    found = TripQuery(strategy="a", before=5, limit=1).answer(numbered, ended[:2])
    assert [number for number, _ in found.closed] == [3]
    assert [trip.strategy for trip in found.still_open] == ["a"]
    assert len(TripQuery(limit=9).answer(numbered, []).closed) == 5


fills = st.lists(
    st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 50), st.integers(50, 150), st.integers(0, 9)),
    max_size=40,
)


@given(fills)
def test_round_trips_make_the_profit_that_the_book_made(shape: list[tuple[str, int, int, int]]) -> None:
    made = [
        execution(n, side, str(amount), str(price), fee=str(fee))
        for n, (side, amount, price, fee) in enumerate(shape, 1)
    ]
    done, still_open = round_trips(made)
    (book,) = fold((one.order, one.fill) for one in made).values() or [None]
    trips = [*done, *still_open]
    if book is None:
        assert trips == []
        return
    assert abs(sum(trip.realized for trip in trips) - book.realized) < D("1e-15")
    assert abs(sum(trip.fees for trip in trips) - book.fees) < D("1e-15")
    assert len(still_open) == (book.amount != 0)
