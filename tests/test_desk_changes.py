"""What the desk changes, and how it says that it cannot."""

import json
from typing import Any

import pytest
import structlog

from desk_cases import Desk, problem_of
from fks.domain.messages import TradingState
from fks.domain.orders import AT_REST, State
from fks.infra.problem import problem
from fks.ledger import JournalFull
from memory_journal import MemoryLedger, an_order


async def test_an_open_order_is_marked_for_cancelling() -> None:
    desk = Desk(MemoryLedger(order_rows=[an_order("q1", exchange_order_id="77", state=State.OPEN)]))
    reply = await desk.send("DELETE", "/v1/orders/77")
    assert reply.status_code == 202
    assert json.loads(await reply.get_data())["state"] == "open"
    assert desk.ledger.changes == [("cancel", ("q1",), "admin", 200.0)]
    assert desk.ledger.order_rows[0].cancel_requested


async def test_an_order_that_was_not_sent_yet_is_canceled_at_once() -> None:
    reply = await Desk(MemoryLedger(order_rows=[an_order("q1")])).send("DELETE", "/v1/orders/q1")
    assert reply.status_code == 202
    assert json.loads(await reply.get_data())["state"] == "canceled"


@pytest.mark.parametrize("state", sorted(AT_REST))
async def test_an_order_at_rest_cannot_be_canceled(state: State) -> None:
    desk = Desk(MemoryLedger(order_rows=[an_order("q1", state=state)]))
    reply = await desk.send("DELETE", "/v1/orders/q1")
    assert reply.status_code == 409
    assert str(state) in (await problem_of(reply))["detail"]
    assert desk.ledger.changes == []


async def test_an_order_that_is_filled_just_before_the_cancel_is_a_conflict() -> None:
    desk = Desk(MemoryLedger(order_rows=[an_order("q1", state=State.OPEN)]))

    def fill() -> None:
        desk.ledger.order_rows[0] = an_order("q1", state=State.FILLED)

    desk.journal.interfere = fill
    assert (await desk.send("DELETE", "/v1/orders/q1")).status_code == 409


async def test_cancelling_what_is_not_there_is_404() -> None:
    assert (await Desk().send("DELETE", "/v1/orders/q1")).status_code == 404


async def test_cancel_takes_one_account_or_all() -> None:
    orders = [
        an_order("q1", state=State.OPEN),
        an_order("q2", state=State.OPEN, account="binance"),
        an_order("q3", state=State.FILLED),
    ]
    desk = Desk(MemoryLedger(order_rows=orders))
    reply = await desk.send("POST", "/v1/cancel", {"account": "binance"})
    assert reply.status_code == 202
    assert [order["id"] for order in json.loads(await reply.get_data())["orders"]] == ["q2"]
    await desk.send("POST", "/v1/cancel", {"account": None})
    assert [change[1] for change in desk.ledger.changes] == [("q2",), ("q1", "q2")]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/cancel", {"acount": "binance"}, None),
        ("/v1/cancel", {}, None),
        ("/v1/cancel", {"account": "nowhere"}, "account"),
        ("/v1/cancel", {"account": 1}, "account"),
        ("/v1/cancel", b"", None),
        ("/v1/cancel", b"\xff", None),
        ("/v1/cancel", b"[]", None),
        ("/v1/trading", {"state": "paused"}, "state"),
        ("/v1/trading", {"account": "paper"}, None),
        ("/v1/trading", {"state": "halted", "account": "nowhere"}, "account"),
        ("/v1/trading", {"state": "halted", "acount": "paper"}, None),
    ],
)
async def test_a_misspelt_command_changes_nothing(path: str, body: Any, field: str | None) -> None:
    desk = Desk(MemoryLedger(order_rows=[an_order("q1")]))
    reply = await desk.send("POST", path, body)
    assert reply.status_code == 400
    assert (await problem_of(reply)).get("field") == field
    assert desk.ledger.changes == []


async def test_the_trading_state_is_set_for_all_or_for_one() -> None:
    desk = Desk()
    everywhere = {
        "state": "active", "accounts": {"paper": "active", "binance": "active"}, "restrictions": [],
    }  # fmt: skip
    assert await desk.json("/v1/trading") == everywhere
    await desk.send("POST", "/v1/trading", {"state": "halted", "account": "paper"})
    reply = await desk.send("POST", "/v1/trading", {"state": "reduce"})
    assert json.loads(await reply.get_data()) == {
        "state": "reduce",
        "accounts": {"paper": "halted", "binance": "active"},
        "restrictions": [
            {"account": name, "state": state, "by": "admin", "at": "1970-01-01T00:03:20.000Z", "why": ""}
            for name, state in (("paper", "halted"), (None, "reduce"))
        ],
    }
    assert desk.ledger.changes == [
        ("trading", "paper", TradingState.HALTED, "admin", 200.0),
        ("trading", None, TradingState.REDUCE, "admin", 200.0),
    ]


# When it cannot


async def test_a_full_journal_says_when_to_come_again() -> None:
    desk = Desk()
    desk.journal.error = JournalFull("the disk is full")
    reply = await desk.send("POST", "/v1/trading", {"state": "halted"})
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")
    assert "the disk is full" in (await problem_of(reply))["detail"]


async def test_a_silent_journal_does_not_let_a_change_look_undone() -> None:
    desk = Desk()
    desk.journal.hangs = True
    reply = await desk.send("POST", "/v1/trading", {"state": "halted"})
    assert reply.status_code == 503
    assert "may still happen" in (await problem_of(reply))["detail"]
    reply = await desk.get("/v1/orders")
    assert reply.status_code == 503
    assert "may still happen" not in (await problem_of(reply))["detail"]


async def test_a_failure_is_logged_and_tells_the_asker_nothing_of_its_inside() -> None:
    desk = Desk()
    desk.journal.error = RuntimeError("canary")
    with structlog.testing.capture_logs() as lines:
        reply = await desk.get("/v1/orders")
    assert reply.status_code == 500
    assert "canary" not in str(await problem_of(reply))
    assert [line["event"] for line in lines] == ["desk_failed"]


def test_a_problem_leaves_out_what_is_not_known() -> None:
    body, headers = problem(400, "", "no symbol", field=None, code="alert.missing")
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "no symbol",
        "code": "alert.missing",
    }
    assert headers == {"content-type": "application/problem+json"}
