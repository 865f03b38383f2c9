"""Reading an alert by way of bytes, as every alert comes."""

import json
from typing import Any

import pytest

from fks.domain.alerts import Alert, parse_alert, parse_json
from fks.domain.errors import Refusal

BUY = {"symbol": "BTC/USDT", "action": "buy"}


def read(**fields: Any) -> Alert:
    return parse_alert(parse_json(json.dumps({**BUY, **fields}).encode()))


def refused(body: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse_alert(parse_json(body))
    return caught.value


def field_at_fault(**fields: Any) -> str | None:
    return refused(json.dumps({**BUY, **fields}).encode()).field
