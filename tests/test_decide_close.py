"""Closes, reversals, sales and cancels: what the decision does to what is there already."""

import pytest

from decide_cases import planned, refusal
from fks.domain.alerts import Target
from fks.domain.decide import Planned, decide
from fks.domain.messages import TradingState
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.protection import HELD
from fks.domain.settings import RiskSettings
from fks.domain.view import Rules
from makers import SPOT, SWAP, dec, exposure, intent, market, order, view


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


def test_what_the_exchange_does_not_show_yet_is_closed_as_booked() -> None:
    spot = view(exposure=exposure({SPOT: dec(1)}), total_base=dec(0))
    swap = view(market(SWAP), exposure=exposure({SWAP: dec(-2)}), position=dec(0))
    assert [(one.side, one.amount) for one in planned(intent("close"), spot)] == [(Side.SELL, dec(1))]
    assert [(one.side, one.amount) for one in planned(intent("close"), swap)] == [(Side.BUY, dec(2))]
    turn = intent(
        "buy", amount=dec(3), position_size=dec(1), market_position="long", prev_market_position="short"
    )
    assert [one.leg for one in planned(turn, swap)] == [Leg.CLOSE, Leg.ENTRY]


def test_a_close_of_less_than_the_market_takes_is_refused() -> None:
    known = view(market(min_notional=dec(100)), exposure=exposure({SPOT: dec("0.001")}))
    assert refusal(intent("close"), known) == "order.below_minimum"


def test_a_close_cancels_whatever_of_its_market_is_live() -> None:
    live = (order("e", state=State.OPEN), order("s", Leg.STOP_LOSS, Side.SELL), order("x", symbol="ETH/USDT"))
    decision = decide(intent("close"), view(exposure=exposure({SPOT: dec(1)}, live)), Rules())
    assert decision.cancel == ("e", "s")
    assert decision.orders[0].amount == dec(1)


def test_a_close_of_what_may_still_fill_looks_the_other_way() -> None:
    live = (order("e", state=State.OPEN, amount=dec(2)),)
    decision = decide(intent("close"), view(exposure=exposure(live=live)), Rules())
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
    decision = decide(larger, view(market(SWAP), position=dec(2)), Rules(limits=limits))
    assert [one.leg for one in decision.orders] == [Leg.CLOSE]
    assert decision.withheld is not None
    assert decision.withheld.code == "risk.max_position_notional"


def test_without_a_position_a_reversal_is_an_entry() -> None:
    (entry,) = planned(intent("sell", amount=dec(2), **TURN), view(market(SWAP), position=dec(0)))
    assert entry.leg is Leg.ENTRY


def test_a_spot_account_does_not_turn() -> None:
    assert refusal(intent("sell", **TURN)) == "order.unsupported"


def test_a_spot_sale_makes_the_stop_give_way_when_it_holds_the_coins() -> None:
    stop = order("s", Leg.STOP_LOSS, Side.SELL, state=State.OPEN)
    known = exposure({SPOT: dec(1)}, (stop,))
    wish = intent("sell", amount=dec("0.4"))
    assert decide(wish, view(exposure=known, free_base=dec(0)), Rules()).cancel == ("s",)
    assert decide(wish, view(exposure=known, free_base=dec("0.4")), Rules()).cancel == ()


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
    decision = decide(intent("cancel"), known, Rules())
    assert decision == Planned(cancel=("e1", "e2", "r"))


def test_while_trading_is_halted_a_reversal_only_closes() -> None:
    known = view(market(SWAP), position=dec(1), trading=TradingState.HALTED)
    (close,) = planned(intent("sell", amount=dec(2), **TURN), known)
    assert close.leg is Leg.CLOSE


def test_an_unknown_position_is_not_taken_for_none() -> None:
    assert refusal(intent("close"), view(market(SWAP))) == "close.unknown"


def test_a_market_order_for_more_than_the_opposite_position_is_a_reversal() -> None:
    """In hedge mode one order would open a short beside the long; two mean the same in both modes."""
    known = view(market(SWAP), exposure=exposure({SWAP: dec(2)}))
    close, entry = planned(intent("sell", amount=dec(5)), known)
    assert (close.leg, close.amount, close.reduce_only) == (Leg.CLOSE, dec(2), True)
    assert (entry.leg, entry.amount, entry.parent) == (Leg.ENTRY, dec(3), close.id)


def test_a_hair_more_than_the_opposite_position_is_no_reversal() -> None:
    known = view(market(SWAP, min_amount=dec("0.01")), exposure=exposure({SWAP: dec(2)}))
    (entry,) = planned(intent("sell", amount=dec("2.001")), known)
    assert entry.leg is Leg.ENTRY
