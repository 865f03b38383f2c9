"""What an alert's order fields demand of each other."""

from decimal import Decimal
from typing import Any

import pytest

from alert_cases import field_at_fault, read
from fks.domain.alerts import Action, Target


@pytest.mark.parametrize(
    ("order_type", "needs"),
    [
        ("limit", ["price"]),
        ("stop", ["stop_price"]),
        ("stop_limit", ["price", "stop_price"]),
        ("trailing_stop", ["trail_percent"]),
    ],
)
def test_an_order_type_needs_its_prices(order_type: str, needs: list[str]) -> None:
    assert read(order_type=order_type.upper(), **dict.fromkeys(needs, 5)).order_type == order_type
    for missing in needs:
        given = {name: 5 for name in needs if name != missing}
        assert field_at_fault(order_type=order_type, **given) == missing


@pytest.mark.parametrize("more", [{}, {"order_type": "limit", "price": 5}, {"trail_percent": 1}])
def test_only_a_stop_has_a_stop_price(more: dict[str, Any]) -> None:
    """On a market order it may be meant for a stop loss: it is refused, not ignored."""
    trailing = {"order_type": "trailing_stop"} if "trail_percent" in more else {}
    assert field_at_fault(stop_price=5, **more, **trailing) == "stop_price"
    assert read(action="close", stop_price=5).action is Action.CLOSE


def test_a_close_needs_nothing_but_its_symbol() -> None:
    assert read(action="close", order_type="limit").action is Action.CLOSE


@pytest.mark.parametrize("order_type", ["iceberg", "", 1, True])
def test_no_other_order_type_is_taken(order_type: Any) -> None:
    assert field_at_fault(order_type=order_type) == "order_type"


@pytest.mark.parametrize(
    ("name", "words"), [("time_in_force", ["gtc", "IOC", "fok"]), ("margin_mode", ["isolated", "Cross"])]
)
def test_of_a_fixed_set_of_words_no_other_is_taken(name: str, words: list[str]) -> None:
    for word in words:
        assert getattr(read(**{name: word}), name) == word.lower()
    for value in ("xyz", "", " ", "gtcx", 1, True, ["gtc"]):
        assert field_at_fault(**{name: value}) == name


def test_post_only_needs_a_limit_price() -> None:
    assert read(order_type="limit", price=5, post_only=True).post_only
    assert field_at_fault(post_only=True) == "post_only"


def test_a_target_is_a_price_a_percent_or_an_offset() -> None:
    assert read(stop_loss="48000").stop_loss == Target(price=Decimal(48000))
    assert read(stop_loss={"percent": 2}).stop_loss == Target(percent=Decimal(2))
    assert read(stop_loss={"offset": "500"}).stop_loss == Target(offset=Decimal(500))
    assert read(take_profit=[{"price": 5, "share": 0.5}, {"percent": 3, "share": 0.5}]).take_profit == (
        Target(price=Decimal(5), share=Decimal("0.5")),
        Target(percent=Decimal(3), share=Decimal("0.5")),
    )


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        True,
        "x",
        {},
        {"share": 1},
        {"percent": 0},
        {"percent": -2},
        {"percent": "NaN"},
        {"percent": True},
        {"price": 5, "percent": 2},
        {"price": 5, "trigger": 2},
        {"percent": 2, "share": 1.5},
        {"percent": 2, "share": 0},
    ],
)
@pytest.mark.parametrize("name", ["stop_loss", "take_profit"])
def test_no_other_target_is_guessed(name: str, value: Any) -> None:
    assert field_at_fault(**{name: value}) == name


def test_a_stop_loss_covers_all_of_it() -> None:
    assert field_at_fault(stop_loss={"percent": 2, "share": 0.5}) == "stop_loss"
    assert field_at_fault(stop_loss=[{"percent": 2}]) == "stop_loss"


def test_shares_of_take_profits_are_given_and_make_no_more_than_one() -> None:
    half = {"percent": 2, "share": 0.5}
    assert len(read(take_profit=[half, half]).take_profit) == 2
    assert field_at_fault(take_profit=[half, half, half]) == "take_profit"
    assert field_at_fault(take_profit=[half, {"percent": 3}]) == "take_profit"


@pytest.mark.parametrize(
    ("action", "name", "good", "bad"),
    [
        ("buy", "stop_loss", 99, 101),
        ("buy", "stop_loss", 99, 100),
        ("buy", "take_profit", 101, 99),
        ("sell", "stop_loss", 101, 99),
        ("sell", "take_profit", 99, 101),
        ("sell", "take_profit", 99, 100),
    ],
)
def test_protection_lies_on_its_own_side_of_a_limit_price(
    action: str, name: str, good: int, bad: int
) -> None:
    limit = {"action": action, "order_type": "limit", "price": 100}
    assert read(**limit, **{name: good})
    assert field_at_fault(**limit, **{name: bad}) == name


@pytest.mark.parametrize(
    "way_out",
    [{"action": "close"}, {"action": "cancel"}, {"action": "sell", "market_position": "Flat"}],
)
def test_a_way_out_is_not_refused_for_what_it_does_not_use(way_out: dict[str, Any]) -> None:
    assert read(**way_out, time_in_force="day", margin_mode="", stop_price=5).action == way_out["action"]
    assert field_at_fault(action="sell", market_position="short", stop_price=5) == "stop_price"


def test_a_margin_mode_has_two_spellings() -> None:
    assert read(margin_mode="Crossed").margin_mode == "cross"
