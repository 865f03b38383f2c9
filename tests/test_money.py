"""Numbers that are money: read strictly, rounded only in the safe direction."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.money import floor_to, parse_decimal, plain, price_to, rough

sizes = st.decimals(min_value="1e-18", max_value="1e18", allow_nan=False, allow_infinity=False)
steps = st.sampled_from(["0.00000001", "0.001", "0.05", "0.25", "0.3", "1", "10", "7e2"]).map(Decimal)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("0.01", "0.01"),
        (" 5 ", "5"),
        ("+5.", "5"),
        (".5", "0.5"),
        ("-2e-3", "-0.002"),
        ("1,234.5", "1234.5"),
        ("1,234,567", "1234567"),
        ("6e4", "60000"),
        (5, "5"),
        (0.1, "0.1"),
        (Decimal("1.10"), "1.10"),
        (0, "0"),
        (Decimal("-0.0"), "0"),
        (Decimal("0e999999"), "0"),
    ],
)
def test_numbers_and_decimal_strings_are_read_exactly(given: object, expected: str) -> None:
    number = parse_decimal(given)
    assert number == Decimal(expected)
    assert plain(number) in (expected, expected.rstrip("0"))  # and zero is neither negative nor long


@pytest.mark.parametrize(
    "given",
    [
        "1_000",
        "0x1",
        "٣",
        "１２",
        "Infinity",
        "-inf",
        "NaN",
        "",
        " ",
        "1e",
        "--1",
        "1 000",
        "1,23",
        "1,2345",
        "0,125",  # an eighth in half of the world, never 125
        "00,125",
        "1,234,56",
        "1\n",
        "\u00a01",
        "5%",
        True,
        False,
        None,
        [],
        {},
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        Decimal("1e400"),
        Decimal("1e1000000"),
        Decimal("1e999999999999999999"),
        Decimal("-1e1000000"),
        Decimal("1e-400"),
        "1e400",
        "1e19",
        "1e-19",
        "1.0000000000000000001e18",
        "1" * 65,
        Decimal("1." + "1" * 60),
    ],
)
def test_what_is_no_plain_number_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match=r"number|range|digits"):
        parse_decimal(given)


@pytest.mark.parametrize(
    ("given", "hint"), [("1,5", "write a point"), ("0,125", "write a point"), ("NaN", "no value")]
)
def test_what_is_wrong_is_said(given: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse_decimal(given)


@given(st.text(max_size=30) | st.floats() | st.integers() | st.decimals() | st.booleans() | st.none())
def test_reading_raises_nothing_but_value_error(given: object) -> None:
    try:
        number = parse_decimal(given)
    except ValueError:
        return
    assert number.is_finite()
    assert number == 0 or Fraction(1, 10**18) <= abs(Fraction(number)) <= 10**18


@given(sizes, steps)
def test_an_amount_is_only_rounded_down_and_by_less_than_a_step(value: Decimal, step: Decimal) -> None:
    floored = floor_to(value, step)
    assert Fraction(floored) <= Fraction(value) < Fraction(floored) + Fraction(step)
    assert (Fraction(floored) / Fraction(step)).denominator == 1


def test_seventy_nines_do_not_round_up_to_the_next_step() -> None:
    assert floor_to(Decimal("0." + "9" * 70), Decimal(1)) == 0
    assert price_to(Decimal("0." + "9" * 70), Decimal(1), buying=True) == 0


@given(sizes, steps)
def test_a_buyer_never_bids_more_and_a_seller_never_asks_less(value: Decimal, tick: Decimal) -> None:
    bid, ask = price_to(value, tick, buying=True), price_to(value, tick, buying=False)
    assert Fraction(value) - Fraction(tick) < Fraction(bid) <= Fraction(value)
    assert Fraction(value) <= Fraction(ask) < Fraction(value) + Fraction(tick)
    assert (Fraction(ask) / Fraction(tick)).denominator == 1


def test_a_market_without_a_step_takes_the_value_as_it_is() -> None:
    assert floor_to(Decimal("0.123456789"), Decimal(0)) == Decimal("0.123456789")


@given(sizes)
def test_plain_digits_say_the_same_number_without_an_exponent(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert not set(text) - set("0123456789.")
    assert not ("." in text and text.endswith("0"))


@given(st.decimals(min_value="-1e60", max_value="1e60", allow_nan=False))
def test_a_rough_number_is_short_whatever_its_magnitude(value: Decimal) -> None:
    text = rough(value)
    assert abs(Fraction(text) - Fraction(value)) <= Fraction(1, 10**12)
    assert len(text.partition(".")[2]) <= 12
