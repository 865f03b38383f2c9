"""What an alert would do, in plain words."""

from typing import Any

import pytest

from dialect_cases import body
from fks.domain.gate import GateRules
from fks.domain.preview import UNSIGNED, WRONG, read
from fks.domain.secret import Secret
from fks.domain.settings import SizingSettings, StrategySettings, WebhookSecret, WebhookSettings
from makers import NOW

SECRETS = (WebhookSecret(secret=Secret("right"), name="tv"),)
STRATEGIES = {"trend": StrategySettings(sizing=SizingSettings())}
RULES = GateRules(SECRETS, WebhookSettings(), frozenset({"paper"}), "paper", STRATEGIES)
BUY = {"symbol": "BTCUSDT", "action": "buy", "confidence": 1, "timestamp": NOW}


def told(**fields: Any) -> dict[str, Any]:
    report, new = read(body(BUY | fields), RULES, lambda _account: None, NOW)
    assert (new is None) is ("refusal" in report)
    return report


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "buys BTCUSDT, at market"),
        ({}, "size: as the account's own sizing and [sizing] say"),
        ({"strategy": "trend"}, "size: as [strategies.trend], the account's own sizing and [sizing] say"),
        ({"sizing": {"pct": 0.1}}, "size: as the alert's own sizing says"),
        ({"amount": "0.50"}, "size: 0.5 in base units"),
        ({"notional": 100}, "size: for 100 of the quote currency"),
        ({"percent": 5}, "size: 5 % of the equity"),
        ({"order_type": "limit", "price": 5}, "buys BTCUSDT, limit at 5"),
        ({"order_type": "stop", "stop_price": 5}, "buys BTCUSDT, stop at 5"),
        ({"order_type": "stop_limit", "stop_price": 5, "price": 6}, "buys BTCUSDT, stop limit at 5, limit 6"),
        (
            {"order_type": "trailing_stop", "trail_percent": 1},
            "buys BTCUSDT, trailing stop, 1 % behind the market",
        ),
        ({"stop_loss": {"percent": 2}}, "stop loss: 2 % from the entry"),
        ({"stop_loss": 48000}, "stop loss: at 48000"),
        (
            {"take_profit": [{"price": 9, "share": 0.5}, {"offset": 4, "share": 0.5}]},
            "take profit: at 9 for 50 % of it, 4 from the entry for 50 % of it",
        ),
        ({"reduce_only": True}, "only reduces a position"),
        (
            {"action": "sell", "market_position": "flat", "prev_market_position": "long"},
            "for its strategy it is: close (long before, flat after)",
        ),
        ({"action": "close"}, "closes the position in BTCUSDT at market"),
        (
            {"action": "close", "position_side": "long", "share": 0.25},
            "closes 25 % of the position (long only) in BTCUSDT at market",
        ),
        (
            {"action": "close", "amount": "0.40"},
            "closes 0.4 (in base units, or all there is) of the position in BTCUSDT at market",
        ),
        (
            {"action": "cancel", "position_side": "short"},
            "cancels the open entries (short only) of BTCUSDT; positions and stops stay",
        ),
    ],
)
def test_each_thing_is_one_line(fields: dict[str, Any], line: str) -> None:
    report = told(secret="right", **fields)
    assert report["accepted"]
    assert line in report["does"]


def test_the_secret_is_judged_and_never_repeated() -> None:
    assert told(secret="right")["secret"] == "valid (tv)"
    unsigned, wrong = told(), told(secret="canary-1")
    assert (unsigned["secret"], unsigned["accepted"]) == (UNSIGNED, True)
    assert (wrong["secret"], wrong["accepted"]) == (WRONG, False)
    assert "canary" not in repr(wrong)


def test_a_refusal_names_the_format_and_the_field() -> None:
    report, new = read(b"1,buy,BTCUSD,risk=1", RULES, lambda _account: None, NOW)
    assert new is None
    assert report["dialect"] == "pineconnector"
    assert (report["refusal"]["code"], report["refusal"]["field"]) == ("dialect.unsupported", "risk")
    assert told(price="1,5")["refusal"]["field"] == "price"
