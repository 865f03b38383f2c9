"""Numbers that are money: strict in, exact inside, rounded only in the safe direction."""

import re
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Context, Decimal, localcontext

ZERO = Decimal(0)

_PLAIN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
# Never "0,125": somewhere that is an eighth, and reading it as 125 would cost a thousandfold.
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_LARGEST = Decimal("1e18")
_SMALLEST = Decimal("1e-18")
_DIGITS = 60


def parse_decimal(value: object) -> Decimal:
    """A finite decimal from a JSON number or a decimal string (`1,234.5` has its separators removed).

    Raises ValueError for booleans, NaN, infinities, `1_000`, other digits than ASCII's, and for more
    than 60 digits or magnitudes outside 1e-18..1e18: no market has them, and they break arithmetic
    further on.
    """
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, str):
        text = value.strip(" ")
        if len(text) > 64 or not (_PLAIN.fullmatch(text) or _GROUPED.fullmatch(text)):
            raise ValueError(_not_decimal(text))
        number = Decimal(text.replace(",", ""))
    elif isinstance(value, int) and not isinstance(value, bool):
        number = Decimal(value)
    elif isinstance(value, float):
        number = Decimal(repr(value))
    else:
        raise ValueError("not a number")
    if not number.is_finite():
        raise ValueError("not a finite number")
    if len(number.as_tuple().digits) > _DIGITS:
        raise ValueError(f"more than {_DIGITS} digits")
    if not number:
        return ZERO
    # `adjusted` first: abs() itself overflows for what only Decimal's constructor can hold
    if not -19 < number.adjusted() < 19 or not _SMALLEST <= abs(number) <= _LARGEST:
        raise ValueError("out of range (1e-18 to 1e18)")
    return number


def _not_decimal(text: str) -> str:
    if text.lower() in ("nan", "na", "null", "undefined"):
        return f"not a number: the sender had no value ({text})"
    if "," in text and _PLAIN.fullmatch(text.replace(",", ".", 1)):
        return f"not a decimal number: {text} may be a fraction or thousands; write a point, and no comma"
    return "not a decimal number"


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` not above `value` (amounts: never more than was asked for)."""
    return _to_multiple(value, step, ROUND_DOWN)


def price_to(value: Decimal, tick: Decimal, *, buying: bool) -> Decimal:
    """`value` on the grid of `tick`, passively: a buyer never bids more, a seller never asks less."""
    return _to_multiple(value, tick, ROUND_FLOOR if buying else ROUND_CEILING)


def _to_multiple(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    if step <= 0:
        return value
    with localcontext(Context(prec=_DIGITS, rounding=rounding)):  # the division must not round back
        return (value / step).to_integral_value(rounding=rounding) * step.normalize()


def rough(value: Decimal) -> str:
    """At most 12 decimals: for what a human reads, of any magnitude."""
    return plain(Decimal(f"{value:.12f}"))


def percent(share: Decimal) -> str:
    """A share of 1 in percent, with six digits: what is just over a limit must not read as the limit."""
    return f"{plain(Context(prec=6).multiply(share, 100))}%"


def plain(value: Decimal) -> str:
    """Digits without an exponent or trailing zeros, as users and exchanges write numbers."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
