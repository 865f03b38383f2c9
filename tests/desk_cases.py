"""A desk over a journal in memory, and a client of it."""

import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast

import trio
from msgspec.structs import replace
from quart import Response
from quart_trio import QuartTrio

from fks.actors.desk import DeskDeps, make_desk
from fks.actors.trades import Trades
from fks.domain.errors import Refusal
from fks.domain.masking import Masker
from fks.domain.messages import AccountStatus, Event, Ticker
from fks.domain.secret import Secret
from fks.kernel import Broadcast, Latest
from memory_journal import MemoryJournal, MemoryLedger

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
        self.prices: dict[str, dict[str, Decimal]] = {}  # by account and symbol
        self.linted: list[bytes] = []
        self.alerts: list[bytes] = []
        self.accounts = {
            "paper": Latest(AccountStatus(account="paper", type="paper", ready=True, reason="")),
            "binance": Latest(AccountStatus(account="binance", type="binance", mode="dry_run")),
        }
        self.app: QuartTrio = make_desk(
            DeskDeps(
                journal=self.journal,
                accounts=self.accounts,
                ticker=self._ticker,
                prices=self._prices,
                trades=Trades(self.journal, dict),
                lint=self._lint,
                metrics=lambda: b"fks_up 1\n",
                unready=lambda: self.unready,
                token=Secret(TOKEN),
                events=self.events,  # type: ignore[arg-type]  # a list is a sequence
                wall=lambda: 200.0,
                default_account=lambda: "paper",
                webhooks={"/webhook": self._webhook},
                known=Masker,
            )
        )

    async def _ticker(self, account: str, symbol: str) -> Ticker:
        if isinstance(self.quote, Exception):
            raise self.quote
        return replace(self.quote, symbol=f"{symbol} at {account}")

    async def _prices(self, account: str, symbols: Collection[str]) -> dict[str, Decimal]:
        return {symbol: price for symbol, price in self.prices.get(account, {}).items() if symbol in symbols}

    async def _lint(self, body: bytes) -> dict[str, Any]:
        self.linted.append(body)
        if body == b"?":
            raise Refusal("alert.json", "the body is not valid JSON", "symbol")
        return {"dialect": "native", "amount": Decimal("0.10")}

    async def _webhook(self, scope: Any, receive: Any, send: Any) -> None:
        self.alerts.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})

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
    assert reply.content_type == "application/problem+json", reply.content_type
    told: dict[str, Any] = json.loads(await reply.get_data())
    assert told["status"] == reply.status_code, told
    assert {"type", "title", "detail"} <= told.keys(), told
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
