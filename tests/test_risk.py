"""When not at all: each limit at its edge, and no sequence of orders that gets past one."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from fks.domain import risk
from fks.domain.errors import Refusal
from fks.domain.messages import Exposure, Order, TradingState
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.settings import RiskSettings
from makers import SPOT, SWAP, dec, exposure, order

BUY, SELL = Side.BUY, Side.SELL
ACTIVE, REDUCE, HALTED = TradingState.ACTIVE, TradingState.REDUCE, TradingState.HALTED


def refused(new: Order, known: Exposure, price: Any = "100", **limits: Any) -> str | None:
    """The code of the refusal, None when it passes."""
    given = {"max_price_deviation": Decimal(0), **limits}
    try:
        risk.check(new, None if price is None else Decimal(price), known, RiskSettings(**given))
    except Refusal as refusal:
        return refusal.code
    return None


def swap(side: Side = BUY, amount: str = "1", **fields: Any) -> Order:
    return order("new", side=side, symbol=SWAP, amount=dec(amount), **fields)


@pytest.mark.parametrize(
    ("amount", "code"), [("10", None), ("10.001", "risk.max_order_notional"), ("0.001", None)]
)
def test_an_orders_notional_up_to_and_with_its_limit(amount: str, code: str | None) -> None:
    assert refused(swap(amount=amount), exposure(), max_order_notional=dec(1000)) == code


def test_a_limit_price_is_what_an_order_is_valued_at() -> None:
    limit = swap(amount="10", type=OrderType.LIMIT, price=dec(101))
    assert refused(limit, exposure(), max_order_notional=dec(1000)) == "risk.max_order_notional"


LOW_LIMIT = {"type": OrderType.LIMIT, "price": dec(50)}
LOW_STOP = {"type": OrderType.STOP, "stop_price": dec(1)}
STOP_LIMIT = {"type": OrderType.STOP_LIMIT, "stop_price": dec(1), "price": dec(2)}


@pytest.mark.parametrize(
    ("side", "prices", "most"),
    [
        (BUY, LOW_LIMIT, "20"),  # it pays no more than that
        (SELL, LOW_LIMIT, "10"),  # it gets the last price
        (BUY, STOP_LIMIT, "500"),
        (SELL, STOP_LIMIT, "10"),
        (BUY, LOW_STOP, "10"),  # it may fill at once
        (SELL, LOW_STOP, "10"),
        (BUY, {"type": OrderType.STOP, "stop_price": dec(125)}, "8"),
    ],
)
def test_an_order_is_valued_at_the_highest_price_that_it_may_fill_at(
    side: Side, prices: dict[str, Any], most: str
) -> None:
    limit = dec(1000)
    assert refused(swap(side, most, **prices), exposure(), max_order_notional=limit) is None
    more = str(dec(most) + dec("0.1"))
    assert refused(swap(side, more, **prices), exposure(), max_order_notional=limit) is not None


@pytest.mark.parametrize("state", [State.PLANNED, State.SENDING, State.UNKNOWN, State.OPEN])
def test_what_is_pending_or_unknown_counts_as_filled(state: State) -> None:
    live = swap(amount="4", state=state)
    known = exposure({SWAP: dec(5)}, (live,))
    assert refused(swap(amount="1"), known, max_position_notional=dec(1000)) is None
    assert (
        refused(swap(amount="1.001"), known, max_position_notional=dec(1000)) == "risk.max_position_notional"
    )


def test_of_a_partly_filled_order_only_the_rest_is_pending() -> None:
    live = swap(amount="4", state=State.PARTIAL, filled=dec(3))
    known = exposure({SWAP: dec(8)}, (live,))  # 3 of which are the order's
    assert refused(swap(amount="1"), known, max_position_notional=dec(1000)) is None
    assert refused(swap(amount="2"), known, max_position_notional=dec(1000)) == "risk.max_position_notional"


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, True),
        ({"side": SELL}, False),
        ({"symbol": "ETH/USDT:USDT"}, False),
        ({"reduce_only": True}, False),
    ],
)
def test_what_an_ended_order_may_show_late_counts_as_filled(fields: dict[str, Any], *, counts: bool) -> None:
    ended = replace(swap(amount="4", state=State.CANCELED, filled=dec(1)), **fields)
    known = replace(exposure({SWAP: dec(6)}), doubtful=(ended,))  # 1 of which is the order's
    assert refused(swap(amount="1"), known, max_position_notional=dec(1000)) is None
    code = refused(swap(amount="2"), known, max_position_notional=dec(1000))
    assert code == ("risk.max_position_notional" if counts else None)
    short = replace(known, positions=exposure({SWAP: dec(-6)}).positions)
    code = refused(swap(SELL, "2"), short, max_position_notional=dec(1000))
    assert code == ("risk.max_position_notional" if fields.get("side") is SELL else None)


def test_an_exit_in_doubt_counts_as_one_that_is_open() -> None:
    stop = swap(BUY, "5", leg=Leg.STOP_LOSS, reduce_only=True, state=State.CANCELED)
    known = replace(exposure({SWAP: dec(-5)}), doubtful=(stop,))  # filled, the position is 0 and not -5
    assert refused(swap(amount="8"), exposure({SWAP: dec(-5)}), max_position_notional=dec(500)) is None
    assert refused(swap(amount="8"), known, max_position_notional=dec(500)) == "risk.max_position_notional"
    listed = replace(known, live=(replace(stop, state=State.OPEN),))
    assert refused(swap(amount="5"), listed, max_position_notional=dec(500)) is None, "not twice"


def test_other_markets_and_exits_are_not_part_of_a_position() -> None:
    live = (order("e", symbol=SPOT, amount=dec(99)), swap(SELL, "9", leg=Leg.STOP_LOSS), swap(SELL, "9"))
    assert (
        refused(swap(amount="10"), exposure({SPOT: dec(99)}, live), max_position_notional=dec(1000)) is None
    )


def test_a_short_position_has_the_same_limit() -> None:
    known = exposure({SWAP: dec(-9)})
    assert refused(swap(SELL, "1"), known, max_position_notional=dec(1000)) is None
    assert refused(swap(SELL, "1.1"), known, max_position_notional=dec(1000)) == "risk.max_position_notional"


def test_a_reversal_is_measured_by_what_it_ends_in() -> None:
    known = exposure({SWAP: dec(10)})
    assert refused(swap(SELL, "20"), known, max_position_notional=dec(1000)) is None
    assert refused(swap(SELL, "20.1"), known, max_position_notional=dec(1000)) == "risk.max_position_notional"


def test_what_is_held_is_valued_at_the_last_price_however_low_the_limit() -> None:
    cheap = swap(amount="1", type=OrderType.LIMIT, price=dec(1))
    known = exposure({SWAP: dec("9.5")})
    assert refused(cheap, known, max_position_notional=dec(1000)) == "risk.max_position_notional"


def test_without_a_price_a_notional_limit_refuses() -> None:
    for name in ("max_order_notional", "max_position_notional"):
        assert refused(swap(), exposure(), None, **{name: dec(1)}) == "risk.no_price"
    assert refused(swap(), exposure(), None) is None
    stop = swap(type=OrderType.STOP, stop_price=dec(1))
    assert refused(stop, exposure(), None, max_order_notional=dec(1000)) == "risk.no_price"
    limit = swap(type=OrderType.LIMIT, price=dec(1))
    assert refused(limit, exposure(), None, max_order_notional=dec(1000)) is None


def test_open_orders_up_to_their_limit() -> None:
    entries = (swap(), order("e2", state=State.UNKNOWN))
    exits = (order("x", Leg.STOP_LOSS, SELL), order("y", Leg.CLOSE, SELL), order("z", reduce_only=True))
    assert refused(swap(), exposure(live=entries + exits), max_open_orders=3) is None
    assert refused(swap(), exposure(live=entries + exits), max_open_orders=2) == "risk.max_open_orders"


def test_orders_per_minute_count_the_sent_and_the_planned() -> None:
    live = (swap(), order("sent", state=State.OPEN))
    known = exposure(live=live, placed_last_minute=3)
    assert refused(swap(), known, max_orders_per_minute=5) is None
    assert refused(swap(), known, max_orders_per_minute=4) == "risk.max_orders_per_minute"


@pytest.mark.parametrize(
    ("realized", "code"), [("-99.99", None), ("-100", "risk.max_daily_loss"), ("500", None)]
)
def test_at_the_daily_loss_only_reducing_is_left(realized: str, code: str | None) -> None:
    known = exposure({SWAP: dec(5)}, realized_today=realized)
    assert refused(swap(), known, max_daily_loss=dec(100)) == code
    assert refused(swap(SELL, "4"), known, max_daily_loss=dec(100)) is None


@pytest.mark.parametrize(
    ("price", "ok"), [("95", True), ("94.99", False), ("105", True), ("105.01", False), ("1", False)]
)
def test_a_limit_price_may_deviate_so_far_both_ways(price: str, *, ok: bool) -> None:
    limit = swap(type=OrderType.LIMIT, price=dec(price))
    code = refused(limit, exposure(), max_price_deviation=dec("0.05"))
    assert code == (None if ok else "risk.max_price_deviation")


@pytest.mark.parametrize(
    ("price", "ok"), [("113.4", True), ("113.5", False), ("102", False), ("70000", False)]
)
def test_a_stop_limits_price_may_deviate_so_far_from_its_stop(price: str, *, ok: bool) -> None:
    """Which itself may be as far away as a breakout is."""
    limit = swap(type=OrderType.STOP_LIMIT, stop_price=dec(108), price=dec(price))
    for last in ("100", None):
        code = refused(limit, exposure(), last, max_price_deviation=dec("0.05"))
        assert code == (None if ok else "risk.max_price_deviation")
    stop = swap(type=OrderType.STOP, stop_price=dec(108))
    assert refused(stop, exposure(), max_price_deviation=dec("0.05")) is None


def test_zero_is_no_limit_at_all() -> None:
    known = exposure({SWAP: dec(10**9)}, (swap(),) * 9, realized_today="-1e9", placed_last_minute=10**6)
    assert refused(swap(amount="1e18"), known, price="1e18") is None


def test_numbers_of_any_magnitude_are_refused_not_crashed_on() -> None:
    assert (
        refused(swap(amount="1e18"), exposure(), "1e18", max_order_notional=dec(1))
        == "risk.max_order_notional"
    )
    known = exposure({SWAP: dec("1e18")})
    assert refused(swap(), known, "1e-18", max_position_notional=dec("1e-9")) == "risk.max_position_notional"


def test_exits_that_fill_first_do_not_open_the_way_past_the_limit() -> None:
    """Long 5 with a stop: after the stop, a sale of 11 is short 11, not 6."""
    stop = swap(SELL, "5", leg=Leg.STOP_LOSS, state=State.OPEN)
    take = swap(SELL, "5", leg=Leg.TAKE_PROFIT, state=State.OPEN)
    known = exposure({SWAP: dec(5)}, (stop, take))
    assert refused(swap(SELL, "10"), known, max_position_notional=dec(1000)) is None
    assert refused(swap(SELL, "11"), known, max_position_notional=dec(1000)) == "risk.max_position_notional"
    assert refused(swap(SELL, "15"), exposure({SWAP: dec(5)}), max_position_notional=dec(1000)) is None


# --- what reduces


@pytest.mark.parametrize(
    ("held", "side", "amount", "pending", "expected"),
    [
        ("5", SELL, "4", "0", True),
        ("5", SELL, "5", "0", True),
        ("5", SELL, "10", "0", False),
        ("5", SELL, "6", "0", False),
        ("5", SELL, "4", "2", False),
        ("5", BUY, "1", "0", False),
        ("0", SELL, "1", "0", False),
        ("-5", BUY, "5", "0", True),
        ("-5", BUY, "6", "0", False),
        ("-5", SELL, "1", "0", False),
    ],
)
def test_only_what_cannot_turn_a_position_reduces_it(
    held: str, side: Side, amount: str, pending: str, *, expected: bool
) -> None:
    live = (swap(side, pending),) if dec(pending) else ()
    assert risk.reduces(exposure({SWAP: dec(held)}, live), swap(side, amount)) is expected


def test_while_a_close_is_on_its_way_another_sale_does_not_reduce() -> None:
    close = swap(SELL, "5", leg=Leg.CLOSE, state=State.SENDING)
    known = exposure({SWAP: dec(5)}, (close,))
    assert not risk.reduces(known, swap(SELL, "5"))
    assert risk.must_not_turn(known, swap(SELL, "5"))
    assert not risk.must_not_turn(known, swap(SELL, "6"))
    assert not risk.must_not_turn(exposure({SWAP: dec(5)}), swap(SELL, "5"))


def test_on_spot_buying_never_reduces() -> None:
    known = exposure({SPOT: dec(-5)})  # coins sold that were there before the daemon
    assert not risk.reduces(known, order(side=BUY, amount=dec(1)))
    assert risk.reduces(exposure({SPOT: dec(5)}), order(side=SELL, amount=dec(1)))


def test_exits_pass_every_limit() -> None:
    known = exposure({SWAP: dec(5)}, (swap(),) * 5, realized_today="-500", placed_last_minute=50)
    limits: dict[str, Any] = {
        "max_order_notional": dec(1),
        "max_position_notional": dec(1),
        "max_open_orders": 1,
        "max_orders_per_minute": 1,
        "max_daily_loss": dec(1),
    }
    for leg in (Leg.CLOSE, Leg.STOP_LOSS, Leg.TAKE_PROFIT):
        assert refused(swap(SELL, leg=leg), known, **limits) is None
    assert refused(swap(SELL, reduce_only=True), known, **limits) is None
    assert refused(swap(BUY), known, **limits) is not None


# --- trading state


def allowed(state: TradingState, known: Exposure, new: Order) -> bool:
    try:
        risk.check_trading(state, known, new)
    except Refusal:
        return False
    return True


def test_what_each_trading_state_allows() -> None:
    long = exposure({SWAP: dec(5)})
    close, less, more = swap(SELL, leg=Leg.CLOSE), swap(SELL, "2"), swap(BUY)
    assert [allowed(ACTIVE, long, one) for one in (close, less, more)] == [True, True, True]
    assert [allowed(REDUCE, long, one) for one in (close, less, more)] == [True, True, False]
    assert [allowed(HALTED, long, one) for one in (close, less, more)] == [True, False, False]


@pytest.mark.parametrize(
    ("everywhere", "own", "expected"),
    [
        (None, None, ACTIVE),
        (HALTED, None, HALTED),
        (None, REDUCE, REDUCE),
        (REDUCE, HALTED, HALTED),
        (HALTED, ACTIVE, HALTED),
        (ACTIVE, REDUCE, REDUCE),
    ],
)
def test_the_stricter_state_holds(
    everywhere: TradingState | None, own: TradingState | None, expected: TradingState
) -> None:
    states = {scope: state for scope, state in ((None, everywhere), ("paper", own)) if state is not None}
    assert risk.effective_trading({**states, "other": HALTED}, "paper") is expected


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCE])
def test_a_refusal_says_how_the_restriction_ends_whosever_it_is(state: TradingState) -> None:
    entry = order()
    with pytest.raises(Refusal) as caught:
        risk.check_trading(state, exposure(), entry)
    assert f"`fks resume {entry.account}`" in caught.value.detail
    assert "`fks resume`" in caught.value.detail
