"""The daemon's own secrets are never repeated, wherever in an alert they stand."""

from decimal import Decimal
from typing import Any

import pytest

from fks.domain.errors import Refusal
from fks.domain.masking import Masker, secrets_in
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings, Settings, StrategySettings, WebhookSecret, WebhookSettings

KEY, LONGER = "canary-key", "canary-key-and-more"
MASKER = Masker([Secret(KEY), Secret(LONGER), Secret("whsec_Y2FuYXJ5"), Secret("short"), Secret("")])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"a": KEY}, {"a": "***"}),
        ({"a": f"x{LONGER}y{KEY}"}, {"a": "x***y***"}),
        ({"a": [{"b": [KEY, 1]}]}, {"a": [{"b": ["***", 1]}]}),
        ({"a": {f"my {KEY}": None}}, {"a": {"my ***": None}}),
        ({"a": "Y2FuYXJ5 whsec_Y2FuYXJ5"}, {"a": "*** whsec_***"}),
    ],
)
def test_a_secret_is_masked_in_keys_and_values_however_deep(
    given: dict[str, Any], told: dict[str, Any]
) -> None:
    before = repr(given)
    assert MASKER.fields(given) == told
    assert repr(given) == before, "what was sent is left as it is: its digest is still to be taken"


def test_an_alert_without_a_secret_is_not_even_copied() -> None:
    fields = {"a": "a short word", "b": [True, None, Decimal(1), {"c": "canary"}]}
    assert MASKER.fields(fields) is fields
    assert Masker().fields(fields) is fields


def test_what_the_configuration_itself_calls_something_is_no_secret() -> None:
    named = Masker([Secret("my-account"), Secret(KEY)], {"my-account"})
    assert named.text(f"my-account {KEY}") == "my-account ***"


def test_a_refusal_is_told_without_it() -> None:
    told = MASKER.refusal(Refusal("alert.json", f"the key {KEY!r}", KEY))
    assert (told.code, told.detail, told.field) == ("alert.json", "the key '***'", "***")


def test_every_secret_of_a_configuration_is_known() -> None:
    settings = Settings(
        webhook=WebhookSettings(secrets=(WebhookSecret(secret=Secret("one")),)),
        strategies={"trend": StrategySettings(secret=Secret("two"))},
        exchanges={"alice": AccountSettings(api_key=Secret("three"), twofa=Secret("four"))},
    )
    assert {one.reveal() for one in secrets_in(settings)} - {""} == {"one", "two", "three", "four"}
