"""The decision, asked with harmless settings."""

import pytest

from fks.domain.decide import View, decide
from fks.domain.errors import Refusal
from fks.domain.messages import Intent, Order
from fks.domain.settings import RiskSettings, SizingSettings
from makers import view

SIZE = SizingSettings()
FREE = RiskSettings()  # no limits


def planned(of: Intent, known: View | None = None, limits: RiskSettings = FREE) -> tuple[Order, ...]:
    decision = decide(of, known or view(), SIZE, limits)
    assert decision.cancel == (), decision
    return decision.orders


def refusal(of: Intent, known: View | None = None, limits: RiskSettings = FREE) -> str:
    with pytest.raises(Refusal) as caught:
        decide(of, known or view(), SIZE, limits)
    return caught.value.code
