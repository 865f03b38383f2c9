"""When an entry may not be, whatever its size; and that a way out always may."""

from typing import Any

import pytest
from msgspec.structs import replace

from decide_cases import planned, refusal
from fks.domain.decide import decide
from fks.domain.errors import Refusal
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.settings import Limits, RiskSettings
from fks.domain.view import Rules
from makers import NOW, SPOT, SWAP, dec, exposure, intent, market, order, view

LONG = exposure({SWAP: dec(5)})


def limits(**given: Any) -> RiskSettings:
    return RiskSettings(**{"max_price_deviation": dec(0), **given})


def code(given: RiskSettings, known: dict[str, Any] | None = None, **fields: Any) -> str | None:
    """The refusal's code of a buy, None when it passes."""
    wish = intent(**{"amount": dec(1), **fields})
    try:
        decide(wish, view(market(SWAP), **(known or {})), Rules(limits=given))
    except Refusal as refused:
        return refused.code
    return None


# NOW is a Friday, 10:30 UTC. Each: the limit, what is known, the alert.
BINDING: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("risk.denied", {"denied": (SPOT, SWAP)}, {}, {}),
    ("risk.denied", {"denied": (SWAP,), "allowed": (SWAP,)}, {}, {}),
    ("risk.not_allowed", {"allowed": (SPOT,)}, {}, {}),
    ("risk.hours", {"hours": ("mon-thu", "fri 10:31-10:30")}, {}, {}),
    ("risk.max_leverage", {"max_leverage": 3}, {}, {"leverage": 4}),
    ("risk.max_leverage", {"max_leverage": 3}, {}, {}),
    ("risk.cooldown", {"cooldown_s": 60.0}, {"last_entry": NOW - 59.9}, {}),
    ("risk.cooldown", {"cooldown_s": 60.0}, {"last_entry": NOW + 5}, {}),
    ("risk.stale_price", {"max_price_age_s": 10.0}, {"price_time": NOW - 10.1}, {}),
    ("risk.no_price", {"max_price_age_s": 10.0}, {"price": None}, {}),
    ("risk.max_slippage", {"max_slippage": dec("0.01")}, {"price": dec("101.01")}, {"price": dec(100)}),
]
FREE: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"denied": (SPOT,)}, {}, {}),
    ({"allowed": (SPOT, SWAP)}, {}, {}),
    ({"hours": ("mon-thu", "fri 10:30-10:31")}, {}, {}),
    ({"max_leverage": 3}, {}, {"leverage": 3}),
    ({"cooldown_s": 60.0}, {"last_entry": NOW - 60}, {}),
    ({"cooldown_s": 60.0}, {}, {}),
    ({"max_price_age_s": 10.0}, {"price_time": NOW - 10}, {}),
    ({"max_price_age_s": 10.0}, {"price_time": None}, {}),
    ({"max_price_age_s": 10.0}, {"price_time": NOW + 3}, {}),
    ({"max_slippage": dec("0.01")}, {"price": dec(101)}, {"price": dec(100)}),
    ({"max_slippage": dec("0.01")}, {"price": dec(50)}, {"price": dec(100)}),  # better is not worse
    ({"max_slippage": dec("0.01")}, {"price": dec(500)}, {}),
    (
        {"max_slippage": dec("0.01")},
        {"price": dec(500)},
        {"price": dec(100), "order_type": OrderType.LIMIT},
    ),
]


@pytest.mark.parametrize(("expected", "given", "known", "alert"), BINDING)
def test_each_has_a_name_and_its_edge(
    expected: str, given: dict[str, Any], known: dict[str, Any], alert: dict[str, Any]
) -> None:
    assert code(limits(**given), known, **alert) == expected
    assert code(limits(), known, **alert) is None


@pytest.mark.parametrize(("given", "known", "alert"), FREE)
def test_up_to_the_edge_it_passes(
    given: dict[str, Any], known: dict[str, Any], alert: dict[str, Any]
) -> None:
    assert code(limits(**given), known, **alert) is None


def test_a_sale_slips_downwards() -> None:
    given = limits(max_slippage=dec("0.01"))
    assert code(given, {"price": dec("98.9")}, action="sell", price=dec(100)) == "risk.max_slippage"
    assert code(given, {"price": dec("99")}, action="sell", price=dec(100)) is None


def test_a_refusal_tells_the_numbers() -> None:
    with pytest.raises(Refusal) as caught:
        decide(
            intent(amount=dec(1), price=dec(100)),
            view(market(SWAP), price=dec(105)),
            Rules(limits=limits(max_slippage=dec("0.01"))),
        )
    assert caught.value.detail == ("the last price 105 is 5% worse than the alert's 100; the limit is 1%")


def test_what_is_just_over_a_limit_does_not_read_as_the_limit() -> None:
    wish = intent(amount=dec(1), order_type=OrderType.LIMIT, price=dec("47499.99"))
    with pytest.raises(Refusal) as caught:
        decide(wish, view(price=dec(50000)), Rules(limits=limits(max_price_deviation=dec("0.05"))))
    assert "is 5.00002% away from the last price 50000; the account's limit is 5%" in caught.value.detail


@pytest.mark.parametrize(("_code", "given", "known", "alert"), BINDING)
def test_a_way_out_always_passes(
    _code: str, given: dict[str, Any], known: dict[str, Any], alert: dict[str, Any]
) -> None:
    out = {"exposure": LONG, "position": dec(5), **known}
    price = {"price": alert["price"] * 2} if "price" in alert else {}
    for wish in (
        {"action": "sell", "amount": dec(2), **price},
        {"action": "sell", "amount": dec(2), "reduce_only": True},
        {"action": "close", "amount": None},
    ):
        assert code(limits(**given), out, **wish) is None


@pytest.mark.parametrize(("expected", "given", "known", "alert"), BINDING[:-2])
def test_a_reversal_that_may_not_enter_still_closes(
    expected: str, given: dict[str, Any], known: dict[str, Any], alert: dict[str, Any]
) -> None:
    known = {"exposure": LONG, "position": dec(5), **known}
    for state in ({}, {"market_position": "short", "prev_market_position": "long"}):
        wish = intent("sell", amount=dec(8), **alert, **state)
        decision = decide(wish, view(market(SWAP), **known), Rules(limits=limits(**given)))
        assert [one.leg for one in decision.orders] == [Leg.CLOSE]
        assert decision.withheld is not None
        assert decision.withheld.code == expected


@pytest.mark.parametrize(("_code", "given", "known", "alert"), BINDING)
def test_a_sale_on_spot_opens_nothing(
    _code: str, given: dict[str, Any], known: dict[str, Any], alert: dict[str, Any]
) -> None:
    fields = {name: one for name, one in alert.items() if name != "leverage"}
    assert planned(intent("sell", amount=dec(1), **fields), view(**known), limits(**given))


def test_a_sale_of_a_contract_opens_a_short_whatever_the_contract_is_called() -> None:
    contract = view(market(SPOT, kind="swap", settle="USDT"))
    assert refusal(intent("sell", amount=dec(1)), contract, limits(denied=(SPOT,))) == "risk.denied"


def test_spot_knows_no_leverage() -> None:
    assert planned(intent(amount=dec(1)), view(), limits(max_leverage=1))


def test_an_entry_on_its_way_begins_the_pause_and_an_exit_does_not() -> None:
    given = limits(cooldown_s=60.0)
    entry = order("e", symbol=SWAP, state=State.PLANNED, created_at=NOW - 30)
    for live, expected in (
        (entry, "risk.cooldown"),
        (replace(entry, symbol="ETH/USDT:USDT"), None),
        (replace(entry, created_at=NOW - 60), None),
        (replace(entry, created_at=NOW + 5), "risk.cooldown"),
        (replace(entry, side=Side.SELL, reduce_only=True), None),
        (replace(entry, leg=Leg.STOP_LOSS), None),
    ):
        assert code(given, {"exposure": exposure(live=(live,))}) == expected


def test_of_several_entries_the_newest_begins_the_pause() -> None:
    resting = order("e", symbol=SWAP, state=State.OPEN, created_at=NOW - 300)
    known = {"exposure": exposure(live=(resting,)), "last_entry": NOW - 59}
    assert code(limits(cooldown_s=60.0), known) == "risk.cooldown"
    assert code(limits(cooldown_s=59.0), known) is None


# --- the limits of one market


def test_a_market_has_limits_beside_the_accounts() -> None:
    own = limits(
        max_order_notional=dec(1000),
        symbols={SPOT: Limits(max_order_notional=dec(500), max_position_notional=dec(800))},
    )
    held = view(exposure=exposure({SPOT: dec(4)}), price=dec(100))
    assert planned(intent(amount=dec(4)), held, own)
    assert refusal(intent(amount=dec("5.1")), held, own) == "risk.max_order_notional"
    assert refusal(intent(amount=dec("4.1")), held, own) == "risk.max_position_notional"
    assert code(own, {"price": dec(100)}, amount=dec(10)) is None
    assert code(own, {"price": dec(100)}, amount=dec("10.1")) == "risk.max_order_notional"


def test_a_markets_open_orders_are_its_own() -> None:
    own = limits(symbols={SWAP: Limits(max_open_orders=1)})
    other = order("o", state=State.OPEN)
    assert code(own, {"exposure": exposure(live=(other,))}) is None
    same = replace(other, symbol=SWAP)
    assert code(own, {"exposure": exposure(live=(other, same))}) == "risk.max_open_orders"
