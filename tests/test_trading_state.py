"""When an account goes to reduce-only by itself, and when it comes back."""

from decimal import Decimal

import pytest

from fks.domain.messages import TradingRecord, TradingState
from fks.domain.orders import Side, State
from fks.domain.settings import RiskSettings
from fks.domain.trades import RoundTrip
from fks.domain.trading_state import (
    DAILY_LOSS,
    DAY_S,
    Breach,
    Peak,
    Streak,
    daily_loss,
    drawdown,
    next_state,
    unknown_too_long,
)
from makers import NOW, SPOT, dec, order

MIDNIGHT = NOW - NOW % DAY_S
BREACH = Breach(DAILY_LOSS, "numbers", NOW)


@pytest.mark.parametrize(("realized", "there"), [("-99.99", False), ("-100", True), ("100", False)])
def test_a_day_s_loss_at_its_limit(realized: str, *, there: bool) -> None:
    found = daily_loss(dec(realized), NOW - 5, RiskSettings(max_daily_loss=dec(100)), NOW)
    assert (found is not None) is there
    if found is not None:
        assert (found.rule, found.since) == (DAILY_LOSS, NOW - 5)
        assert "loss is 100, the limit 100" in found.detail


def test_zero_limits_are_none() -> None:
    none = RiskSettings()
    lost = order(state=State.UNKNOWN, send_by=0.0)
    assert daily_loss(dec(-1000), NOW, none, NOW) is None
    assert unknown_too_long([lost], none, NOW) is None
    assert drawdown(dec(1), Peak(dec(1000), NOW), none, NOW) is None
    streak = Streak(0)
    streak.add([trip("-5", NOW)])
    assert streak.breach(0.0) is None


def test_an_order_that_is_unknown_for_too_long() -> None:
    limits = RiskSettings(max_unknown_s=60.0)
    lost = order("q7", state=State.UNKNOWN, send_by=NOW)
    assert unknown_too_long([lost], limits, NOW + 60) is None
    found = unknown_too_long([order(state=State.OPEN), lost], limits, NOW + 61)
    assert found is not None
    assert (found.rule, found.since) == ("risk.max_unknown_s", NOW + 60)
    assert "q7" in found.detail
    assert "61 s, the limit is 60 s" in found.detail


@pytest.mark.parametrize(("equity", "there"), [("900.01", False), ("900", True), ("1200", False)])
def test_a_drawdown_is_a_share_of_the_peak(equity: str, *, there: bool) -> None:
    found = drawdown(dec(equity), Peak(dec(1000), 0.0), RiskSettings(max_drawdown=dec("0.1")), NOW)
    assert (found is not None) is there


def trip(profit: str, closed_at: float) -> RoundTrip:
    return RoundTrip(
        account="paper", strategy="", symbol=SPOT, side=Side.BUY, amount=dec(1), entry=dec(9), exit=dec(9),
        opened_at=0.0, closed_at=closed_at, realized=Decimal(profit), fees=dec(0), slippage=None,
    )  # fmt: skip


def test_losses_count_only_in_a_row_and_since_a_human_resumed() -> None:
    streak = Streak(3)
    streak.add([trip(profit, NOW + n) for n, profit in enumerate(["-5", "-1", "2", "-1", "-2"])])
    assert streak.breach(0.0) is None
    streak.add([trip("-3", NOW + 9)])
    found = streak.breach(0.0)
    assert found is not None
    assert (found.rule, found.since) == ("risk.max_consecutive_losses", NOW + 9)
    assert "last 3 round trips lost 6" in found.detail
    assert streak.breach(NOW + 9) is None
    streak.add([trip("-1", NOW + 10), trip("-1", NOW + 11)])
    assert streak.breach(NOW + 9) is None
    streak.add([trip("-1", NOW + 12)])
    assert streak.breach(NOW + 9) is not None


def record(state: str, by: str = "", at: float = NOW, resumed_at: float = 0.0) -> TradingRecord:
    return TradingRecord(state=TradingState(state), by=by, at=at, resumed_at=resumed_at)


def test_an_active_account_reduces_for_what_is_newer_than_its_resume() -> None:
    assert next_state(TradingRecord(), [BREACH], NOW) == (TradingState.REDUCE, BREACH)
    assert next_state(TradingRecord(), [], NOW) is None
    assert next_state(record("active", "admin", NOW, NOW), [BREACH], NOW + 1) is None
    later = Breach(DAILY_LOSS, "numbers", NOW + 1)
    assert next_state(record("active", "admin", NOW, NOW), [BREACH, later], NOW + 2) is not None


@pytest.mark.parametrize("by", ["admin", "risk.max_drawdown"])
@pytest.mark.parametrize("state", ["reduce", "halted"])
def test_what_a_human_or_another_rule_set_stays_over_midnight(state: str, by: str) -> None:
    assert next_state(record(state, by), [], MIDNIGHT + DAY_S) is None
    assert next_state(record(state, by), [BREACH], MIDNIGHT + DAY_S) is None


def test_a_daily_loss_ends_with_its_day_unless_another_limit_is_reached() -> None:
    own = record("reduce", DAILY_LOSS)
    assert next_state(own, [], MIDNIGHT + DAY_S - 1) is None
    assert next_state(own, [], MIDNIGHT + DAY_S) == (TradingState.ACTIVE, None)
    other = Breach("risk.max_unknown_s", "numbers", NOW)
    assert next_state(own, [other], MIDNIGHT + DAY_S) == (TradingState.REDUCE, other)
