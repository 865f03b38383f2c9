"""A plain tree becomes frozen structs, and every mistake in it is named, not only the first.

(msgspec's own decoder stops at the first mistake and cannot name the nearest key; the structs are its.)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from types import UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

from fks.domain.dotted import join
from fks.domain.money import parse_decimal
from fks.domain.secret import Secret
from fks.domain.settings import Moment, Settings, WebhookSecret
from fks.infra.config_rules import KEYS, VALUES, Rule
from fks.infra.references import References

S = TypeVar("S", bound=Struct)

FAILED: Final = object()
"""Stands for a value whose mistake was reported already."""


class Opaque(dict[str, Any]):
    """A table passed on unread, so it may hold keys: printing it tells nothing."""

    def __repr__(self) -> str:
        return "{***}"

    __str__ = __repr__


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    by_lower = {one.lower(): one for one in known}
    found = get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def dotted_names(cls: type[Struct], path: str = "") -> Iterator[str]:
    """Every key there is; `NAME` stands for a word of the user's own."""
    for field in fields(cls):
        here, kind = join(path, field.name), field.type
        yield here
        if get_origin(kind) is dict:
            here, kind = f"{here}.NAME", get_args(kind)[1]
        if get_origin(kind) in (UnionType, Union):
            kind = get_args(kind)[0]
        if isinstance(kind, type) and issubclass(kind, Struct):
            yield from dotted_names(kind, here)


class Decoder:
    """Collects `errors` (`key.path: what is wrong (what to do)`) in the order of the file.

    `literal_secrets`: whether a secret stands in the file itself instead of a reference to it.
    """

    def __init__(self, references: References) -> None:
        self.errors: list[str] = []
        self.failed: set[str] = set()
        self.literal_secrets = False
        self._references = references

    def report(self, path: str, problem: str) -> None:
        self.errors.append(f"{path}: {problem}")
        self.failed.add(path)

    def table(self, raw: Mapping[Any, Any], cls: type[S], path: str = "") -> S:
        """`raw` as a `cls`; a field in error has its default, and its path is in `failed`."""
        known = {field.name: field for field in fields(cls)}
        good: dict[str, Any] = {}
        for key, one in self._items(raw, path):
            here = join(path, key)
            if key not in known:
                self.report(here, f"unknown key ({self._did_you_mean(key, known, path)})")
                continue
            owner = (cls, key)
            value = self._value(one, known[key].type, here, VALUES.get(owner), KEYS.get(owner))
            if value is not FAILED:
                good[key] = value
        return cls(**good)

    def _items(self, raw: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Any]]:
        for key, value in raw.items():
            if isinstance(key, str):
                yield key, value
            else:  # YAML reads `on` and `1` as other things than words
                self.report(join(path, str(key)), "the key is not text (put it in quotes)")

    def _did_you_mean(self, key: str, known: Iterable[str], path: str) -> str:
        # A key below the wrong [table] is TOML's own trap.
        for name in dotted_names(Settings):
            if name.rpartition(".")[2] == key:
                return f"did you mean {name}?"
        close = nearest(key, known)
        return f"did you mean {join(path, close)}?" if close else f"known here: {', '.join(known)}"

    def _value(self, raw: Any, kind: Any, path: str, rule: Rule | None, key_rule: Rule | None = None) -> Any:
        origin = get_origin(kind)
        if origin in (UnionType, Union):  # X | None: TOML has no null, an absent key is the None
            kind = get_args(kind)[0]
            origin = get_origin(kind)
        if raw is None:
            self.report(path, "has no value (write one or remove the key)")
            return FAILED
        if kind is WebhookSecret and isinstance(raw, str):  # a list's item without a scope
            secret = self._scalar(raw, Secret, path, VALUES[WebhookSecret, "secret"])
            return FAILED if secret is FAILED else WebhookSecret(secret=secret)
        if origin is dict or (isinstance(kind, type) and issubclass(kind, Struct)):
            if isinstance(raw, Mapping):
                return self._mapping(raw, kind, path, rule, key_rule)
            self.report(path, f"must be a table (write [{path}] or {{ key = value }})")
            return FAILED
        if origin is tuple:
            return self._list(raw, get_args(kind)[0], path, rule)
        return self._scalar(raw, kind, path, rule)

    def _mapping(
        self, raw: Mapping[Any, Any], kind: Any, path: str, rule: Rule | None, key_rule: Rule | None
    ) -> Any:
        if get_origin(kind) is not dict:
            return self.table(raw, kind, path)
        inner = get_args(kind)[1]
        if inner is Any:
            return Opaque((key, self._opaque(one, join(path, key))) for key, one in self._items(raw, path))
        table: dict[str, Any] = {}
        for key, one in self._items(raw, path):
            here = join(path, key)
            if key_rule and (problem := key_rule(key)):
                self.report(here, f"the key {problem}")
            value = self._value(one, inner, here, rule)
            if value is not FAILED:
                table[key] = value
        return table

    def _list(self, raw: Any, kind: Any, path: str, rule: Rule | None) -> Any:
        if not isinstance(raw, list):
            self.report(path, "must be a list (put it in square brackets)")
            return FAILED
        values = [self._value(one, kind, f"{path}[{at}]", rule) for at, one in enumerate(raw)]
        return FAILED if FAILED in values else tuple(values)

    def _scalar(self, raw: Any, kind: Any, path: str, rule: Rule | None) -> Any:
        text = self._expand(raw, path) if isinstance(raw, str) else raw
        if text is FAILED:
            return FAILED
        try:
            value = _choice(text, get_args(kind)) if get_origin(kind) is Literal else _READERS[kind](text)
        except ValueError as error:
            self.report(path, str(error))
            return FAILED
        if kind is Secret and raw and text == raw:
            self.literal_secrets = True
        if rule and (problem := rule(value)):
            self.report(path, problem)
            return FAILED
        return value

    def _expand(self, text: str, path: str) -> Any:
        try:
            return self._references.expand(text)
        except ExceptionGroup as group:
            for error in group.exceptions:
                self.report(path, str(error))
            return FAILED

    def _opaque(self, raw: Any, path: str) -> Any:
        """What ccxt understands: exact decimals become floats again."""
        match raw:
            case str():
                return self._expand(raw, path)
            case Decimal():
                return float(raw)
            case list():
                return [self._opaque(one, f"{path}[{at}]") for at, one in enumerate(raw)]
            case dict():
                return {key: self._opaque(one, join(path, key)) for key, one in self._items(raw, path)}
            case _:
                return raw


def _choice(value: Any, choices: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in choices:
        return value
    close = nearest(value, choices) if isinstance(value, str) else None
    raise ValueError(
        f"must be one of {', '.join(choices)}" + (f" (did you mean {close}?)" if close else " (choose one)")
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text (put it in quotes)")
    if not value.isprintable():
        raise ValueError("holds a character that cannot be printed (remove it)")
    return value


def _secret(value: Any) -> Secret:
    if not isinstance(value, str):
        raise ValueError("must be text (put it in quotes)")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode (write it anew)") from None
    return Secret(value)


def _moment(value: Any) -> Moment:
    """UTC epoch seconds. A date alone is the end of that day; a time without an offset is UTC."""
    form = "must be a date or time (write 2026-12-31 or 2026-12-31T12:00:00Z)"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if len(value) > 10 else date.fromisoformat(value)
        except ValueError:
            raise ValueError(form) from None
    if not isinstance(value, date) or not 2000 <= value.year < 9000:
        raise ValueError(form)
    if isinstance(value, datetime):
        return Moment((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return Moment(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() + 86_400)


def _truth(value: Any) -> bool:
    # The words are what an environment variable can say.
    if value is True or value == "true":
        return True
    if value is False or value == "false":
        return False
    raise ValueError("must be true or false (without quotes)")


def _number(value: Any) -> Decimal:
    try:
        return parse_decimal(value)
    except ValueError as error:
        raise ValueError(f"{error} (write digits, such as 0.05)") from None


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError("not a whole number (write it without a fraction)")
    return int(number)


_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    Secret: _secret,
    bool: _truth,
    int: _whole,
    float: lambda value: float(_number(value)),
    Decimal: _number,
    Moment: _moment,
}
