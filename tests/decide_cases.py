"""The decision, asked with harmless settings."""

import pytest

from fks.domain.decide import decide
from fks.domain.errors import Refusal
from fks.domain.messages import Intent, Order
from fks.domain.settings import RiskSettings
from fks.domain.view import Rules, View
from makers import view

FREE = RiskSettings()  # no limits


def planned(of: Intent, known: View | None = None, limits: RiskSettings = FREE) -> tuple[Order, ...]:
    decision = decide(of, known or view(), Rules(limits=limits))
    assert decision.cancel == (), decision
    return decision.orders


def refusal(of: Intent, known: View | None = None, limits: RiskSettings = FREE) -> str:
    with pytest.raises(Refusal) as caught:
        decide(of, known or view(), Rules(limits=limits))
    return caught.value.code
