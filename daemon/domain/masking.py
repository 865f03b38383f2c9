"""The daemon's own secrets are never repeated, wherever in an alert its sender has put them. Pure.

A log masks by names (`fks.infra.redact`); here the values are known.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from msgspec import Struct

from fks.domain.errors import Refusal
from fks.domain.secret import Secret

MASK = "***"
_SHORTEST = 8  # characters: what is shorter also stands in words that are no secret


class Masker:
    """Knows the secrets of one configuration. `names` are what it calls its accounts, strategies and
    markets: one of these is no secret, whatever key is the same.
    """

    def __init__(self, secrets: Iterable[Secret] = (), names: Collection[str] = ()) -> None:
        # Standard Webhooks' prefix is no part of a secret, and is often left out.
        texts = {one.reveal().removeprefix("whsec_") for one in secrets}.difference(names)
        # The longest first: one may be a part of another.
        self._texts = sorted((text for text in texts if len(text) >= _SHORTEST), key=len, reverse=True)

    def fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """`fields` themselves when no secret is in them, else a copy without it, in keys and values."""
        whole = "\0".join(_texts(fields))  # looked through once for each secret: this is done for every alert
        return self._masked(fields) if any(secret in whole for secret in self._texts) else fields

    def text(self, text: str) -> str:
        for secret in self._texts:
            text = text.replace(secret, MASK)
        return text

    def refusal(self, refusal: Refusal) -> Refusal:
        field = None if refusal.field is None else self.text(refusal.field)
        return Refusal(refusal.code, self.text(refusal.detail), field)

    def _masked(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(key): self._masked(one) for key, one in value.items()}
            case list():
                return [self._masked(one) for one in value]
        return value


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, one in value.items():
                yield key
                yield from _texts(one)
        case list():
            for one in value:
                yield from _texts(one)


def secrets_in(settings: object) -> Iterator[Secret]:
    """Every secret that a configuration holds, however deep."""
    match settings:
        case Secret():
            yield settings
        case Struct():
            for name in settings.__struct_fields__:
                yield from secrets_in(getattr(settings, name))
        case dict():
            for one in settings.values():
                yield from secrets_in(one)
        case tuple():
            for one in settings:
                yield from secrets_in(one)
