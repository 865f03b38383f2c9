"""The desk: who may use it, what it shows, what it changes, and how it says no."""

import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar, cast

import pytest
import structlog
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from quart import Response
from quart_trio import QuartTrio

from fks.actors.desk import DeskDeps, make_desk
from fks.domain.alerts import Action, Alert
from fks.domain.errors import Refusal, Transient
from fks.domain.messages import (
    AccountStatus,
    Balance,
    Event,
    Fill,
    Intent,
    IntentState,
    Position,
    Ticker,
    TradingState,
)
from fks.domain.orders import AT_REST, State
from fks.domain.secret import Secret
from fks.infra.event_stream import HEARTBEAT_S, PAGE
from fks.infra.health import healthz, readyz
from fks.infra.problem import problem
from fks.kernel import Broadcast, Latest, mailbox
from fks.ledger import Journal, JournalBusy, JournalFull, Reader, Write
from memory_journal import MemoryJournal, MemoryLedger, an_order

R = TypeVar("R")

TOKEN = "correct-horse-battery-staple"
SERVER = {"server": ("127.0.0.1", 8081)}


class Desk:
    """A desk over a journal in memory, and a client that bears the token unless told otherwise."""

    def __init__(self, ledger: MemoryLedger | None = None) -> None:
        self.ledger = ledger or MemoryLedger()
        self.journal = MemoryJournal(self.ledger)
        self.events = Broadcast[list[Event]]()
        self.unready: list[str] = []
        self.quote: Ticker | Exception = Ticker("BTC/USDT", Decimal("50000.10"))
        self.linted: list[bytes] = []
        self.accounts = {
            "paper": Latest(AccountStatus(account="paper", type="paper", ready=True, reason="")),
            "binance": Latest(AccountStatus(account="binance", type="binance", mode="dry_run")),
        }
        self.app: QuartTrio = make_desk(
            DeskDeps(
                journal=self.journal,
                accounts=self.accounts,
                ticker=self._ticker,
                lint=self._lint,
                metrics=lambda: b"fks_up 1\n",
                unready=lambda: self.unready,
                token=Secret(TOKEN),
                events=self.events,  # type: ignore[arg-type]  # a list is a sequence
                wall=lambda: 200.0,
                default_account="paper",
            )
        )

    async def _ticker(self, account: str, symbol: str) -> Ticker:
        if isinstance(self.quote, Exception):
            raise self.quote
        return replace(self.quote, symbol=f"{symbol} at {account}")

    async def _lint(self, body: bytes) -> dict[str, Any]:
        self.linted.append(body)
        if body == b"?":
            raise Refusal("alert.json", "the body is not valid JSON", "symbol")
        return {"dialect": "native", "amount": Decimal("0.10")}

    async def send(
        self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN, **headers: str
    ) -> Response:
        sent = {"Host": "127.0.0.1:8081", **{name.replace("_", "-"): text for name, text in headers.items()}}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        client: Any = self.app.test_client()
        reply: Response = await client.open(path, method=method, headers=sent, data=data, scope_base=SERVER)
        return reply

    async def get(self, path: str, **options: Any) -> Response:
        return await self.send("GET", path, **options)

    async def json(self, path: str) -> Any:
        reply = await self.get(path)
        assert reply.status_code == 200, await reply.get_data()
        return json.loads(await reply.get_data())

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator["Stream"]:
        """The raw ASGI conversation of one event stream; leaving it is the client's disconnect."""
        sent = {"host": "localhost", "authorization": f"Bearer {TOKEN}", **headers}
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.replace("_", "-").encode(), text.encode()) for name, text in sent.items()],
            "client": ("127.0.0.1", 5),
            **SERVER,
        }
        stream = Stream()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cast(Any, self.app), scope, stream.to_app.receive, stream.send)
            yield stream
            await stream.from_client.send({"type": "http.disconnect"})


class Stream:
    """What the app sends, message by message; the app waits until each one is taken."""

    def __init__(self) -> None:
        self.from_client, self.to_app = trio.open_memory_channel[dict[str, Any]](1)
        self._out, self._in = trio.open_memory_channel[dict[str, Any]](0)

    async def send(self, message: Any) -> None:
        await self._out.send(message)

    async def message(self) -> dict[str, Any]:
        return await self._in.receive()

    async def chunk(self) -> bytes:
        return bytes((await self.message())["body"])

    async def seqs(self, wanted: int) -> list[int]:
        """The ids of the next `wanted` events, comments skipped."""
        found: list[int] = []
        while len(found) < wanted:
            lines = (await self.chunk()).splitlines()
            found += [int(line[4:]) for line in lines if line.startswith(b"id: ")]
        return found


async def problem_of(reply: Response) -> dict[str, Any]:
    assert reply.content_type == "application/problem+json"
    told: dict[str, Any] = json.loads(await reply.get_data())
    assert told["status"] == reply.status_code
    assert {"type", "title", "detail"} <= told.keys()
    return told


def an_event(seq: int, kind: str = "fill") -> Event:
    return Event(seq=seq, time=float(seq), kind=kind, account="paper", data={"amount": "1"})


def an_alert(alert_id: str, state: str = "done") -> dict[str, Any]:
    body = {"symbol": "BTCUSDT", "action": "buy", "secret": "canary"}
    return {
        "id": alert_id,
        "key": f"id:{alert_id}",
        "source": "secret-1",
        "state": state,
        "symbol": "BTC/USDT",
        "action": "buy",
        "received_at": 100.0,
        "body": body,
    }


# Who may use it


def test_a_desk_without_a_token_is_not_made() -> None:
    deps = DeskDeps(
        journal=MemoryJournal(MemoryLedger()),
        accounts={},
        ticker=None,  # type: ignore[arg-type]
        lint=None,  # type: ignore[arg-type]
        metrics=bytes,
        unready=list,
        token=Secret(""),
        events=Broadcast(),
        wall=float,
        default_account="paper",
    )
    with pytest.raises(ValueError, match="admin_token"):
        make_desk(deps)


ADMIN = [
    ("GET", "/v1/alerts"),
    ("GET", "/v1/alerts/a1"),
    ("GET", "/v1/orders"),
    ("GET", "/v1/orders/q1"),
    ("DELETE", "/v1/orders/q1"),
    ("POST", "/v1/cancel"),
    ("GET", "/v1/positions"),
    ("GET", "/v1/balance"),
    ("GET", "/v1/accounts"),
    ("GET", "/v1/ticker"),
    ("GET", "/v1/trading"),
    ("POST", "/v1/trading"),
    ("POST", "/v1/lint"),
    ("GET", "/v1/events"),
    ("GET", "/no/such/route"),
]


@pytest.mark.parametrize(("method", "path"), ADMIN)
async def test_every_admin_route_wants_the_token(method: str, path: str) -> None:
    desk = Desk(MemoryLedger(order_rows=[an_order("q1")], alert_rows=[an_alert("a1")]))
    for token in (None, "", "wrong", TOKEN + "x", "ü\x80"):
        reply = await desk.send(method, path, {"account": None, "state": "halted"}, token=token)
        assert reply.status_code == 401
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
        assert TOKEN not in str(await problem_of(reply))
    assert desk.ledger.changes == []
    assert desk.journal.reads == 0


def test_the_list_of_admin_routes_above_is_complete() -> None:
    rules = {(method, rule.rule) for rule in Desk().app.url_map.iter_rules() for method in rule.methods or ()}
    routes = {(method, rule) for method, rule in rules if method in ("GET", "POST", "DELETE")}
    shown = {(method, path.replace("a1", "<alert_id>").replace("q1", "<order_id>")) for method, path in ADMIN}
    assert routes - shown == {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_health_and_metrics_want_no_token(path: str) -> None:
    assert (await Desk().get(path, token=None)).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/v1/orders"])
async def test_a_rebound_name_is_refused(path: str) -> None:
    desk = Desk()
    for host in ("evil.example", "evil.example:8081", "127.0.0.1.evil.example", ""):
        reply = await desk.get(path, Host=host)
        assert reply.status_code == 421
        await problem_of(reply)
    assert (await desk.get(path, Host="localhost")).status_code == 200


async def test_over_a_unix_socket_any_host_will_do() -> None:
    desk, headers = Desk(), {"Host": "fks", "Authorization": f"Bearer {TOKEN}"}
    client = desk.app.test_client()
    reply = await client.get("/v1/orders", headers=headers, scope_base={"server": None})
    assert reply.status_code == 200


async def test_another_sites_page_changes_nothing() -> None:
    desk = Desk()
    wish = {"state": "halted", "account": None}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
        assert (await desk.send("POST", "/v1/trading", wish, Origin=origin)).status_code == 403
    assert desk.ledger.changes == []
    assert (await desk.send("POST", "/v1/trading", wish, Origin="http://127.0.0.1:8081")).status_code == 200
    assert (await desk.get("/v1/trading", Origin="http://evil.example")).status_code == 200


# Health and metrics


async def test_health_is_bad_when_the_journal_does_not_answer_within_a_second() -> None:
    desk = Desk()
    assert (await desk.get("/healthz")).status_code == 200
    desk.journal.hangs = True
    began = trio.current_time()
    reply = await desk.get("/healthz")
    assert (reply.status_code, trio.current_time() - began) == (503, 1.0)
    assert "journal" in (await problem_of(reply))["detail"]
    desk.journal.hangs, desk.journal.error = False, JournalBusy("locked by another program")
    assert "locked by another program" in (await problem_of(await desk.get("/healthz")))["detail"]


async def test_readiness_tells_every_reason() -> None:
    desk = Desk()
    assert json.loads(await (await desk.get("/readyz")).get_data()) == {"status": "ready"}
    desk.unready = ["draining", "binance: connecting"]
    told = await problem_of(await desk.get("/readyz"))
    assert (told["status"], told["reasons"]) == (503, ["draining", "binance: connecting"])


async def test_the_health_helpers_are_what_the_door_needs() -> None:
    journal = MemoryJournal(MemoryLedger())
    status, body, headers = await healthz(journal)
    assert (status, json.loads(body), headers["content-type"]) == (
        200,
        {"status": "alive"},
        "application/json",
    )
    journal.error = JournalBusy("locked")
    assert (await healthz(journal))[0] == 503
    assert readyz(["starting"])[0] == 503


async def test_metrics_are_prometheus_text() -> None:
    reply = await Desk().get("/metrics", token=None)
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert await reply.get_data() == b"fks_up 1\n"


# Lists and single things


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


@settings(max_examples=50, deadline=None)
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


# Changes


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
    everywhere = {"state": "active", "accounts": {"paper": "active", "binance": "active"}}
    assert await desk.json("/v1/trading") == everywhere
    await desk.send("POST", "/v1/trading", {"state": "halted", "account": "paper"})
    reply = await desk.send("POST", "/v1/trading", {"state": "reduce"})
    assert json.loads(await reply.get_data()) == {
        "state": "reduce",
        "accounts": {"paper": "halted", "binance": "active"},
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


# The event stream


def land(desk: Desk, *events: Event) -> None:
    """Committed, then published: as the journal does it."""
    desk.ledger.chain.extend(events)
    desk.events.publish(list(events))


async def test_events_are_sent_as_they_land() -> None:
    desk = Desk(MemoryLedger(chain=[an_event(1), an_event(2)]))
    async with desk.stream("/v1/events") as stream:
        start = await stream.message()
        assert start["status"] == 200
        assert (b"content-type", b"text/event-stream") in start["headers"]
        await stream.chunk()
        land(desk, an_event(3, "order_open"))
        first, event, data, *_ = (await stream.chunk()).split(b"\n")
        assert (first, event) == (b"id: 3", b"event: order_open")
        assert json.loads(data.removeprefix(b"data: "))["seq"] == 3


async def test_a_listener_that_comes_back_gets_what_it_missed() -> None:
    desk = Desk(MemoryLedger(chain=[an_event(seq) for seq in range(1, 6)]))
    async with desk.stream("/v1/events", last_event_id="3") as stream:
        assert (await stream.message())["status"] == 200
        land(desk, an_event(6))
        assert await stream.seqs(3) == [4, 5, 6]
    async with desk.stream("/v1/events?after=0", last_event_id="4") as stream:
        await stream.message()
        assert await stream.seqs(2) == [5, 6]


async def test_a_long_replay_meets_the_live_events_without_gap_or_double() -> None:
    total = 2 * PAGE + 10
    desk = Desk(MemoryLedger(chain=[an_event(seq) for seq in range(1, total + 1)]))
    async with desk.stream("/v1/events?after=0") as stream:
        await stream.message()
        seen = await stream.seqs(PAGE)
        land(desk, an_event(total + 1), an_event(total + 2))
        seen += await stream.seqs(total + 2 - PAGE)
        assert seen == list(range(1, total + 3))


async def test_a_slow_listener_misses_nothing() -> None:
    desk, total = Desk(), 2000
    async with desk.stream("/v1/events?after=0") as stream:
        await stream.message()
        for seq in range(1, total + 1):  # more than any buffer holds, before it takes one
            land(desk, an_event(seq))
        assert await stream.seqs(total) == list(range(1, total + 1))


async def test_a_quiet_stream_has_a_heartbeat() -> None:
    desk = Desk()
    async with desk.stream("/v1/events") as stream:
        await stream.message()
        await stream.chunk()
        began = trio.current_time()
        for beat in (1, 2, 3, 4, 5, 6):  # also past the framework's own reply timeout of 60 s
            assert (await stream.chunk()).startswith(b":")
            assert trio.current_time() - began == pytest.approx(beat * HEARTBEAT_S)


async def test_a_listener_that_leaves_is_forgotten() -> None:
    desk = Desk()
    async with desk.stream("/v1/events") as stream:
        await stream.message()
        await stream.chunk()
        await trio.testing.wait_all_tasks_blocked()
        assert len(desk.events._listeners) == 1
    assert len(desk.events._listeners) == 0


async def test_a_stream_ends_when_the_journal_does_not_answer() -> None:
    desk = Desk()
    desk.journal.error = JournalBusy("locked")
    async with desk.stream("/v1/events?after=0") as stream:
        await stream.message()
        await stream.chunk()
        assert not (await stream.message())["more_body"]


# The real journal's reading


class Stuck:
    """A store whose reads wait until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def commit(self, operations: Any) -> Any:
        raise NotImplementedError

    def read(self, query: Callable[[Reader], R]) -> R:
        self.go.wait(10)
        return query(None)  # type: ignore[arg-type]

    def close(self) -> None: ...


@pytest.mark.real_time
async def test_a_read_with_a_deadline_is_left_behind_in_its_thread() -> None:
    store = Stuck()
    ref, _inbox = mailbox("journal", 1, Write)
    journal = Journal(ref, store)
    try:
        with pytest.raises(trio.TooSlowError):
            await journal.read(lambda _reader: 1, within=0.02)
    finally:
        store.go.set()
    assert await journal.read(lambda _reader: 1, within=5.0) == 1
    assert await journal.read(lambda _reader: 2) == 2
