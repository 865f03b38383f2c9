"""The API's own description: complete, and true of real replies."""

import json
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest

from desk_cases import Desk, an_alert
from fks.domain import replies
from fks.domain.alerts import Action, Alert
from fks.domain.messages import AccountStatus, Balance, Fill, Intent, Position
from fks.infra.openapi import OPERATIONS, document
from memory_journal import MemoryLedger, an_order

DOCUMENT: dict[str, Any] = json.loads(document())
FILL = Fill(order_id="q1", trade_id="t1", time=101.0, price=Decimal(50000), amount=Decimal("0.10"))
INTENT = Intent(
    alert_id="a1",
    account="binance",
    alert=Alert(symbol="BTC/USDT", action=Action.BUY),
    received_at=100.0,
    good_until=400.0,
)


def a_desk() -> Desk:
    desk = Desk(
        MemoryLedger(
            alert_rows=[an_alert("a1")],
            intents=[INTENT],
            order_rows=[an_order("q1", price=Decimal("1E+3"))],
            fills=[FILL],
            position_rows=[Position(account="paper", symbol="BTC/USDT", amount=Decimal("-0.5"))],
        )
    )
    balance = Balance(free={"USDT": Decimal("0.10")}, total={"BTC": Decimal("1E-8")})
    desk.accounts["paper"].set(AccountStatus(account="paper", type="paper", balance=balance, balance_at=1.0))
    return desk


def check(value: Any, schema: dict[str, Any]) -> None:
    """Raises ValidationError when the value is not what the schema says, or has members it does not name."""
    strict = json.loads(json.dumps({**schema, "components": DOCUMENT["components"]}))
    for component in strict["components"]["schemas"].values():
        if "properties" in component:
            component["additionalProperties"] = False
    jsonschema_rs.Draft202012Validator(strict, validate_formats=True).validate(value)


def test_every_route_of_the_desk_is_in_it() -> None:
    rules = [rule for rule in Desk().app.url_map.iter_rules() if not rule.rule.startswith("/console")]
    routes = {(method, rule.rule) for rule in rules for method in rule.methods or ()}
    shown = {(one.method, one.path) for one in OPERATIONS}
    of_the_door = {("POST", "/webhook"), ("POST", "/webhook/tradingview")}
    assert {route for route in routes if route[0] not in ("HEAD", "OPTIONS")} == shown - of_the_door


async def test_the_desk_serves_it() -> None:
    assert await a_desk().json("/openapi.json") == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1.")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        *((one.path, one.path) for one in OPERATIONS if one.method == "GET" and "<" not in one.path),
        ("/v1/alerts/{alert_id}", "/v1/alerts/a1"),
        ("/v1/orders/{order_id}", "/v1/orders/q1"),
        ("/v1/ticker", "/v1/ticker?symbol=BTC/USDT"),
    ],
)
async def test_replies_are_what_it_says(path: str, asked: str) -> None:
    responses = DOCUMENT["paths"][path]["get"]["responses"]
    media, content = next(iter(responses["200"]["content"].items()))
    if media == "text/event-stream":
        return
    reply = await a_desk().get(asked)
    expected = responses[str(reply.status_code)]["content"]
    assert (reply.content_type or "").split(";")[0] in expected
    if media == "application/json":
        schema = next(iter(expected.values()))["schema"]
        check(json.loads(await reply.get_data()), schema)
    else:
        assert content == {"schema": {"type": "string"}}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/trading", {"state": "reduce", "account": "paper"}),
        ("POST", "/v1/trading", {"state": "off"}),
        ("POST", "/v1/cancel", {"account": None}),
        ("DELETE", "/v1/orders/{order_id}", None),
    ],
)
async def test_changes_are_answered_as_it_says(method: str, path: str, body: Any) -> None:
    reply = await a_desk().send(method, path.replace("{order_id}", "q1"), body)
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    schema = next(iter(responses[str(reply.status_code)]["content"].values()))["schema"]
    check(json.loads(await reply.get_data()), schema)


def test_what_a_sender_is_told_is_what_it_says() -> None:
    told = replies.success("a1", INTENT.alert, [an_order("q1")])
    schema = DOCUMENT["paths"]["/webhook"]["post"]["responses"]["200"]["content"]["application/json"][
        "schema"
    ]
    check(json.loads(json.dumps(told)), schema)
    check({"status": "accepted", "alert_id": "a1"}, schema)
    with pytest.raises(jsonschema_rs.ValidationError):
        check({"status": "accepted"}, schema)


def test_a_native_alert_passes_its_schema() -> None:
    schema = {"$ref": "#/components/schemas/Alert"}
    raw = {
        "symbol": "BTC/USDT", "action": "buy", "confidence": 0.85, "timestamp": "2025-11-07T10:30:00Z",
        "exchange": "binance", "amount": "0.01", "order_type": "limit", "price": 50000.0, "secret": "x",
        "take_profit": [{"percent": 2, "share": 0.5}, 52000], "stop_loss": {"offset": 500},
    }  # fmt: skip
    check(raw, schema)
    for wrong in ({"action": "hold"}, {"amount": True}, {"symbol": None}):
        with pytest.raises(jsonschema_rs.ValidationError):
            check({**raw, **wrong}, schema)
