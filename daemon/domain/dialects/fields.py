"""A foreign message's fields, each taken once, so that nothing it says is overlooked.

What is neither taken nor known to be harmless is refused by name: a stop loss that was silently dropped
would cost more than an alert that was refused.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Self, TypeVar

from fks.domain.errors import Refusal
from fks.domain.money import parse_decimal

T = TypeVar("T")

_SHOWN = 40  # characters of a stranger's text that a refusal repeats


def unsupported(field: str, detail: str) -> Refusal:
    """A refusal of something that the format can say and fks cannot do (or could only guess)."""
    return Refusal("dialect.unsupported", f"{field}: {detail}", field)


def several(detail: str) -> Refusal:
    return Refusal("dialect.several", f"{detail}: one alert is one order with its stop and take profits")


def pairs(found: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """By name; what is there more than once becomes a list, which `Fields` refuses where it is read."""
    lists: dict[str, list[Any]] = {}
    for name, value in found:
        lists.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in lists.items()}


def risked(money: Decimal, stop: Mapping[str, Decimal], entry: Decimal | None) -> dict[str, Decimal]:
    """The native size that loses `money` (quote) between the entry and `stop`: money / distance.

    Empty when the distance is not known before the fill.
    """
    if "offset" in stop:
        return {"amount": money / stop["offset"]}
    if "percent" in stop:
        return {"notional": money * 100 / stop["percent"]}
    if entry is not None and "price" in stop and entry != stop["price"]:
        return {"amount": money / abs(entry - stop["price"])}
    return {}


def shortened(text: str) -> str:
    """A stranger's text, fit to be repeated in a refusal."""
    text = text[:_SHOWN]
    return text if text.isprintable() else ascii(text)


def one_of(choices: Collection[str]) -> str:
    return ", ".join(sorted(choices))


class Fields:
    """`null` is absent. Every method that reads raises Refusal naming the field as its vendor spells it."""

    def __init__(self, given: Mapping[str, Any], within: str = "") -> None:
        self._left = {name: value for name, value in given.items() if value is not None}
        self._within = within

    def name(self, field: str) -> str:
        return f"{self._within}.{field}" if self._within else field

    def take(self, field: str) -> Any:
        return self._left.pop(field, None)

    def _single(self, field: str) -> Any:
        value = self.take(field)
        if isinstance(value, list):
            raise several(f"{self.name(field)} is there more than once")
        return value

    def text(self, field: str) -> str | None:
        """Text, or a bare number as text (ids); an empty one is absent."""
        value = self._single(field)
        if isinstance(value, Decimal):
            return str(value)
        if value is None or isinstance(value, str):
            return value.strip() or None if value else None
        raise Refusal("alert.schema", f"{self.name(field)} is not text", self.name(field))

    def needed(self, field: str) -> str:
        value = self.text(field)
        if value is None:
            raise Refusal("alert.missing", f"the field {self.name(field)!r} is required", self.name(field))
        return value

    def word(self, field: str, meanings: Mapping[str, T]) -> T | None:
        """What one of a fixed set of words means; case does not matter."""
        value = self.text(field)
        if value is None:
            return None
        if (known := value.lower()) in meanings:
            return meanings[known]
        raise unsupported(self.name(field), f"{value[:_SHOWN]!r} is not one of {one_of(meanings)}")

    def number(self, field: str) -> Decimal | None:
        """Above zero."""
        value = self._single(field)
        if value is None:
            return None
        number = to_number(self.name(field), value)
        if number <= 0:
            raise Refusal("alert.number", f"{self.name(field)} must be above zero", self.name(field))
        return number

    def flag(self, field: str) -> bool:
        value = self.take(field)
        if isinstance(value, bool):
            return value
        meaning = {"true": True, "1": True, "false": False, "0": False, "": False, "none": False}
        text = str(value).strip().lower()
        if text in meaning:
            return meaning[text]
        raise unsupported(self.name(field), "is neither true nor false")

    def inner(self, field: str) -> Self | None:
        value = self.take(field)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise Refusal("alert.schema", f"{self.name(field)} is not an object", self.name(field))
        return type(self)(value, self.name(field))

    def refuse(self, names: Collection[str], why: str) -> None:
        for name in names:
            if name in self._left:
                raise unsupported(self.name(name), why)

    def finish(
        self, known: Collection[str] = (), harmless: Collection[str] = (), *, strict: bool = False
    ) -> None:
        """Refuses what is left, but for what is `harmless` and, unless `strict`, what the vendor does not
        know either. A name that is nearly a known one is a slip, not an unknown field.
        """
        spelt = {_bare(name): name for name in known}
        for name in self._left:
            if name in harmless:
                continue
            shown = self.name(shortened(name))
            if name in known:
                raise unsupported(shown, "does not go with the rest of this alert")
            if _bare(name) in spelt:
                raise unsupported(shown, f"did you mean {spelt[_bare(name)]!r}?")
            if strict:
                raise unsupported(shown, "fks does not know this; take it out")


def to_number(name: str, value: object) -> Decimal:
    try:
        return parse_decimal(value)
    except ValueError as error:
        raise Refusal("alert.number", f"{name}: {error}", name) from None


def _bare(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
