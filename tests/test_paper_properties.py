"""What holds of the paper exchange whatever is asked of it: money is kept, and a restart loses nothing."""

from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from typing import Any

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.errors import Rejected
from fks.domain.messages import Order, Report, Trade
from fks.domain.money import ZERO
from fks.domain.orders import Leg, OrderType, Side, State
from fks.venues.paper_account import PaperAccount, market_of
from fks.venues.paper_book import PaperBook
from standins.paper import SPOT, SWAP, TinyJournal, order, protection, settings

Action = Callable[["Run"], None]
SETTINGS = settings(balance={"USDT": Decimal(1000), "BTC": Decimal(3)}, slippage_bps=Decimal(7))


calm = hypothesis.settings(max_examples=80)


class Run:
    """An exchange, its journal, and a daemon that asks for every live order after each action."""

    def __init__(self) -> None:
        self.book = PaperBook(SETTINGS, (SPOT, SWAP))
        self.journal = TinyJournal()
        self.told: list[Report] = []

    def follow(self) -> None:
        for row in self.journal.live:
            report = self.book.find(row.client_order_id)
            assert report is not None
            self.told.append(report)
            self.journal.settle(report)

    def crash(self) -> None:
        self.book = restored(self.journal)


def restored(journal: TinyJournal) -> PaperBook:
    book = PaperBook(SETTINGS, (SPOT, SWAP))
    book.restore(journal.history, journal.live, 0.0)
    return book


class Place:
    def __init__(self, one: dict[str, Any], stop: int | None, targets: list[tuple[int, str]]) -> None:
        self.one, self.stop, self.targets = one, stop, targets

    def __call__(self, run: Run) -> None:
        entry = order(f"q{len(run.journal.rows)}", **self.one)
        up = 1 if entry.side is Side.BUY else -1
        legs = protection(
            entry,
            stop=None if self.stop is None else str(100 - up * self.stop),
            targets=[(str(100 + up * away), amount) for away, amount in self.targets],
        )
        try:
            reports = run.book.place(entry, legs, 0.0)
        except Rejected:
            return
        run.journal.intend(entry, *legs)
        for report in reports:
            run.told.append(report)
            run.journal.settle(report)

    def __repr__(self) -> str:
        return f"Place({self.one}, stop={self.stop}, targets={self.targets})"


class Hint:
    def __init__(self, symbol: str, price: Decimal) -> None:
        self.symbol, self.price = symbol, price

    def __call__(self, run: Run) -> None:
        run.book.hint(self.symbol, self.price, 0.0)

    def __repr__(self) -> str:
        return f"Hint({self.symbol}, {self.price})"


class Cancel:
    def __init__(self, which: int) -> None:
        self.which = which

    def __call__(self, run: Run) -> None:
        if live := run.journal.live:
            run.journal.settle(run.book.cancel(live[self.which % len(live)].client_order_id, 0.0))

    def __repr__(self) -> str:
        return f"Cancel({self.which})"


prices = st.integers(8000, 12000).map(lambda cents: Decimal(cents) / 100)
amounts = st.sampled_from(["0.1", "1", "2.00000001", "3.3", "7"])


def actions(symbols: list[str], types: list[OrderType]) -> st.SearchStrategy[list[Any]]:
    orders = st.fixed_dictionaries(
        {
            "side": st.sampled_from(["buy", "sell"]),
            "amount": amounts,
            "symbol": st.sampled_from(symbols),
            "type": st.sampled_from(types),
            "price": prices,
            "stop_price": prices,
            "trail_percent": st.sampled_from([Decimal("0.01"), Decimal(3)]),
            "time_in_force": st.sampled_from([None, None, "ioc"]),
            "reduce_only": st.booleans(),
            "leverage": st.sampled_from([None, 3]),
        }
    )
    targets = st.lists(st.tuples(st.integers(1, 20), amounts), max_size=2)
    place = st.builds(Place, orders, st.none() | st.integers(1, 20), targets)
    hint = st.builds(Hint, st.sampled_from(symbols), prices)
    return st.lists(place | hint | hint | st.builds(Cancel, st.integers(0, 9)), min_size=3, max_size=20)


def picture(book: PaperBook) -> object:
    """All that a client can see but marks and times."""
    balance = book.balance()
    positive = {currency: amount for currency, amount in balance.total.items() if amount}
    orders = {report.client_order_id: (report.state, report.filled) for report in book.open_orders()}
    return (
        positive,
        balance.free.get("USDT"),
        balance.free.get("BTC"),
        book.account.positions("paper"),
        orders,
    )


def go(run: Run, steps: list[Any]) -> Run:
    for step in steps:
        step(run)
        run.follow()
    return run


def exact_sum(run: Run, of: Callable[[Order, Any], Decimal]) -> Decimal:
    return sum((of(row, fill) for row, fill in run.journal.history), ZERO)


def signed(row: Order, amount: Decimal) -> Decimal:
    return amount if row.side is Side.BUY else -amount


@calm
@given(actions([SPOT], list(OrderType)))
def test_spot_money_is_conserved_to_the_last_digit_and_never_below_zero(steps: list[Any]) -> None:
    run = Run()
    for step in steps:
        go(run, [step])
        balance = run.book.balance()
        with localcontext(Context(prec=100)):
            paid = exact_sum(run, lambda row, fill: signed(row, fill.amount) * fill.price + fill.fee)
            assert balance.total["USDT"] == 1000 - paid
            assert balance.total["BTC"] == 3 + run.journal.bought
            assert all(0 <= balance.free[one] <= total for one, total in balance.total.items())


@calm
@given(actions([SPOT], list(OrderType)))
def test_no_stop_lacks_the_coins_that_it_guards(steps: list[Any]) -> None:
    run = go(Run(), steps)
    for row in run.journal.rows.values():
        if row.leg is Leg.STOP_LOSS and row.side is Side.SELL:
            assert row.state is not State.REJECTED


@calm
@given(actions([SWAP], list(OrderType)))
def test_swap_cash_and_cost_are_conserved_to_the_last_digit(steps: list[Any]) -> None:
    run = go(Run(), steps)
    holding = run.book.account.holdings.get(SWAP)
    with localcontext(Context(prec=100)):
        paid = exact_sum(run, lambda row, fill: signed(row, fill.amount) * fill.price + fill.fee)
        cost = holding.cost if holding else ZERO
        # What was paid for is either still in the position or has come back into cash.
        assert run.book.balance().total["USDT"] - cost == 1000 - paid
        assert (holding.amount if holding else ZERO) == run.journal.bought
        if holding:
            assert holding.realized - holding.fees == run.book.balance().total["USDT"] - 1000
            assert holding.cost * holding.amount >= 0
            assert bool(holding.cost) == bool(holding.amount) == bool(holding.margin)


@calm
@given(st.lists(st.tuples(st.sampled_from(Side), amounts, prices), max_size=20))
def test_position_never_keeps_or_loses_a_rounding(trades: list[tuple[Side, str, Decimal]]) -> None:
    account, paid = PaperAccount({}), ZERO
    market = market_of(SWAP, SETTINGS)
    with localcontext(Context(prec=60)):
        for side, amount, price in trades:
            trade = Trade(id="t", time=0.0, price=price, amount=Decimal(amount), fee=Decimal("0.01"))
            account.apply(market, side, trade, 3)
            paid += (trade.amount if side is Side.BUY else -trade.amount) * price + trade.fee
            assert account.cash["USDT"] - account.holdings[SWAP].cost == -paid


@calm
@given(actions([SPOT, SWAP], list(OrderType)))
def test_trade_ids_are_a_function_of_the_order_alone(steps: list[Any]) -> None:
    for row, fill in go(Run(), steps).journal.history:
        assert fill.trade_id == f"{row.client_order_id}-1"


@calm
@given(actions([SPOT, SWAP], list(OrderType)))
def test_same_calls_give_the_same_reports(steps: list[Any]) -> None:
    assert go(Run(), steps).told == go(Run(), steps).told


@calm
@given(actions([SPOT, SWAP], list(OrderType)))
def test_legs_never_close_more_than_their_entry_opened(steps: list[Any]) -> None:
    run = go(Run(), steps)
    closed: dict[str, Decimal] = {}
    for row, fill in run.journal.history:
        if row.parent:
            closed[row.parent] = closed.get(row.parent, ZERO) + fill.amount
    for entry, amount in closed.items():
        assert amount <= run.journal.rows[entry].filled


@calm
@given(actions([SPOT], [OrderType.LIMIT, OrderType.MARKET]))
def test_limit_orders_fill_at_their_limit_or_better_and_none_is_left_behind(steps: list[Any]) -> None:
    run = go(Run(), steps)
    for row, fill in run.journal.history:
        if row.type is OrderType.LIMIT:
            assert row.price is not None
            assert signed(row, fill.price) <= signed(row, row.price)
    for row in run.journal.live:
        if row.type is OrderType.LIMIT and not row.parent:
            assert row.price is not None
            assert signed(row, row.price) < signed(row, run.book.marks[SPOT])


@calm
@given(actions([SPOT, SWAP], list(OrderType)))
def test_after_a_restart_at_any_moment_everything_is_as_before(steps: list[Any]) -> None:
    run = Run()
    for step in steps:
        go(run, [step])
        again = restored(run.journal)
        again.marks.update(run.book.marks)  # no journal has them
        assert picture(again) == picture(run.book)


@calm
@given(
    actions([SPOT, SWAP], [OrderType.MARKET, OrderType.LIMIT, OrderType.STOP]),
    st.integers(0, 19),
)
def test_a_restarted_exchange_goes_on_like_one_that_never_stopped(steps: list[Any], at: int) -> None:
    """Marks are told anew. Trailing stops and triggered stop limits are left out: they start afresh."""
    whole, broken = go(Run(), steps), go(Run(), steps[:at])
    marks = dict(broken.book.marks)
    broken.crash()
    for symbol, mark in marks.items():
        broken.book.hint(symbol, mark, 0.0)
    go(broken, steps[at:])
    assert broken.journal.history == whole.journal.history
    assert broken.journal.live == whole.journal.live
