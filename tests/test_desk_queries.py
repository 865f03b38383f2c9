"""What the desk shows: lists, single things, and how it answers a wrong question."""

import json
from decimal import Decimal

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from desk_cases import TOKEN, Desk, an_alert, problem_of
from fks.domain.alerts import Action, Alert
from fks.domain.errors import Refusal, Transient
from fks.domain.messages import AccountStatus, Balance, Fill, Intent, IntentState, Position
from fks.domain.orders import State
from memory_journal import MemoryLedger, an_order


async def test_pages_join_without_gap_or_double() -> None:
    desk = Desk(MemoryLedger(order_rows=[an_order(f"q{number}") for number in range(5)]))
    seen, path = [], "/v1/orders?limit=2"
    while path:
        page = await desk.json(path)
        seen += [order["id"] for order in page["orders"]]
        assert len(page["orders"]) <= 2
        path = page["next"] and f"/v1/orders?limit=2&before={page['next']}"
    assert seen == ["q4", "q3", "q2", "q1", "q0"]


async def test_orders_are_filtered_by_state_and_account() -> None:
    orders = [
        an_order("q1"),
        an_order("q2", state=State.OPEN),
        an_order("q3", state=State.OPEN, account="binance"),
    ]
    desk = Desk(MemoryLedger(order_rows=orders))
    found = await desk.json("/v1/orders?state=open&account=binance")
    assert [order["id"] for order in found["orders"]] == ["q3"]
    assert found["next"] is None


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/orders?limit=0", "limit"),
        ("/v1/orders?limit=1001", "limit"),
        ("/v1/orders?limit=-1", "limit"),
        ("/v1/orders?limit=1e2", "limit"),
        ("/v1/orders?limit=%D9%A1", "limit"),
        ("/v1/orders?limit=", "limit"),
        ("/v1/alerts?limit=x", "limit"),
        ("/v1/orders?state=opne", "state"),
        ("/v1/alerts?state=open", "state"),
        ("/v1/events?after=-1", "after"),
        ("/v1/events?after=x", "after"),
        ("/v1/ticker", "symbol"),
        ("/v1/ticker?symbol=BTC/USDT&exchange=nowhere", "exchange"),
    ],
)
async def test_a_wrong_question_names_its_field(path: str, field: str) -> None:
    reply = await Desk().get(path)
    assert reply.status_code == 400
    assert (await problem_of(reply))["field"] == field


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=20))
def test_no_limit_raises_or_lets_more_than_a_thousand_through(text: str) -> None:
    desk = Desk()

    async def ask() -> int:
        client = desk.app.test_client()
        headers = {"Host": "localhost", "Authorization": f"Bearer {TOKEN}"}
        reply = await client.get("/v1/orders", query_string={"limit": text}, headers=headers)
        return int(reply.status_code)

    fine = text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= 1000
    assert trio.run(ask) == (200 if fine else 400)


async def test_an_alert_shows_its_whole_chain_and_no_secret() -> None:
    intent = Intent(
        alert_id="a1",
        account="binance",
        alert=Alert(symbol="BTC/USDT", action=Action.BUY),
        received_at=100.0,
        good_until=400.0,
        state=IntentState.REFUSED,
        code="risk.halted",
        reason="halted",
    )
    fill = Fill(order_id="q1", trade_id="t1", time=101.0, price=Decimal(50000), amount=Decimal(1))
    ledger = MemoryLedger(
        alert_rows=[an_alert("a1")], intents=[intent], order_rows=[an_order("q1")], fills=[fill]
    )
    alert = await Desk(ledger).json("/v1/alerts/a1")
    assert (alert["id"], alert["state"], alert["received_at"]) == ("a1", "done", "1970-01-01T00:01:40.000Z")
    assert alert["intents"] == [
        {"account": "binance", "state": "refused", "code": "risk.halted", "reason": "halted"}
    ]
    assert [order["fills"][0]["trade_id"] for order in alert["orders"]] == ["t1"]
    assert "canary" not in json.dumps(alert)
    listed = await Desk(ledger).json("/v1/alerts?state=done")
    assert [one["id"] for one in listed["alerts"]] == ["a1"]
    assert "canary" not in json.dumps(listed)


@pytest.mark.parametrize("any_id", ["q1", "qc", "x-77"])
async def test_an_order_is_found_by_any_of_its_ids(any_id: str) -> None:
    order = an_order("q1", client_order_id="qc", exchange_order_id="x-77")
    assert (await Desk(MemoryLedger(order_rows=[order])).json(f"/v1/orders/{any_id}"))["id"] == "q1"


@pytest.mark.parametrize("path", ["/v1/orders/q9", "/v1/alerts/a9", "/v1/nothing", "/v1//orders", "/"])
async def test_what_is_not_there_is_a_problem_document(path: str) -> None:
    reply = await Desk().get(path)
    assert reply.status_code == 404
    await problem_of(reply)


async def test_a_wrong_method_tells_the_right_ones() -> None:
    reply = await Desk().send("PUT", "/v1/trading", {})
    assert reply.status_code == 405
    assert {"GET", "POST"} <= set(reply.headers["Allow"].split(", "))
    await problem_of(reply)


async def test_positions_are_filtered_by_account() -> None:
    rows = [
        Position(account=name, symbol="BTC/USDT", amount=Decimal("0.50")) for name in ("paper", "binance")
    ]
    desk = Desk(MemoryLedger(position_rows=rows))
    assert len((await desk.json("/v1/positions"))["positions"]) == 2
    [position] = (await desk.json("/v1/positions?account=paper"))["positions"]
    assert (position["account"], position["amount"]) == ("paper", "0.5")


async def test_balances_are_exact_and_empty_until_they_were_read() -> None:
    desk = Desk()
    balance = Balance(free={"USDT": Decimal("0.10")}, total={"USDT": Decimal("1E+5")})
    desk.accounts["paper"].set(AccountStatus(account="paper", type="paper", balance=balance))
    assert await desk.json("/v1/balance") == {
        "balances": {"paper": {"USDT": {"free": "0.1", "total": "100000"}}, "binance": {}}
    }


async def test_accounts_say_why_they_are_not_ready() -> None:
    [paper, binance] = (await Desk().json("/v1/accounts"))["accounts"]
    assert (paper["account"], paper["ready"], paper["breaker"]) == ("paper", True, "closed")
    assert (binance["mode"], binance["ready"], binance["reason"]) == ("dry_run", False, "starting")


async def test_a_ticker_comes_from_the_default_account_unless_named() -> None:
    desk = Desk()
    assert (await desk.json("/v1/ticker?symbol=BTC/USDT"))["symbol"] == "BTC/USDT at paper"
    named = await desk.json("/v1/ticker?symbol=BTC/USDT&exchange=binance")
    assert (named["symbol"], named["last"]) == ("BTC/USDT at binance", "50000.1")


async def test_an_exchange_without_an_answer_is_a_bad_gateway_and_a_bad_symbol_the_askers_fault() -> None:
    desk = Desk()
    desk.quote = Transient("timed out")
    told = await problem_of(await desk.get("/v1/ticker?symbol=BTC/USDT"))
    assert (told["status"], "timed out" in told["detail"]) == (502, True)
    desk.quote = Refusal("alert.symbol", "no market X", "symbol")
    told = await problem_of(await desk.get("/v1/ticker?symbol=X"))
    assert (told["status"], told["field"], told["code"]) == (400, "symbol", "alert.symbol")


async def test_lint_gets_the_raw_body_whatever_its_content_type() -> None:
    desk = Desk()
    reply = await desk.send(
        "POST", "/v1/lint", b'{"a": 1.0}', Content_Type="application/x-www-form-urlencoded"
    )
    assert desk.linted == [b'{"a": 1.0}']
    assert json.loads(await reply.get_data()) == {"dialect": "native", "amount": "0.10"}
    told = await problem_of(await desk.send("POST", "/v1/lint", b"?"))
    assert (told["status"], told["field"]) == (400, "symbol")


async def test_a_body_over_the_limit_is_refused() -> None:
    desk = Desk()
    reply = await desk.send("POST", "/v1/lint", b"x" * 16_385)
    assert (reply.status_code, desk.linted) == (413, [])
    await problem_of(reply)
    assert (await desk.send("POST", "/v1/lint", b"x" * 16_384)).status_code == 200
