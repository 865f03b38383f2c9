"""The one decision: from an intent and what is known of its account to orders, or a refusal."""

import dataclasses
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fks.domain.alerts import Target
from fks.domain.decide import Planned, View, decide
from fks.domain.errors import Refusal
from fks.domain.ids import client_order_id
from fks.domain.messages import Exposure, Intent, Order, TradingState
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.protection import HELD
from fks.domain.settings import RiskSettings, SizingSettings
from fks.domain.venue import Features
from makers import ALL_TYPES, NOW, SPOT, SWAP, dec, exposure, intent, market, order, view

SIZE, FREE = SizingSettings(), RiskSettings()
SEPARATE = Features(order_types=ALL_TYPES)  # protective legs are sent one by one, after the entry
LINKED = Features(order_types=ALL_TYPES, oco=True)


def planned(of: Intent, known: View | None = None, limits: RiskSettings = FREE) -> tuple[Order, ...]:
    decision = decide(of, known or view(), SIZE, limits)
    assert decision.cancel == ()
    return decision.orders


def refusal(of: Intent, known: View | None = None, limits: RiskSettings = FREE) -> str:
    with pytest.raises(Refusal) as caught:
        decide(of, known or view(), SIZE, limits)
    return caught.value.code


# --- entries


def test_a_plain_buy() -> None:
    (entry,) = planned(intent(), view(price=dec(50_001)))
    assert (entry.leg, entry.side, entry.type, entry.state) == (
        Leg.ENTRY,
        Side.BUY,
        OrderType.MARKET,
        State.PLANNED,
    )
    assert entry.amount == dec("0.099")  # 5 % of 100,000 at 50,001 is 0.09999...: down to the step
    assert entry.id == entry.client_order_id == client_order_id("a1", "paper", "entry", 1)
    assert (entry.symbol, entry.good_until, entry.created_at) == (SPOT, NOW + 300, NOW)
    assert entry.reference_price == 50_001


def test_the_same_intent_always_becomes_the_same_orders() -> None:
    wish = intent(stop_loss=Target(percent=dec(2)), take_profit=(Target(percent=dec(3)),))
    one, other = planned(wish), planned(wish)
    assert one == other
    assert len({order.id for order in one}) == 3
    assert not {order.id for order in one} & {order.id for order in planned(replace(wish, account="other"))}


@pytest.mark.parametrize(("action", "price"), [("buy", "49999.98"), ("sell", "49999.99")])
def test_a_limit_price_is_rounded_passively(action: str, price: str) -> None:
    wish = intent(action, order_type=OrderType.LIMIT, price=dec("49999.985"), amount=dec(1))
    assert planned(wish)[0].price == dec(price)


def test_a_price_below_one_tick_is_refused_not_rounded_to_nothing() -> None:
    limit = intent(amount=dec(1), order_type=OrderType.LIMIT, price=dec("0.009"))
    stop = intent("sell", amount=dec(1), order_type=OrderType.STOP, stop_price=dec("0.009"))
    assert refusal(limit) == refusal(stop) == "alert.number"


def test_a_market_alerts_price_is_no_limit() -> None:
    assert planned(intent(price=dec(1)))[0].price is None


def test_what_the_account_cannot_do_is_refused_by_name() -> None:
    plain = view(features=Features())
    assert refusal(intent(order_type=OrderType.STOP, stop_price=dec(1)), plain) == "order.unsupported"
    assert refusal(intent(stop_loss=Target(percent=dec(2))), plain) == "order.unsupported"
    assert planned(intent(), plain)


@pytest.mark.parametrize(
    ("fields", "amount", "code"),
    [
        ({}, "0.0009", "order.below_minimum"),
        ({}, "0.001", None),
        ({"min_amount": dec("0.01")}, "0.0099", "order.below_minimum"),
        ({"min_notional": dec(500)}, "0.01", None),
        ({"min_notional": dec(500)}, "0.009", "order.below_minimum"),
        ({"max_amount": dec(5)}, "5", None),
        ({"max_amount": dec(5)}, "5.001", "order.above_maximum"),
    ],
)
def test_the_markets_limits_hold_before_anything_is_sent(
    fields: dict[str, Any], amount: str, code: str | None
) -> None:
    wish, known = intent(amount=dec(amount)), view(market(**fields))
    if code is None:
        assert planned(wish, known)[0].amount == dec(amount)
    else:
        assert refusal(wish, known) == code


def test_numbers_of_any_magnitude_are_refused_not_crashed_on() -> None:
    coarse = market(min_notional=dec(5), price_tick=dec(0), amount_step=dec(0))
    dust = intent(order_type=OrderType.LIMIT, price=dec("1e-18"), amount=dec(1))
    assert refusal(dust, view(coarse), RiskSettings(max_price_deviation=dec(0))) == "order.below_minimum"
    limits = RiskSettings(max_order_notional=dec(1))
    assert refusal(intent(amount=dec("1e18")), None, limits) == "risk.max_order_notional"


def test_a_stale_intent_is_refused() -> None:
    assert planned(intent(), view(now=NOW + 300))
    for action in ("buy", "close", "cancel"):
        assert refusal(intent(action), view(now=NOW + 300.1)) == "gate.stale"


def test_trading_states_and_limits_are_asked() -> None:
    assert refusal(intent(), view(trading=TradingState.HALTED)) == "risk.halted"
    assert refusal(intent(), view(trading=TradingState.REDUCE)) == "risk.reduce_only"
    assert refusal(intent(), None, RiskSettings(max_order_notional=dec(4999))) == "risk.max_order_notional"


def test_selling_what_an_exit_may_sell_first_is_sent_reduce_only() -> None:
    """A stop that fires before it would leave the sale to open a short position, past every limit."""
    stop = order(
        "s", Leg.STOP_LOSS, Side.SELL, symbol=SWAP, amount=dec(5), state=State.OPEN, reduce_only=True
    )
    protected = view(market(SWAP), exposure=exposure({SWAP: dec(5)}, (stop,)), trading=TradingState.REDUCE)
    assert planned(intent("sell", amount=dec(5)), protected)[0].reduce_only
    assert refusal(intent("sell", amount=dec(6)), protected) == "risk.reduce_only"
    bare = dataclasses.replace(protected, exposure=exposure({SWAP: dec(5)}))
    assert not planned(intent("sell", amount=dec(5)), bare)[0].reduce_only
    spot = order("s", Leg.STOP_LOSS, Side.SELL, amount=dec(5), state=State.OPEN)
    known = view(exposure=exposure({SPOT: dec(5)}, (spot,)), trading=TradingState.REDUCE)
    assert not planned(intent("sell", amount=dec(5)), known)[0].reduce_only


def test_reduce_only_is_no_way_around_the_limits_on_spot() -> None:
    """No spot exchange knows reduce-only: such a buy would be a plain one that no limit has seen."""
    halted = view(trading=TradingState.HALTED)
    assert refusal(intent(reduce_only=True, amount=dec(9)), halted) == "order.unsupported"
    assert refusal(intent(reduce_only=True, amount=dec(9))) == "order.unsupported"
    assert planned(intent("sell", reduce_only=True, amount=dec(9)), halted)[0].reduce_only
    swap = view(market(SWAP), trading=TradingState.HALTED)
    assert planned(intent(symbol=SWAP, reduce_only=True, amount=dec(9)), swap)[0].reduce_only


# --- protection


def test_legs_travel_with_their_entry_where_the_exchange_can_attach_them() -> None:
    wish = intent(amount=dec(1), stop_loss=Target(percent=dec(2)), take_profit=(Target(offset=dec(500)),))
    entry, stop, profit = planned(wish)
    assert (stop.leg, stop.side, stop.type, stop.stop_price) == (
        Leg.STOP_LOSS,
        Side.SELL,
        OrderType.STOP,
        dec(49_000),
    )
    assert (profit.leg, profit.side, profit.type, profit.price) == (
        Leg.TAKE_PROFIT,
        Side.SELL,
        OrderType.LIMIT,
        dec(50_500),
    )
    for leg in (stop, profit):
        assert (leg.parent, leg.amount, leg.attached, leg.not_before) == (entry.id, dec(1), True, 0.0)
        assert not leg.reduce_only


def test_elsewhere_they_are_held_until_the_entry_has_filled() -> None:
    wish = intent(amount=dec(1), stop_loss=Target(percent=dec(2)), take_profit=(Target(percent=dec(2)),))
    for features in (SEPARATE, LINKED):
        legs = planned(wish, view(market(SWAP), features=features))[1:]
        assert [(leg.attached, leg.not_before, leg.reduce_only) for leg in legs] == [(False, HELD, True)] * 2


def test_beside_a_stop_that_is_not_linked_take_profits_wait_for_their_price_and_then_hurry() -> None:
    half = Target(percent=dec(2), share=dec("0.5"))
    both = intent(amount=dec(1), stop_loss=Target(percent=dec(2)), take_profit=(half, half))
    _, stop, *targets = planned(both, view(features=SEPARATE))
    assert stop.type is OrderType.STOP
    assert [target.type for target in targets] == [OrderType.MARKET] * 2
    _, _, *linked = planned(both, view(features=LINKED))
    assert [target.type for target in linked] == [OrderType.LIMIT] * 2


@pytest.mark.parametrize(("action", "at"), [("buy", "95.5"), ("sell", "104.5")])
def test_a_stop_is_rounded_towards_the_market(action: str, at: str) -> None:
    tick = market(price_tick=dec("0.5"))
    wish = intent(action, amount=dec(1), stop_loss=Target(percent=dec("4.7")))
    assert planned(wish, view(tick, price=dec(100)))[1].stop_price == dec(at)


@pytest.mark.parametrize("action", ["buy", "sell"])
def test_a_stop_that_rounds_onto_the_entry_is_refused(action: str) -> None:
    wish = intent(action, amount=dec(1), stop_loss=Target(percent=dec("0.3")))
    assert refusal(wish, view(market(price_tick=dec(1)), price=dec(100))) == "alert.number"


def test_a_take_profit_that_rounds_to_zero_is_refused() -> None:
    wish = intent("sell", amount=dec(1), take_profit=(Target(price=dec("0.4")),))
    assert refusal(wish, view(market(price_tick=dec(1)), price=dec(100))) == "alert.number"


def test_protection_without_a_price_is_refused() -> None:
    wish = intent(amount=dec(1), stop_loss=Target(percent=dec(2)))
    assert refusal(wish, view(price=None)) == "sizing.no_price"


def test_protection_that_the_market_would_reject_is_refused_before_the_entry() -> None:
    """Else the entry fills and its stop is rejected: a position without protection."""
    least = market(min_notional=dec(50))
    known = view(least, price=dec(100))
    assert planned(intent(amount=dec("0.5")), known)
    assert (
        refusal(intent(amount=dec("0.5"), stop_loss=Target(percent=dec(2))), known) == "order.below_minimum"
    )
    shares = (Target(percent=dec(2), share=dec("0.4")), Target(percent=dec(4), share=dec("0.6")))
    assert refusal(intent(amount=dec(1), take_profit=shares), known) == "order.below_minimum"


def test_a_share_of_less_than_a_step_is_refused() -> None:
    shares = (Target(percent=dec(2), share=dec("0.1")), Target(percent=dec(4), share=dec("0.9")))
    wish = intent(amount=dec(1), take_profit=shares)
    assert refusal(wish, view(market(amount_step=dec(1)))) == "order.below_minimum"


@given(
    st.decimals(min_value="0.02", max_value="50", places=3),
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.booleans(),
)
def test_take_profits_share_the_entry_and_never_more(
    amount: Decimal, weights: list[int], whole: bool
) -> None:
    parts = sum(weights) if whole else sum(weights) + 3
    shares: list[Decimal] = [round(Decimal(weight) / parts, 4) for weight in weights]
    if whole:
        shares[-1] = 1 - sum(shares[:-1], start=Decimal(0))
    targets = tuple(Target(percent=dec(n + 1), share=share) for n, share in enumerate(shares))
    try:
        entry, *legs = planned(intent(amount=amount, take_profit=targets))
    except Refusal:  # a share of less than a step
        return
    total = sum(leg.amount for leg in legs)
    assert total == entry.amount if whole else total < entry.amount
    for leg, share in zip(legs[:-1], shares[:-1], strict=True):
        assert (
            0
            <= Fraction(entry.amount) * Fraction(share) - Fraction(leg.amount)
            < Fraction(1, 1000) + Fraction(1, 10**20)
        )


# --- close and cancel


@pytest.mark.parametrize(("held", "side"), [("1.5", Side.SELL), ("-1.5", Side.BUY)])
def test_a_close_ends_the_whole_position(held: str, side: Side) -> None:
    known = view(market(SWAP), position=dec(held), trading=TradingState.HALTED, price=None)
    (close,) = planned(intent("close"), known)
    assert (close.leg, close.side, close.type, close.amount) == (
        Leg.CLOSE,
        side,
        OrderType.MARKET,
        dec("1.5"),
    )
    assert close.reduce_only
    assert close.not_before == HELD  # until nothing else of its market is live


def test_a_close_on_spot_sells_what_is_there_and_no_more() -> None:
    held = exposure({SPOT: dec("1.0009")})
    assert planned(intent("close"), view(exposure=held))[0].amount == dec(1)
    (close,) = planned(intent("close"), view(exposure=held, total_base=dec("0.9999")))
    assert (close.amount, close.side, close.reduce_only) == (dec("0.999"), Side.SELL, False)


@pytest.mark.parametrize("held", [None, "0", "0.0009", "-2"])
def test_without_a_position_there_is_nothing_to_close(held: str | None) -> None:
    """Below zero on spot are coins sold that were there before: closing must not buy them back."""
    known = exposure({SPOT: dec(held)} if held else {})
    assert refusal(intent("close"), view(exposure=known, total_base=dec(5))) == "close.nothing"


def test_a_close_of_less_than_the_market_takes_is_refused() -> None:
    known = view(market(min_notional=dec(100)), exposure=exposure({SPOT: dec("0.001")}))
    assert refusal(intent("close"), known) == "order.below_minimum"


def test_a_close_cancels_whatever_of_its_market_is_live() -> None:
    live = (order("e", state=State.OPEN), order("s", Leg.STOP_LOSS, Side.SELL), order("x", symbol="ETH/USDT"))
    decision = decide(intent("close"), view(exposure=exposure({SPOT: dec(1)}, live)), SIZE, FREE)
    assert decision.cancel == ("e", "s")
    assert decision.orders[0].amount == dec(1)


def test_a_close_of_what_may_still_fill_looks_the_other_way() -> None:
    live = (order("e", state=State.OPEN, amount=dec(2)),)
    decision = decide(intent("close"), view(exposure=exposure(live=live)), SIZE, FREE)
    assert (decision.orders[0].side, decision.orders[0].amount) == (Side.SELL, dec(2))


TURN = {"market_position": "short", "prev_market_position": "long"}


def test_a_reversal_is_a_close_and_an_entry_that_waits_for_it() -> None:
    wish = intent("sell", amount=dec(3), position_size=dec(-2), stop_loss=Target(percent=dec(2)), **TURN)
    close, entry, stop = planned(wish, view(market(SWAP), position=dec(1)))
    assert (close.leg, close.side, close.amount, close.reduce_only) == (Leg.CLOSE, Side.SELL, dec(1), True)
    assert (entry.leg, entry.side, entry.amount, entry.parent) == (Leg.ENTRY, Side.SELL, dec(2), close.id)
    assert (stop.side, stop.parent) == (Side.BUY, entry.id)
    assert {close.not_before, entry.not_before, stop.not_before} == {HELD}


def test_a_reversal_keeps_the_limits_of_the_new_position_alone() -> None:
    limits = RiskSettings(max_position_notional=dec(100_000))
    wish = intent("sell", amount=dec(4), position_size=dec(-2), **TURN)
    assert len(planned(wish, view(market(SWAP), position=dec(2)), limits)) == 2
    larger = intent("sell", amount=dec(5), position_size=dec(-3), **TURN)
    assert refusal(larger, view(market(SWAP), position=dec(2)), limits) == "risk.max_position_notional"


def test_without_a_position_a_reversal_is_an_entry() -> None:
    (entry,) = planned(intent("sell", amount=dec(2), **TURN), view(market(SWAP), position=dec(0)))
    assert entry.leg is Leg.ENTRY


def test_a_spot_account_does_not_turn() -> None:
    assert refusal(intent("sell", **TURN)) == "order.unsupported"


def test_a_spot_sale_makes_the_stop_give_way_when_it_holds_the_coins() -> None:
    stop = order("s", Leg.STOP_LOSS, Side.SELL, state=State.OPEN)
    known = exposure({SPOT: dec(1)}, (stop,))
    wish = intent("sell", amount=dec("0.4"))
    assert decide(wish, view(exposure=known, free_base=dec(0)), SIZE, FREE).cancel == ("s",)
    assert decide(wish, view(exposure=known, free_base=dec("0.4")), SIZE, FREE).cancel == ()


def test_a_cancel_ends_the_entries_of_its_market_and_leaves_their_protection() -> None:
    live = (
        order("e1", state=State.OPEN),
        order("e2", state=State.UNKNOWN),
        order("r", side=Side.SELL, reduce_only=True, state=State.OPEN),
        order("s", Leg.STOP_LOSS, Side.SELL, state=State.OPEN),
        order("t", Leg.TAKE_PROFIT, Side.SELL, state=State.OPEN),
        order("c", Leg.CLOSE, Side.SELL, state=State.SENDING),
        order("x", symbol="ETH/USDT"),
    )
    known = view(exposure=exposure(live=live), trading=TradingState.HALTED, price=None)
    decision = decide(intent("cancel"), known, SIZE, FREE)
    assert decision == Planned(cancel=("e1", "e2", "r"))


# --- no sequence of alerts passes a limit

alerts = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["buy", "buy", "sell", "close"]),
        "amount": st.integers(1, 40).map(lambda tenths: Decimal(tenths) / 10),
        "price": st.sampled_from([None, "96", "99.5", "104"]),
        "stop_loss": st.sampled_from([None, Target(percent=Decimal(9))]),
    }
)
happenings = st.sampled_from(["nothing", "part", "filled", "canceled", "rejected", "unknown"])
LIMITS = RiskSettings(max_position_notional=dec(500), max_order_notional=dec(300), max_open_orders=3)


@settings(max_examples=120)
@given(
    st.lists(st.tuples(alerts, st.lists(st.tuples(st.integers(0, 5), happenings), max_size=3)), max_size=14)
)
def test_no_sequence_of_alerts_passes_a_limit_whatever_is_filled(
    story: list[tuple[dict[str, Any], list[tuple[int, str]]]],
) -> None:
    known = exposure({SWAP: dec(0)})
    for number, (fields, events) in enumerate(story):
        limit: dict[str, Any] = (
            {"price": dec(fields["price"]), "order_type": OrderType.LIMIT} if fields["price"] else {}
        )
        wish = intent(
            fields["action"], id=f"a{number}", amount=fields["amount"], stop_loss=fields["stop_loss"], **limit
        )
        try:
            held = known.positions[SWAP].amount
            now = view(market(SWAP), exposure=known, position=held, price=dec(100))
            decision = decide(wish, now, SIZE, LIMITS)
        except Refusal:
            decision = Planned()
        opens = known.positions[SWAP].amount * (1 if fields["action"] == "buy" else -1) >= 0
        known = replace(known, live=(*known.live, *decision.orders))
        if opens and decision.orders and fields["action"] != "close":
            assert len([one for one in known.live if one.leg is Leg.ENTRY and not one.reduce_only]) <= 3
        check_limits(known)
        for which, what in events:
            known = happen(known, which, what)


def check_limits(known: Exposure) -> None:
    """In the worst case that all live entries of one side are filled and none of the other."""
    entries = [one for one in known.live if one.leg is Leg.ENTRY and not one.reduce_only]
    held = known.positions[SWAP].amount
    for side, sign in ((Side.BUY, 1), (Side.SELL, -1)):
        worst = held + sign * sum(one.amount - one.filled for one in entries if one.side is side)
        assert abs(worst) * 100 <= 500 or abs(worst) <= abs(held)


def happen(known: Exposure, which: int, what: str) -> Exposure:
    """An exchange does something to one of the live orders."""
    if which >= len(known.live) or what == "nothing":
        return known
    one, rest = known.live[which], known.live[:which] + known.live[which + 1 :]
    if what in ("canceled", "rejected"):
        return replace(known, live=rest)
    if what == "unknown":
        return replace(known, live=(*rest, replace(one, state=State.UNKNOWN)))
    fill = one.amount - one.filled if what == "filled" else (one.amount - one.filled) / 2
    position = known.positions[SWAP]
    if one.reduce_only:
        fill = min(fill, max(Decimal(0), position.amount * (1 if one.side is Side.SELL else -1)))
    after = replace(position, amount=position.amount + (fill if one.side is Side.BUY else -fill))
    left = () if what == "filled" else (replace(one, state=State.PARTIAL, filled=one.filled + fill),)
    return replace(known, live=(*rest, *left), positions={SWAP: after})


def test_while_trading_is_halted_a_reversal_only_closes() -> None:
    known = view(market(SWAP), position=dec(1), trading=TradingState.HALTED)
    (close,) = planned(intent("sell", amount=dec(2), **TURN), known)
    assert close.leg is Leg.CLOSE


def test_an_unknown_position_is_not_taken_for_none() -> None:
    assert refusal(intent("close"), view(market(SWAP))) == "close.unknown"
