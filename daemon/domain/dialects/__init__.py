"""The formats in which alerts come, recognised by their shape and mapped to the native alert.

`recognise` finds the format and the credential that the body holds, and tells nobody anything yet;
`Message.alert` maps it, for a sender that is known. Foreign formats have no confidence: they count as
fully confident. To the JSON ones a user may add fks's own `secret`, `exchange(s)`, `strategy`,
`confidence` and `comment`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from fks.domain.alerts import SECRET_FIELD, Alert, parse_json
from fks.domain.dialects import (
    alertatron,
    octobot,
    okx,
    pineconnector,
    placeholders,
    poabot,
    three_commas,
    traderspost,
)  # fmt: skip
from fks.domain.errors import Refusal
from fks.domain.secret import Secret

NATIVE = "native"

Raw = dict[str, Any]


class Dialect(Struct, frozen=True):
    """Of a text `read` makes fields, or None when it is another format; of a JSON object `fits` says
    whether it is this one, and `known` are the names that its vendor gives a meaning.

    `secrets`: the fields that authenticate, the first one that is there counts; none is ever stored.
    """

    name: str
    translate: Callable[[Mapping[str, Any]], Raw]
    secrets: tuple[str, ...]
    read: Callable[[str], Raw | None] = lambda _text: None
    fits: Callable[[Mapping[str, Any]], bool] = lambda _fields: False
    known: frozenset[str] = frozenset()


TEXTS = (
    Dialect("alertatron", alertatron.translate, ("secret",), read=alertatron.read),
    Dialect("octobot", octobot.translate, ("TOKEN",), read=octobot.read),
    Dialect("pineconnector", pineconnector.translate, ("secret", "license"), read=pineconnector.read),
)
OBJECTS = (
    Dialect(
        "3commas",
        three_commas.translate,
        ("secret", "bot_uuid"),
        fits=three_commas.fits,
        known=three_commas.KNOWN,
    ),
    Dialect("okx", okx.translate, ("secret", "signalToken"), fits=okx.fits, known=okx.KNOWN),
    Dialect("poabot", poabot.translate, ("secret", "password"), fits=poabot.fits, known=poabot.KNOWN),
    Dialect(
        "traderspost", traderspost.translate, ("secret",), fits=traderspost.fits, known=traderspost.KNOWN
    ),
)
BY_NAME = {one.name: one for one in (*TEXTS, *OBJECTS)}
NAMES = (NATIVE, *sorted(BY_NAME))

_NATIVE_FIELDS = frozenset(Alert.__struct_fields__)
_OWN = ("exchange", "exchanges", "strategy", "confidence", "comment")
# A body that is no valid JSON may still say who sent it, and then the sender is told what is wrong with it.
_BROKEN_SECRETS = (
    re.compile(r'"(?:secret|signalToken|password)"\s{0,9}:\s{0,9}"([^"\\]{1,200})"'),
    re.compile(r"\b(?:secret|TOKEN)\s{0,9}=\s{0,9}([^\s,;]{1,200})"),
)


class Message(Struct, frozen=True):
    """A body whose format is known. `fields` are as sent, without what authenticates."""

    dialect: str
    fields: Raw
    secret: Secret | None = None

    def alert(self) -> Raw:
        """The native alert as `parse_alert` reads it; a foreign one with its `dialect` and `original`.

        Raises Refusal, also for what the format can say and fks cannot do.
        """
        foreign = BY_NAME.get(self.dialect)
        for name, value in self.fields.items():
            if foreign or name in _NATIVE_FIELDS:
                placeholders.check(value, name)
        if foreign is None:
            return self.fields
        ours = [name for name in _OWN if name not in foreign.known] if foreign in OBJECTS else []
        own = {name: value for name, value in self.fields.items() if name in ours}
        theirs = {name: value for name, value in self.fields.items() if name not in ours}
        native = {name: value for name, value in foreign.translate(theirs).items() if value is not None}
        return {"confidence": 1, **native, **own, "dialect": self.dialect, "original": self.fields}


def recognise(body: bytes) -> Message:
    """The body's format and credential. Raises Refusal when it is none of the formats.

    It trusts nobody yet: time and memory are bounded by the body's size.
    """
    if body.lstrip()[:1] != b"{":
        text = body.decode("utf-8", "replace")
        for dialect in TEXTS:
            if "\ufffd" not in text and (fields := dialect.read(text)) is not None:
                return _message(dialect.name, fields, dialect.secrets)
    try:
        raw = parse_json(body)
    except Refusal as refusal:
        raise _explained(refusal, body) from None
    if "symbol" not in raw:
        for dialect in OBJECTS:
            if dialect.fits(raw):
                return _message(dialect.name, raw, dialect.secrets)
    return _message(NATIVE, raw, (SECRET_FIELD,))


def _message(name: str, fields: Raw, secrets: tuple[str, ...]) -> Message:
    given = [fields.pop(field) for field in secrets if field in fields]
    secret = given[0] if given and isinstance(given[0], str) else None
    return Message(name, fields, Secret(secret) if secret is not None else None)


def secret_in(body: bytes) -> Secret | None:
    """The credential in a body that `recognise` refused: an authentic sender is told what is wrong."""
    text = body.decode("utf-8", "replace")
    found = next((hit for pattern in _BROKEN_SECRETS if (hit := pattern.search(text))), None)
    return Secret(found[1]) if found else None


def _explained(refusal: Refusal, body: bytes) -> Refusal:
    text = body.decode("utf-8", "replace")
    if refusal.code == "alert.json" and (name := placeholders.first_in(text)) is not None:
        return placeholders.refusal(name)
    if refusal.code == "alert.json" and not text.lstrip().startswith(("{", "[")):
        detail = (
            f"{refusal.detail}, nor is it any of {', '.join(BY_NAME)}: `fks template` prints what to send"
        )
        return Refusal(refusal.code, detail)
    return refusal
