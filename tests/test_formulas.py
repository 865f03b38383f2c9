"""Each number that money depends on, against a computation of another kind, to 1e-12.

(The methods of sizing have theirs in test_sizing, test_sizing_methods and test_kelly.)
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain import book as positions
from fks.domain import sizing
from fks.domain.candles import average_true_range, closed, filled
from fks.domain.messages import Balance, Fill, Order, Position
from fks.domain.orders import OrderType, Side
from fks.domain.performance import Curve, performance
from fks.domain.settings import AccountSettings
from fks.domain.trades import Execution, round_trips
from fks.domain.views import position_view
from fks.venues.paper_book import PaperBook
from makers import SPOT, SWAP, order

F = Fraction
ONE, TIGHT = F(1), F(1, 10**12)
HOUR = 3600.0

amounts = st.decimals("0.001", "50", places=3)
quotes = st.decimals("1", "90000", places=2)
trade = st.tuples(st.sampled_from(Side), amounts, quotes, st.decimals("0", "2", places=2))
trades = st.lists(trade, min_size=1, max_size=14)


def close_to(found: Decimal | Fraction, exact: Fraction, scale: Fraction = ONE) -> bool:
    """Within 1e-12 of it, or of the scale of what it is a difference of."""
    return abs(F(found) - exact) <= TIGHT * max(abs(exact), scale)


# --- positions: the average entry, realised and unrealised profit


def executions(done: Sequence[Any], **of: Any) -> list[Execution]:
    return [
        Execution(
            order(f"q{number}", side=side, amount=amount, symbol=SWAP),
            Fill(
                order_id=f"q{number}", trade_id=str(number), time=float(number), price=price, amount=amount,
                fee=fee, fee_currency="USDT",
            ),
            **of,
        )
        for number, (side, amount, price, fee) in enumerate(done)
    ]  # fmt: skip


def unit_by_unit(done: Sequence[Any]) -> tuple[int, Fraction, Fraction]:
    """The position in thousandths, its average and the realised profit, one thousandth after the other:
    each that is sold is worth the mean of those that are there.
    """
    held, cost, realised = 0, F(0), F(0)
    for side, amount, price, _ in done:
        way = 1 if side is Side.BUY else -1
        left, each = int(amount * 1000), F(price) / 1000
        if held * way < 0:  # the part that closes, all at the same mean
            closing = min(left, abs(held))
            mean = cost / held
            realised += closing * (each - mean) * (1 if held > 0 else -1)
            cost -= mean * closing * (1 if held > 0 else -1)
            held += way * closing
            left -= closing
        held += way * left
        cost += way * left * each
    return held, cost / held * 1000 if held else F(0), realised


@given(trades, quotes)
def test_average_entry_and_profit_realised_and_not(done: Any, last: Decimal) -> None:
    position = Position(account="paper", symbol=SWAP)
    for one in executions(done):
        position = positions.apply(position, one.order.side, one.fill, "BTC", "USDT")
    held, average, realised = unit_by_unit(done)
    assert F(position.amount) == F(held, 1000)
    assert close_to(position.average, average)
    turnover = sum(F(amount) * F(price) for _, amount, price, _ in done)
    assert close_to(position.realized, realised, turnover)
    assert F(position.fees) == sum(F(fee) for *_, fee in done)
    told = position_view(position, last)["unrealized"]
    assert told is not None
    assert close_to(Decimal(told), F(held, 1000) * (F(last) - average), turnover)


@given(trades, quotes)
def test_round_trips_are_the_cash_that_went_and_came(done: Any, seen: Decimal) -> None:
    """Closed or open, all together: what was sold less what was bought and the fees, and what is still held
    at its average; and the slippage is what the entries paid beyond the price that was seen.
    """
    over, running = round_trips(executions(done, strategy="s", alert_price=seen))
    cash = sum((F(a) * F(p) * (1 if side is Side.SELL else -1) for side, a, p, _ in done), F(0))
    fees = sum((F(fee) for *_, fee in done), F(0))
    held, average, _ = unit_by_unit(done)
    turnover = sum((F(a) * F(p) for _, a, p, _ in done), F(0))
    profit = sum((F(trip.profit) for trip in (*over, *running)), F(0))
    assert close_to(profit, cash - fees + F(held, 1000) * average, turnover)
    worse, at = F(0), F(0)
    for side, amount, price, _ in done:
        way = 1 if side is Side.BUY else -1
        opening = F(amount) if at * way >= 0 else max(F(0), F(amount) - abs(at))
        worse += opening * (F(price) - F(seen)) * way
        at += way * F(amount)
    slipped = sum((F(trip.slippage or 0) for trip in (*over, *running)), F(0))
    assert close_to(slipped, worse, turnover)


@given(trades, st.lists(quotes, min_size=1, max_size=20))
def test_what_a_replay_tells_of_them(done: Any, equities: list[Decimal]) -> None:
    over, running = round_trips(executions(done))
    curve = Curve(equities[0])
    for one in equities:
        curve.add(one)
    told = performance(over, running, curve)
    profits = np.array([F(trip.realized) - F(trip.fees) for trip in over], dtype=object)
    assert told.winners == (profits > 0).sum() if len(profits) else told.win_rate is None
    if over:
        assert told.win_rate is not None
        assert close_to(told.win_rate, F(int((profits > 0).sum()), len(over)))
        assert F(told.profit) == profits.sum()
    lost = -sum((one for one in profits if one < 0), F(0))
    if lost:
        assert told.profit_factor is not None
        assert close_to(told.profit_factor, sum((one for one in profits if one > 0), F(0)) / lost)
    falls = [(F(high) - F(low), F(high)) for at, high in enumerate(equities) for low in equities[at:]]
    assert F(told.drawdown) == max(fall for fall, _ in falls)
    assert close_to(told.drawdown_share, max(fall / high for fall, high in falls))


# --- equity


@given(st.dictionaries(st.sampled_from(["USDT", "BTC", "ETH", "XYZ"]), amounts), quotes, quotes, quotes)
def test_equity_is_cash_what_positions_gain_and_what_is_held(
    total: dict[str, Decimal], btc: Decimal, eth: Decimal, gain: Decimal
) -> None:
    found = sizing.equity(Balance(total, total, {"USDT": -gain}), "USDT", {"BTC": btc, "ETH": eth})
    worth = np.array([F(1), F(btc), F(eth), F(0)], dtype=object)
    held = np.array([F(total.get(one, 0)) for one in ("USDT", "BTC", "ETH", "XYZ")], dtype=object)
    assert close_to(found, held @ worth - F(gain))


# --- volatility

bar = st.tuples(st.floats(90, 100), st.floats(100.001, 110), st.floats(90, 110))
gaps = st.sampled_from(["ffill", "bfill", "interpolate", "drop"])


@given(st.lists(st.one_of(bar, st.none()), min_size=8, max_size=40), st.integers(1, 6), gaps)
def test_wilders_range_is_a_weighted_mean_of_ranges(rows: list[Any], period: int, how: Any) -> None:
    """Without the recursion: the k-th newest range weighs (1 - 1/n)^k / n, what is left the first mean; and
    the gaps are filled one by one.
    """
    told = [
        [at * HOUR, *((None,) * 4 if row is None else (row[2], row[1], row[0], row[2]))]
        for at, row in enumerate(rows)
    ]
    table = filled(closed(told, "1h", now=1e9), how)
    known = one_by_one(rows, how)
    assert np.allclose(table[:, 2:], np.reshape(known, (-1, 3)), rtol=1e-12, atol=0)
    found = average_true_range(table, period)
    ranges = [
        max(high - low, abs(high - before), abs(low - before))
        for (_, _, before), (high, low, _) in pairwise(known)
    ]
    if len(ranges) < period:
        assert found is None
        return
    later = np.array(ranges[period:], dtype=float)
    fade = 1 - 1 / period
    weights = np.power(fade, np.arange(len(later))[::-1]) / period
    exact = float(later @ weights) + fade ** len(later) * float(np.mean(ranges[:period]))
    assert found == pytest.approx(exact, rel=1e-12)


def one_by_one(rows: list[Any], how: str) -> list[tuple[float, ...]]:
    there = [at for at, row in enumerate(rows) if row is not None]
    result = []
    for at in range(len(rows)):
        before = [one for one in there if one <= at]
        after = [one for one in there if one >= at]
        left = rows[before[-1]] if before else None
        right = rows[after[0]] if after else None
        chosen = {"ffill": left, "bfill": right, "drop": rows[at], "interpolate": left and right}[how]
        if chosen is None:
            continue
        if how == "interpolate" and rows[at] is None:
            share = (at - before[-1]) / (after[0] - before[-1])
            chosen = [one + (other - one) * share for one, other in zip(left, right, strict=True)]
        low, high, close = chosen
        result.append((high, low, close))
    return result


# --- the paper exchange


def paper(**changes: Any) -> PaperBook:
    given: dict[str, Any] = {
        "type": "paper", "balance": {"USDT": Decimal(10**9)}, "fee": Decimal(0),
        "prices": {SPOT: Decimal(100), SWAP: Decimal(100)},
        "slippage_bps": Decimal(0), "amount_step": Decimal("1e-30"),
        "price_tick": Decimal("1e-30"), "min_notional": Decimal(0),
    }  # fmt: skip
    return PaperBook(AccountSettings(**(given | changes)), (SPOT, SWAP))


def cash(book: PaperBook) -> Fraction:
    return F(book.balance().total["USDT"])


def swap(side: str, amount: Decimal, leverage: int | None = None) -> Order:
    return order("q1", side=Side(side), symbol=SWAP, amount=amount, leverage=leverage)


@given(st.sampled_from(["buy", "sell"]), amounts, quotes, st.integers(2, 50), st.integers(1, 200))
def test_a_swap_is_liquidated_at_the_price_at_which_its_equity_is_its_maintenance(
    side: str, amount: Decimal, entry: Decimal, leverage: int, thousandths: int
) -> None:
    """Long: C + A (p - P) = m A p at p = (A P - C) / (A (1 - m)); short: p = (A P + C) / (A (1 + m))."""
    keep, own = Decimal(thousandths) / 1000, amount * entry / leverage * Decimal("1.05")
    book = paper(balance={"USDT": own}, prices={SWAP: entry}, maintenance=keep)
    a, p, c, m = F(amount), F(entry), F(own), F(keep)
    if c <= m * a * p:
        return  # it would be liquidated at once
    price = (a * p - c) / (a * (1 - m)) if side == "buy" else (a * p + c) / (a * (1 + m))
    if price <= 0:
        return  # its own money covers any fall
    book.place(swap(side, amount, leverage), (), 1.0)
    toward = -1 if side == "buy" else 1
    digits = Decimal(price.numerator) / Decimal(price.denominator)
    book.hint(SWAP, digits * (1 - toward * Decimal("1e-12")), 2.0)
    assert not book.imposed
    book.hint(SWAP, digits * (1 + toward * Decimal("1e-12")), 3.0)
    (forced,) = book.imposed
    assert forced.amount == amount


@given(
    st.sampled_from(["buy", "sell"]), amounts, st.decimals("-0.01", "0.01", places=5),
    st.lists(st.tuples(st.floats(60, 90_000), quotes), max_size=12),
)  # fmt: skip
def test_funding_is_paid_for_each_period_at_the_mark_of_its_end(
    side: str, amount: Decimal, rate: Decimal, moves: list[tuple[float, Decimal]]
) -> None:
    """Summed over the hours, not over the moves of the mark."""
    book, now, marks = paper(funding_rate=rate, funding_h=8.0), 100.0, [(0.0, Decimal(100))]
    book.place(swap(side, amount), (), now)
    for wait, mark in moves:
        now += wait
        book.hint(SWAP, mark, now)
        marks.append((now, mark))
    way = 1 if side == "buy" else -1
    due = F(0)
    hour = 8 * HOUR
    while hour <= now:
        mark = [price for at, price in marks if at < hour][-1]
        due += F(mark) * F(amount) * F(rate) * way
        hour += 8 * HOUR
    assert close_to(cash(book), F(10**9) - due, F(1))


@given(amounts, quotes, st.decimals("0.5", "50", places=1), st.decimals("100", "1000000", places=0), amounts)
def test_a_size_pays_the_mean_of_the_prices_that_it_walks_through(
    amount: Decimal, mark: Decimal, bps: Decimal, depth: Decimal, before: Decimal
) -> None:
    """The price at a notional x into the book is mark (1 ± bps / 10000 (1 + x / depth)): added up in slices,
    each at its middle.
    """
    for side in Side:
        book = paper(
            prices={SPOT: mark},
            slippage_bps=bps,
            depth=depth,
            balance={"USDT": Decimal(10**12), "BTC": Decimal(10**6)},
        )
        book.place(order("q0", side=side, amount=before), (), 1.0)
        (report,) = book.place(order("q1", side=side, amount=amount), (), 1.0)
        way, slices = (1 if side is Side.BUY else -1), 8
        notional, width = F(before) * F(mark), F(amount) * F(mark) / slices
        prices = [
            F(mark) * (1 + way * F(bps) / 10_000 * (1 + (notional + width * (one + F(1, 2))) / F(depth)))
            for one in range(slices)
        ]
        exact = sum(prices) / slices
        assert report.average is not None
        assert close_to(report.average, max(exact, F(1, 10**30)))


@given(amounts, quotes, st.decimals("0", "0.01", places=5), st.decimals("-0.001", "0.01", places=5))
def test_takers_and_makers_pay_their_share_of_the_notional(
    amount: Decimal, price: Decimal, taker: Decimal, maker: Decimal
) -> None:
    book = paper(prices={SPOT: price}, taker_fee=taker, maker_fee=maker)
    (taken,) = book.place(order("q1", amount=amount), (), 1.0)
    assert F(taken.fee) == F(amount) * F(price) * F(taker)
    below = price / 2
    book.place(order("q2", type=OrderType.LIMIT, amount=amount, price=below), (), 1.0)
    book.hint(SPOT, below, 2.0)
    made = book.find("q2")
    assert made is not None
    assert F(made.fee) == F(amount) * F(below) * F(maker)
    assert cash(book) == 10**9 - F(amount) * (F(price) * (1 + F(taker)) + F(below) * (1 + F(maker)))
