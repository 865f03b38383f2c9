"""The server under the door and the desk: what well-behaved clients and their apps see of it."""

import importlib.metadata
import json
from collections.abc import AsyncIterator
from typing import Any

import h11
import pytest
import structlog.testing
import trio
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from quart import Response, request
from quart_trio import QuartTrio

from fks.infra.http_connection import Connection
from fks.infra.http_protocol import AppTasks, Protocol
from http_cases import GET, LAST_GET, limited, reply, running, status, talk

pytestmark = pytest.mark.real_time


async def test_pipelined_requests_are_answered_in_order():
    async with running() as server:
        paths = [b"/%d" % n for n in range(20)]
        sent = b"".join(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in paths) + LAST_GET
        answer = await server.exchange(sent)
        assert [json.loads(line)["path"] for line in _bodies(answer)] == [path.decode() for path in paths] + [
            "/"
        ]


def _bodies(answer: bytes) -> list[bytes]:
    client = h11.Connection(h11.CLIENT)
    bodies = []
    while answer:
        client.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(answer)
        body = b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            body += event.data if isinstance(event, h11.Data) else b""
        bodies.append(body)
        answer = client.trailing_data[0]
        client = h11.Connection(h11.CLIENT)
    return bodies


async def test_requests_after_connection_close_are_not_served():
    async with running() as server:
        assert len(_bodies(await server.exchange(LAST_GET + GET * 5))) == 1


async def test_an_app_that_raises_gets_500_and_the_server_lives():
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/boom":
            raise RuntimeError("boom")
        if scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("boom")
        if scope["path"] == "/liar":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            await send({"type": "http.response.body", "body": b"far too long"})
        await reply(send, "well")

    with structlog.testing.capture_logs() as logs:
        async with running(broken) as server:
            assert status(await server.exchange(b"GET /boom HTTP/1.1\r\nHost: a\r\n\r\n")) == 500
            cut = await server.exchange(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"half" in cut
            assert not cut.endswith(b"0\r\n\r\n"), "a cut answer must not look whole"
            assert await server.exchange(b"GET /liar HTTP/1.1\r\nHost: a\r\n\r\n") == b""
            assert await server.status() == 200
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["http_app_failed"] * 3


async def test_a_defect_in_a_connection_is_one_warning(monkeypatch: pytest.MonkeyPatch):
    read = Connection._read
    defects = iter([True])

    async def faulty(self: Connection) -> None:
        if next(defects, False):
            raise RecursionError("odd")
        await read(self)

    monkeypatch.setattr(Connection, "_read", faulty)
    with structlog.testing.capture_logs() as logs:
        async with running() as server:
            assert await server.exchange(GET) == b""
            assert await server.status() == 200
    assert [(line["event"], line["errors"]) for line in logs] == [
        ("http_connection_failed", ["RecursionError('odd')"])
    ]


async def test_a_client_that_leaves_does_not_cancel_the_app():
    entered, left, finished = trio.Event(), trio.Event(), trio.Event()

    async def steadfast(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        entered.set()
        assert (await receive())["type"] == "http.disconnect"
        left.set()
        await trio.sleep(0.05)
        await reply(send, "to nobody")
        finished.set()

    with structlog.testing.capture_logs() as logs:
        async with running(steadfast) as server:
            async with await server.connect() as client:
                await client.send_all(GET)
                await entered.wait()
            with trio.fail_after(1):
                await left.wait()
                await finished.wait()
    assert logs == []


async def test_work_after_the_reply_is_not_cut_by_the_end_of_the_connection():
    finished = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, "accepted")
        await trio.sleep(0.3)
        finished.set()

    async with running(app, limited(keep_alive_s=0.1)) as server:
        assert status(await server.exchange(GET, within=1)) == 200
        with trio.fail_after(10):
            await finished.wait()


async def test_the_head_of_a_stream_does_not_wait_for_its_first_event():
    release = trio.Event()

    async def events(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/event-stream")],
            }
        )
        await release.wait()
        await send({"type": "http.response.body", "body": b"data: 1\n\n"})

    async with running(events) as server, await server.connect() as client:
        await client.send_all(LAST_GET)
        with trio.fail_after(10):
            assert b"text/event-stream" in await client.receive_some()
        release.set()
        assert b"data: 1" in await talk(client, b"")


async def test_a_short_answer_is_one_write():
    async with running() as server, await server.connect() as client:
        await client.send_all(GET)
        head, _, body = (await client.receive_some()).partition(b"\r\n\r\n")
        assert json.loads(body)["path"] == "/"
        assert b"\r\ndate: " in head.lower()
        assert b"server:" not in head.lower()


async def test_100_continue_is_sent_before_the_body_and_not_before_a_refusal():
    head = LAST_GET[:-2].replace(b"GET", b"POST") + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    async with running() as server, await server.connect() as client:
        await client.send_all(head % 3)
        assert status(await client.receive_some()) == 100
        assert status(await talk(client, b"abc")) == 200
        assert status(await server.exchange(head % 99_999)) == 413


async def test_head_is_answered_without_a_body():
    async with running() as server:
        answer = await server.exchange(LAST_GET.replace(b"GET", b"HEAD"))
        assert status(answer) == 200
        assert b"content-length: " in answer.lower()
        assert answer.endswith(b"\r\n\r\n")


async def test_a_client_that_half_closes_gets_its_answer():
    async with running() as server, await server.connect() as client:
        await client.send_all(GET)
        await client.send_eof()
        assert status(await talk(client, b"")) == 200


async def test_a_quart_app_is_served():
    app = QuartTrio("desk")
    left = trio.Event()

    @app.post("/size")
    async def size() -> dict[str, Any]:
        return {"size": len(await request.get_data()), "peer": request.remote_addr}

    @app.get("/boom")
    async def boom() -> str:
        raise RuntimeError("boom")

    @app.get("/events")
    async def events() -> Response:
        async def stream() -> AsyncIterator[bytes]:
            try:
                yield b"data: 1\n\n"
                await trio.sleep_forever()
            finally:
                left.set()

        response = Response(stream(), content_type="text/event-stream")
        response.timeout = None
        return response

    async with running(app, limited(max_connection_life_s=None)) as server:
        answer = await server.exchange(
            b"POST /size HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
        )
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"size": 3, "peer": "127.0.0.1"}
        assert (
            status(await server.exchange(b"GET /boom HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            == 500
        )
        async with await server.connect() as client:
            await client.send_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            seen = b""
            while b"data: 1" not in seen:
                seen += await client.receive_some()
        with trio.fail_after(1):
            await left.wait()
        with trio.fail_after(0.8):  # quart cancels its own last `send`: hanging up must not depend on it
            assert await server.status() == 404


def test_hypercorn_is_the_one_whose_internals_were_read():
    assert importlib.metadata.version("hypercorn") == "0.18.0", "read its protocol/h11.py again first"
    for child, parent in ((Protocol, H11Protocol), (AppTasks, TaskGroup)):
        public = {
            name for name in vars(child) if not name.startswith("__") and callable(getattr(child, name))
        }
        own = {"_begin", "_take", "_refuse", "_error_reply", "_pause", "_head_lines", "_end", "abandon"}
        assert public - own <= set(vars(parent)), "an override no longer overrides anything"
