"""What a secret does to an alert, beside letting it in: it is never repeated, and it may tell two apart."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fks.domain.errors import Refusal
from fks.domain.masking import Masker
from fks.domain.messages import NewAlert
from fks.domain.secret import Secret
from fks.domain.settings import StrategySettings
from makers import NOW, admit
from test_gate import GOOD, INDEX, SECRET, TREND, post, routed, rules, send

KNOWN = replace(rules(), known=Masker([SECRET]))


@pytest.mark.parametrize("secret", [SECRET.reveal(), f"my {SECRET.reveal()}!"])
def test_a_secret_in_any_other_field_is_not_stored_and_the_names_are_of_what_was_sent(secret: str) -> None:
    stray = {"comment": secret, "id": secret, "meta": {"token": secret, secret: [secret]}}
    new, plain = send(KNOWN, **stray), send(**stray)
    assert "canary" not in repr(new)
    assert new.alert.comment == new.alert.id == new.body["comment"] == secret.replace(SECRET.reveal(), "***")
    assert (new.id, new.key, new.digest) == (plain.id, plain.key, plain.digest)
    assert replace(new.alert, comment=None, id=None) == send(KNOWN).alert


@pytest.mark.parametrize(
    "fields",
    [
        {"symbol": SECRET.reveal()},
        {"symbol": "BTC" + SECRET.reveal(), "exchange": "binance"},
        {"exchange": SECRET.reveal()},
        {"exchanges": ["paper", SECRET.reveal()]},
        {"strategy": SECRET.reveal()},
        {"order_type": SECRET.reveal()},
        {"amount": SECRET.reveal()},
        {"take_profit": {SECRET.reveal(): 1}},
        {"sizing": {"method": SECRET.reveal()}},
    ],
)
def test_a_secret_in_what_is_traded_is_refused_without_being_repeated(fields: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        send(KNOWN, **fields)
    assert (caught.value.code, caught.value.field) == ("alert.secret", next(iter(fields)))
    assert "canary" not in caught.value.detail


def test_a_broken_body_is_told_of_without_its_secret() -> None:
    with pytest.raises(Refusal) as caught:
        post(f'{{"{SECRET.reveal()}": 1, "{SECRET.reveal()}": 2}}'.encode(), KNOWN)
    assert "'***' appears twice" in caught.value.detail


def test_what_a_secret_adds_to_an_alert_tells_it_from_the_same_words_of_another_sender() -> None:
    """Two strategies with the same message and a secret each: neither may be taken for the other's."""
    two = routed(trend=TREND, grid=StrategySettings(secret=Secret("canary-of-the-grid")))

    def by(secret: str, **fields: Any) -> NewAlert:
        body = json.dumps({**GOOD, "id": "x", "exchange": "paper", **fields, "secret": secret}).encode()
        return admit({}, body, two, {"paper": INDEX}.get, NOW)

    trend, grid = by("canary-of-the-trend"), by("canary-of-the-grid")
    assert trend.key == grid.key
    assert trend.digest != grid.digest
    assert trend.digest == by("canary-of-the-trend", strategy="trend").digest
