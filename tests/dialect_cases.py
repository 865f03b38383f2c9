"""What becomes of a foreign message, by way of bytes as every alert comes."""

import json
from typing import Any

import pytest

from fks.domain.alerts import Alert, parse_alert
from fks.domain.dialects import recognise
from fks.domain.errors import Refusal


def body(message: str | dict[str, Any]) -> bytes:
    return (message if isinstance(message, str) else json.dumps(message)).encode()


def understood(dialect: str, message: str | dict[str, Any]) -> Alert:
    found = recognise(body(message))
    assert found.dialect == dialect
    return parse_alert(found.alert())


def means(dialect: str, message: str | dict[str, Any], **expected: Any) -> None:
    """That the alert says exactly this: every other field has its default."""
    plain = parse_alert({"symbol": "X", "action": "buy"})
    alert = understood(dialect, message)
    told = {
        name: getattr(alert, name)
        for name in Alert.__struct_fields__
        if getattr(alert, name) != getattr(plain, name) or name in ("symbol", "action")
    }
    assert told.pop("confidence") == 1
    assert told == expected


def refused(dialect: str, message: str | dict[str, Any]) -> tuple[str, str | None]:
    """The code, and the field at fault as its vendor spells it."""
    with pytest.raises(Refusal) as caught:
        understood(dialect, message)
    return caught.value.code, caught.value.field
