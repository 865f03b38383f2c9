"""TradingView's placeholders that nobody filled in."""

import difflib
import re
from typing import Any

from fks.domain.errors import Refusal

# tradingview.com/support, "How to use a variable value in alert"
_STRATEGY = (
    "order.action", "order.contracts", "order.price", "order.id", "order.comment", "order.alert_message",
    "position_size", "market_position", "market_position_size", "prev_market_position",
    "prev_market_position_size",
)  # fmt: skip
KNOWN = (
    "ticker", "exchange", "open", "high", "low", "close", "volume", "time", "timenow", "interval",
    "syminfo.currency", "syminfo.basecurrency", *(f"strategy.{name}" for name in _STRATEGY),
)  # fmt: skip

_PLACEHOLDER = re.compile(r"\{\{([^{}]{0,80})\}{0,2}")


def first_in(text: str) -> str | None:
    """What stands between the braces, blanks stripped."""
    found = _PLACEHOLDER.search(text)
    if found is None:
        return None
    name = found[1].strip()
    return name if name.isprintable() else ascii(name)


def refusal(name: str, field: str | None = None) -> Refusal:
    """Says which placeholder, why it was left, and what to write instead."""
    where = f"{field} holds" if field else "the message holds"
    told = f"{where} '{{{{{name[:60]}}}}}', which the sender did not fill in: {_reason(name)}"
    return Refusal("alert.placeholder", told, field)


def _reason(name: str) -> str:
    if name.startswith("strategy.") and name in KNOWN:
        return "TradingView knows {{strategy...}} only in alerts of a strategy, not of an indicator"
    if name.startswith("plot"):
        return 'the indicator has no such plot (the first is {{plot_0}}; by name it is {{plot("Name")}})'
    if name in KNOWN:
        return "TradingView fills it in only when an alert fires, in the alert's own Message field"
    near = difflib.get_close_matches(name.lower(), KNOWN, 1)
    return f"did you mean {{{{{near[0]}}}}}?" if near else "TradingView has no such placeholder"


def check(value: Any, field: str) -> None:
    """Raises Refusal for the first one in the value of `field`, however deep."""
    if isinstance(value, str):
        if "{{" in value and (name := first_in(value)) is not None:
            raise refusal(name, field)
    elif isinstance(value, dict):
        for one in value.values():
            check(one, field)
    elif isinstance(value, list):
        for one in value:
            check(one, field)
