"""What a strategy's own words mean, and what happens when the book is not what it assumes."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain import strategy
from fks.domain.decide import Planned, decide, noticed
from fks.domain.errors import Refusal
from fks.domain.messages import Exposure, Position, Share
from fks.domain.orders import Leg, Side, State
from fks.domain.settings import OnDrift, StrategyLimits
from fks.domain.shares import own, without
from fks.domain.strategy import Change
from fks.domain.view import Rules
from makers import SPOT, SWAP, alert, dec, exposure, intent, market, order, view


def state(action: str, before: str | None, now: str | None, **fields: Any) -> dict[str, Any]:
    return {"action": action, "prev_market_position": before, "market_position": now, **fields}


@pytest.mark.parametrize(
    ("action", "before", "now", "change"),
    [
        ("buy", "flat", "long", Change.ENTRY),
        ("sell", "flat", "short", Change.ENTRY),
        ("buy", None, "long", Change.ENTRY),
        ("buy", "long", "long", Change.ADD),
        ("sell", "short", "short", Change.ADD),
        ("sell", "long", "long", Change.REDUCE),
        ("buy", "short", "short", Change.REDUCE),
        ("sell", None, "long", Change.REDUCE),
        ("sell", "long", "flat", Change.CLOSE),
        ("buy", "short", "flat", Change.CLOSE),
        ("sell", None, "flat", Change.CLOSE),
        ("buy", "flat", "flat", Change.CLOSE),
        ("buy", "short", "long", Change.REVERSAL),
        ("sell", "LONG", " Short ", Change.REVERSAL),
        ("sell", "long", None, None),
        ("buy", "", "", None),
        ("close", "long", "flat", None),
    ],
)
def test_the_table(action: str, before: str | None, now: str | None, change: Change | None) -> None:
    assert strategy.change(alert(**state(action, before, now))) is change


@pytest.mark.parametrize(
    ("action", "before", "now"),
    [
        ("buy", "flat", "short"),
        ("buy", "long", "short"),
        ("sell", "short", "long"),
        ("sell", "flat", "long"),
    ],
)
def test_what_no_order_can_make_is_refused(action: str, before: str, now: str) -> None:
    with pytest.raises(Refusal) as caught:
        strategy.change(alert(**state(action, before, now)))
    assert caught.value.code == "strategy.contradiction"


EXIT = state("sell", "long", "flat")
ADD = state("buy", "long", "long", amount=dec(1), position_size=dec(2))


@pytest.mark.parametrize(
    ("fields", "held", "differs"),
    [
        (EXIT, "1", False),
        (EXIT, "0", True),
        (EXIT, "-1", True),
        (state("buy", "flat", "long"), "0", False),
        (state("buy", "flat", "long"), "1", True),
        (ADD, "1", False),
        (ADD, "0.995", False),  # fees
        (ADD, "0.98", True),
        (ADD, "2", True),
        (state("buy", None, "long", amount=dec(1), position_size=dec(3)), "2", False),
        (state("buy", None, "long"), "7", False),  # it does not tell
        (state("sell", "long", "long", amount=dec(1), position_size=dec(1)), "2", False),
        (state("sell", "flat", "short", amount=dec(2), position_size=dec(-2)), "0", False),
        (state("sell", "long", "short", amount=dec(3), position_size=dec(-2)), "1", False),
        (state("close", "long", None), "-1", True),
        (state("cancel", "long", None), "0", False),
    ],
)
def test_a_missed_alert_is_noticed(fields: dict[str, Any], held: str, *, differs: bool) -> None:
    assert (strategy.drift(alert(**fields), dec(held)) is not None) is differs


def test_orders_under_way_count_as_filled() -> None:
    live = (
        order("a", symbol=SWAP, state=State.UNKNOWN, amount=dec(2)),
        order("b", symbol=SWAP, state=State.PARTIAL, amount=dec(2), filled=dec(1)),
        order("s", Leg.STOP_LOSS, Side.SELL, symbol=SWAP, state=State.OPEN),
    )
    assert strategy.position(exposure({SWAP: dec(1)}, live), SWAP) == 4
    closing = (*live, order("c", Leg.CLOSE, Side.SELL, symbol=SWAP))
    assert strategy.position(exposure({SWAP: dec(1)}, closing), SWAP) == 0
    out = order("r", side=Side.SELL, symbol=SWAP, amount=dec(9), reduce_only=True)
    assert strategy.position(exposure({SWAP: dec(1)}, (out,)), SWAP) == 0


def swap(held: str, **share: str) -> Any:
    """A view of an account that holds that much, of which each strategy has its share."""
    shares = {
        name: Share(positions={SWAP: Position(account="paper", symbol=SWAP, amount=dec(amount))})
        for name, amount in share.items()
    }
    known = exposure({SWAP: dec(held)})
    known = Exposure(
        positions=known.positions, live=(), realized_today=dec(0), placed_last_minute=0, shares=shares
    )
    return view(market(SWAP), exposure=known, position=dec(held))


def decided(fields: dict[str, Any], held: str = "0", policy: OnDrift = "alarm") -> list[tuple[str, str, str]]:
    fields = {"amount": dec(1), **fields}
    planned = decide(intent(**fields), swap(held), Rules(on_drift=policy))
    return [(one.leg.value, one.side.value, str(one.amount.normalize())) for one in planned.orders]


def refused(fields: dict[str, Any], held: str = "0", policy: OnDrift = "alarm") -> str:
    with pytest.raises(Refusal) as caught:
        decided(fields, held, policy)
    return caught.value.code


def test_a_sale_that_leaves_the_strategy_flat_is_a_close_of_whatever_there_is() -> None:
    assert decided(EXIT, "3") == [("close", "sell", "3")]
    assert refused(EXIT, "0") == "close.nothing"


def test_a_reduction_never_opens_the_other_side() -> None:
    reduce = state("sell", "long", "long", amount=dec(5))
    planned = decide(intent(**reduce), swap("2"), Rules())
    assert [(one.side, one.amount, one.reduce_only) for one in planned.orders] == [(Side.SELL, dec(2), True)]
    assert refused(reduce, "0") == refused(reduce, "-2") == "strategy.nothing"


def test_a_reversals_size_is_that_of_the_new_position() -> None:
    turn = state("sell", "long", "short", amount=dec(3))
    assert decided(turn, "1") == [("close", "sell", "1"), ("entry", "sell", "2")]
    assert decided(turn | {"position_size": dec("-2.5")}, "1")[1] == ("entry", "sell", "2.5")
    assert decided(turn, "3") == [("close", "sell", "3")]  # the order does not reach beyond what there is
    by_config = decide(intent(**turn | {"amount": None, "position_size": dec(-9)}), swap("1"), Rules())
    assert by_config.orders[1].amount == dec("0.1")  # 5 % of the equity: the strategy's own size is not ours


@pytest.mark.parametrize(
    ("fields", "held", "orders"),
    [
        (state("sell", "long", "long", position_size=dec(2)), "5", [("entry", "sell", "3")]),
        (ADD | {"position_size": dec(3)}, "0", [("entry", "buy", "3")]),
        (ADD | {"position_size": dec(3)}, "1", [("entry", "buy", "2")]),
        (ADD | {"position_size": dec(3)}, "-1", [("close", "buy", "1"), ("entry", "buy", "3")]),
        (EXIT, "-2", [("close", "buy", "2")]),
        (state("buy", "flat", "long", position_size=dec(1)), "1", "strategy.nothing"),
        (state("sell", "long", "long", amount=None), "0", "strategy.nothing"),
    ],
)
def test_following_brings_the_position_to_what_the_strategy_has(
    fields: dict[str, Any], held: str, orders: Any
) -> None:
    if isinstance(orders, str):
        assert refused(fields, held, "follow") == orders
    else:
        assert decided(fields, held, "follow") == orders


@given(
    st.sampled_from(["buy", "sell"]),
    st.sampled_from([-1, 0, 1]),
    st.integers(1, 4).map(Decimal),
    st.integers(-5, 5).map(Decimal),
)
def test_following_with_sizes_ends_where_the_strategy_is(
    action: str, now: int, size: Decimal, held: Decimal
) -> None:
    words = {1: "long", 0: "flat", -1: "short"}
    fields = state(action, None, words[now], amount=dec(1), position_size=now * size)
    try:
        differs = noticed(intent(**fields), swap(str(held)))
        planned = decide(intent(**fields), swap(str(held)), Rules(on_drift="follow"))
    except Refusal as refusal:
        code = refusal.code
        assert held == now * size or code == "strategy.contradiction" or not differs, code
        return
    if differs is None:
        return
    for one in planned.orders:
        held = held + one.amount if one.side is Side.BUY else held - one.amount
    assert held == now * size


def test_refusing_names_the_numbers_and_never_holds_up_a_way_out() -> None:
    with pytest.raises(Refusal, match="had long 1 before this alert, the book has flat"):
        decided(ADD, "0", "refuse")
    assert refused(ADD, "0", "refuse") == "strategy.drift"
    assert decided(ADD, "1", "refuse") == [("entry", "buy", "1")]
    assert decided(EXIT, "-3", "refuse") == [("close", "buy", "3")]


def test_a_spot_account_has_no_shorts() -> None:
    for fields in (state("sell", "flat", "short"), state("sell", "long", "short")):
        with pytest.raises(Refusal) as caught:
            decide(intent(**fields, amount=dec(1)), view(exposure=exposure({SPOT: dec(1)})), Rules())
        assert caught.value.code == "order.unsupported"


# --- several strategies on one symbol

OWN = Rules(own=StrategyLimits())


def by(name: str, fields: dict[str, Any], known: Any, rules: Rules = OWN) -> Planned:
    return decide(intent(strategy=name, **{"amount": dec(1), **fields}), known, rules)


def test_a_strategy_closes_its_own_share_and_a_close_without_one_everything() -> None:
    known = swap("3", a="1", b="2")
    whole = {"action": "close", "amount": None}
    (close,) = by("a", whole, known).orders
    assert (close.amount, close.strategy) == (1, "a")
    (close,) = by("b", EXIT, known).orders
    assert (close.amount, close.strategy) == (2, "b")
    (close,) = by("a", whole, known, Rules()).orders
    assert (close.amount, close.strategy) == (3, "")
    with pytest.raises(Refusal, match="there is no position"):
        by("c", whole, known)


def test_a_strategys_cancel_and_reversal_mind_only_what_is_its_own() -> None:
    known = swap("3", a="1", b="2")
    live = (order("x", symbol=SWAP, strategy="a"), order("y", symbol=SWAP, strategy="b"))
    both = view(market(SWAP), exposure=exposure({SWAP: dec(0)}, live), position=dec(0))
    assert by("a", {"action": "cancel"}, both).cancel == ("x",)
    with pytest.raises(Refusal) as caught:
        by("a", state("sell", "long", "short", amount=dec(3)), known)
    assert caught.value.code == "strategy.opposed"
    close, entry = by("a", state("sell", "long", "short", amount=dec(3)), swap("1", a="1")).orders
    assert (close.amount, entry.amount, entry.strategy) == (1, 2, "a")


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (StrategyLimits(max_position_notional=dec(100_000)), "risk.max_position_notional"),
        (StrategyLimits(max_order_notional=dec(49_999)), "risk.max_order_notional"),
        (StrategyLimits(max_position_notional=dec(150_000)), None),
    ],
)
def test_a_strategys_limits_count_what_is_its_own(limits: StrategyLimits, code: str | None) -> None:
    add = state("buy", "long", "long")
    known = swap("9", a="2", b="7")
    if code is None:
        assert by("a", add, known, Rules(own=limits)).orders
        return
    with pytest.raises(Refusal, match="the strategy a's limit") as caught:
        by("a", add, known, Rules(own=limits))
    assert caught.value.code == code


def test_what_no_strategy_has_is_left_to_orders_without_one() -> None:
    known = swap("3", a="1", b="1").exposure
    assert own(known, "").positions[SWAP].amount == 1
    assert own(known, "a").positions[SWAP].amount == 1
    assert own(known, "c").positions == {}
    less = without(known, SWAP, "a")
    assert (less.positions[SWAP].amount, own(less, "a").positions, own(less, "").positions[SWAP].amount) == (
        2,
        {},
        1,
    )
    assert without(known, SWAP, None).positions == {}
