"""The limits of an account, of one market and of a strategy: each holds beside the others."""

from dataclasses import replace as replace_view
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from decide_cases import planned, refusal
from fks.domain.decide import Planned, decide
from fks.domain.errors import Refusal
from fks.domain.messages import Exposure, Share, TradingState
from fks.domain.orders import Leg, OrderType, State
from fks.domain.settings import Limits, RiskSettings, StrategyLimits
from fks.domain.venue import Features
from fks.domain.view import Rules, View
from makers import ALL_TYPES, NOW, SPOT, SWAP, dec, exposure, intent, market, order, view

HELD = exposure({SWAP: dec(5)})
LIVE = exposure(live=(order("e", symbol=SWAP, strategy="trend", state=State.OPEN, created_at=NOW - 9),))
TODAY = Share(realized_today=dec(-50), placed_last_minute=6)


def mine(known: Exposure) -> Exposure:
    """The account's as the strategy's own."""
    share = Share(positions=known.positions, realized_today=dec(-50), placed_last_minute=6)
    return replace(known, shares={"trend": share})


# A limit, what is known, and the alert that it refuses.
LIMITS: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    ("max_order_notional", dec(99), {}, {}),
    ("max_position_notional", dec(599), {"exposure": HELD}, {}),
    ("max_open_orders", 1, {"exposure": LIVE}, {}),
    ("max_orders_per_minute", 6, {"symbol_today": TODAY}, {}),
    ("max_daily_loss", dec(50), {"symbol_today": TODAY}, {}),
    ("max_price_deviation", dec("0.01"), {}, {"order_type": OrderType.LIMIT, "price": dec("98.9")}),
    ("max_slippage", dec("0.01"), {}, {"price": dec("98.9")}),
    ("max_price_age_s", 10.0, {"price_time": NOW - 11}, {}),
    ("max_leverage", 3, {}, {"leverage": 4}),
    ("cooldown_s", 10.0, {"exposure": LIVE}, {}),
    ("hours", ("sat",), {}, {}),  # NOW is a Friday
]
CODES = {"max_price_age_s": "stale_price", "cooldown_s": "cooldown"}


def decided(rules: Rules, known: dict[str, Any], **fields: Any) -> Planned:
    wish = intent(**{"amount": dec(1), "strategy": "trend", **fields})
    return decide(wish, view(market(SWAP), **{"price": dec(100), **known}), rules)


def code(rules: Rules, known: dict[str, Any], **fields: Any) -> str | None:
    try:
        decided(rules, known, **fields)
    except Refusal as refused:
        return refused.code
    return None


def free(**changes: Any) -> RiskSettings:
    return RiskSettings(**{"max_price_deviation": dec(0), **changes})


@pytest.mark.parametrize(("name", "value", "known", "alert"), LIMITS)
def test_every_limit_can_be_one_markets(
    name: str, value: Any, known: dict[str, Any], alert: dict[str, Any]
) -> None:
    own = Limits(**{name: value})
    assert code(Rules(limits=free(symbols={SWAP: own})), known, **alert) == f"risk.{CODES.get(name, name)}"
    assert code(Rules(limits=free(symbols={SPOT: own})), known, **alert) is None


@pytest.mark.parametrize(("name", "value", "known", "alert"), LIMITS)
def test_every_limit_can_be_one_strategys(
    name: str, value: Any, known: dict[str, Any], alert: dict[str, Any]
) -> None:
    known = known | {"exposure": mine(known.get("exposure", exposure()))}
    rules = Rules(limits=free(), own=StrategyLimits(**{name: value}))
    assert code(rules, known, **alert) == f"risk.{CODES.get(name, name)}"
    nobodys = known | {"exposure": replace(known["exposure"], shares={}, live=())}
    counted = {*(one for one, *_ in LIMITS[1:5]), "cooldown_s"}
    assert (code(rules, nobodys, **alert) is None) is (name in counted)


def test_every_limit_is_tried_here() -> None:
    assert [name for name, *_ in LIMITS] == list(Limits.__struct_fields__)


def test_a_strategys_markets_are_its_own() -> None:
    for own, expected in (
        (StrategyLimits(denied=(SWAP,)), "risk.denied"),
        (StrategyLimits(allowed=(SPOT,)), "risk.not_allowed"),
        (StrategyLimits(allowed=(SWAP,), denied=(SPOT,)), None),
    ):
        assert code(Rules(limits=free(), own=own), {}) == expected


def test_a_strategys_pause_counts_its_own_entries() -> None:
    rules = Rules(limits=free(), own=StrategyLimits(cooldown_s=60.0))
    assert code(rules, {"last_entry": NOW - 1}) is None
    assert code(rules, {"own_last_entry": NOW - 1}) == "risk.cooldown"


def test_a_refusal_says_whose_limit_it_is() -> None:
    whose = {
        "the account's limit is 99": Rules(limits=free(max_order_notional=dec(99))),
        f"the {SWAP}'s limit is 99": Rules(limits=free(symbols={SWAP: Limits(max_order_notional=dec(99))})),
        "the strategy trend's limit is 99": Rules(
            limits=free(), own=StrategyLimits(max_order_notional=dec(99))
        ),
    }
    for told, rules in whose.items():
        with pytest.raises(Refusal, match=told):
            decided(rules, {})


@pytest.mark.parametrize(("name", "value", "known", "alert"), LIMITS)
def test_a_reversal_over_any_limit_still_closes(
    name: str, value: Any, known: dict[str, Any], alert: dict[str, Any]
) -> None:
    """It leaves 5 long, and would open 6 short."""
    if name in ("max_price_deviation", "max_slippage"):
        alert = {"price": dec("102")} if name == "max_slippage" else {}
    known = known | {"position": dec(5)}
    live = known.get("exposure", exposure()).live
    known["exposure"] = exposure({SWAP: dec(5)}, live, realized_today="-50", placed_last_minute=6)
    of = intent("sell", amount=dec(11), **alert)
    decision = decide(
        of, view(market(SWAP), **{"price": dec(100), **known}), Rules(limits=free(**{name: value}))
    )
    assert decision.orders[0].leg is Leg.CLOSE
    if name == "max_price_deviation":
        return  # a market order has no price that could deviate
    assert len(decision.orders) == 1
    assert decision.withheld is not None
    assert decision.withheld.code == f"risk.{CODES.get(name, name)}"


# --- leverage that nobody names


def swap_view(leverage: int | None = None) -> View:
    features = Features(order_types=ALL_TYPES, leverage=leverage)
    return view(market(SWAP), features=features, price=dec(100))


def test_an_accounts_leverage_is_that_of_entries_that_name_none() -> None:
    def leverage(known: View, rules: Rules, **fields: Any) -> int | None:
        return decide(intent(amount=dec(1), **fields), known, rules).orders[0].leverage

    usual = Rules(leverage=3)
    assert leverage(swap_view(), usual) == 3
    assert leverage(swap_view(), usual, leverage=5) == 5
    assert leverage(swap_view(), Rules()) is None
    assert leverage(view(), usual) is None
    held = replace_view(swap_view(), exposure=HELD, position=dec(5))
    assert decide(intent("sell", amount=dec(1), reduce_only=True), held, usual).orders[0].leverage is None


def test_leverage_that_is_known_passes_its_limit_unnamed() -> None:
    limited = Rules(limits=free(max_leverage=3))
    wish = intent(amount=dec(1))
    with pytest.raises(Refusal, match=r"send leverage, or set exchanges\.paper\.leverage"):
        decide(wish, swap_view(), limited)
    assert decide(wish, swap_view(leverage=1), limited).orders
    assert decide(wish, swap_view(), replace(limited, leverage=3)).orders
    with pytest.raises(Refusal, match="the leverage would be 4"):
        decide(wish, swap_view(), replace(limited, leverage=4))


# --- a way out of a halt


def test_halted_a_part_of_a_spot_position_can_be_closed() -> None:
    halted = view(
        exposure=exposure({SPOT: dec(4)}), trading=TradingState.HALTED, free_base=dec(4), total_base=dec(4)
    )
    (part,) = planned(intent("close", share=Decimal("0.25")), halted)
    assert (part.side, part.amount, part.reduce_only) == ("sell", 1, True)
    (sale,) = planned(intent("sell", amount=dec(1), reduce_only=True), halted)
    assert sale.reduce_only
    for wish in (intent("sell", amount=dec(1)), intent(amount=dec(1))):
        assert refusal(wish, halted) == "risk.halted"
