"""The server under the door and the desk: hostile clients end their own connection and nothing else."""

import importlib.metadata
import json
import os
import select
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h11
import msgspec
import pytest
import structlog.testing
import trio
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quart import Response, request
from quart_trio import QuartTrio

from fks.domain.errors import Fatal
from fks.infra.http_connection import Connection, Stage
from fks.infra.http_protocol import AppTasks, Protocol
from fks.infra.http_server import ServerLimits, _Server, serve
from fks.infra.sockets import bind

pytestmark = pytest.mark.real_time

LIMITS = ServerLimits(
    max_connections=32, max_connection_life_s=5, read_timeout_s=2, keep_alive_s=2, drain_s=2, max_body=20_000
)
GET = b"GET / HTTP/1.1\r\nHost: fks\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nHost: fks\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

App = Callable[[Any, Any, Any], Awaitable[None]]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Replies with what it saw of the request."""
    body = b""
    while (event := await receive())["type"] == "http.request":
        body += event["body"]
        if not event["more_body"]:
            await reply(
                send, json.dumps({"client": scope["client"], "path": scope["path"], "body": len(body)})
            )
            return


async def reply(send: Any, text: str, status: int = 200) -> None:
    body = text.encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Server:
    def __init__(self, address: Any, shutdown: trio.Event) -> None:
        self.address = address
        self.shutdown = shutdown
        self.ended = trio.Event()

    async def connect(self) -> trio.SocketStream:
        if isinstance(self.address, str):
            stream = await trio.open_unix_socket(self.address)
            assert isinstance(stream, trio.SocketStream)
            return stream
        return await trio.open_tcp_stream(self.address[0], self.address[1])

    async def exchange(self, request: bytes, within: float = 4) -> bytes:
        """Send it, and read until the server hangs up."""
        async with await self.connect() as stream:
            return await talk(stream, request, within)

    async def status(self) -> int:
        """Of an ordinary request."""
        return status(await self.exchange(LAST_GET, within=1))


async def talk(stream: trio.SocketStream, data: bytes, within: float = 4) -> bytes:
    answer = b""
    with trio.fail_after(within):
        try:
            if data:
                await stream.send_all(data)
            while part := await stream.receive_some():
                answer += part
        except trio.BrokenResourceError:
            pass
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@asynccontextmanager
async def running(
    app: App = echo, limits: ServerLimits = LIMITS, address: str = "127.0.0.1:0"
) -> AsyncIterator[Server]:
    """A server on loopback; it must end by itself when the test is over."""
    listener = bind(address)
    server = Server(listener.getsockname(), trio.Event())

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await serve(app, [listener], limits, server.shutdown, name="door", task_status=task_status)
        server.ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield server
        server.shutdown.set()
        with trio.fail_after(limits.drain_s + 1):
            await server.ended.wait()


HOSTILE = {
    "h2c with bad settings": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: !!!!\r\n\r\n",
        200,
    ),
    "h2c with good settings": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        200,
    ),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/2 preface and odd frames": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(range(256)) * 9, 505),
    "HTTP/2 frames alone": (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" * 9, 400),
    "websocket with trailing bytes": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\nSec-WebSocket-Version: 13\r\n\r\n\xff\x81\xfe\x00",
        200,
    ),
    "chunk size not hexadecimal": (
        CHUNKED + b"zz\r\n",
        400,
    ),
    "chunk size negative": (CHUNKED + b"-5\r\n", 400),
    "chunk size huge": (
        CHUNKED + b"f" * 40 + b"\r\n",
        400,
    ),
    "chunk extension flood": (
        CHUNKED + b"1;" + b"x" * 65_000,
        431,
    ),
    "chunks over the limit": (
        CHUNKED + b"1000\r\n" + b"x" * 4096 + b"\r\nf000\r\n" + b"x" * 61_440,
        413,
    ),
    "length not a number": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "length over the limit": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20001\r\n\r\n" + b"x" * 20_001,
        413,
    ),
    "unknown transfer encoding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    "64 KB of one header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 65_536 + b"\r\n\r\n", 431),
    "64 KB of headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 11_000 + b"\r\n", 431),
    "64 KB of path": (b"GET /" + b"x" * 65_536 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "connect": (b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01", 405),
    "broken percent sign": (b"GET /%zz%00%ff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    "refused head": (b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", 0),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bytes_end_their_own_connection_only(name: str):
    sent, expected = HOSTILE[name]
    with structlog.testing.capture_logs() as logs:
        async with running() as server:
            answer = await server.exchange(sent)
            assert status(answer) == expected, answer[:200]
            assert await server.status() == 200
    assert logs == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=64),
            st.sampled_from([*(sent for sent, _ in HOSTILE.values()), GET, b"\r\n\r\n", b"0\r\n\r\n", b": "]),
        ),
        max_size=4,
    )
)
def test_no_bytes_end_the_server(parts: list[bytes]):
    async def main() -> None:
        async with running() as server:
            async with await server.connect() as stream:
                try:
                    await stream.send_all(b"".join(parts))
                    await stream.send_eof()
                except trio.BrokenResourceError:
                    pass
                await talk(stream, b"")
            assert await server.status() == 200

    with structlog.testing.capture_logs() as logs:
        trio.run(main)
    assert logs == []


async def test_refusals_are_problem_details_that_say_what_was_wrong():
    async with running() as server:
        answer = await server.exchange(HOSTILE["length over the limit"][0])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Request Entity Too Large",
        "status": 413,
        "detail": "a body of 20001 bytes is over the 20000 allowed",
    }


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


@pytest.mark.parametrize("junk", [GET, b"\r\n", b"\x00\xff" * 50_000])
async def test_junk_behind_a_good_request_does_not_cost_its_answer(junk: bytes):
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(0.05)
        await reply(send, "good")

    async with running(slow, _limits(keep_alive_s=0.2)) as server:
        for request in (LAST_GET, GET, b"GET / HTTP/1.0\r\n\r\n"):
            assert b"good" in await server.exchange(request + junk)


async def test_an_app_that_ignores_a_long_body_can_still_answer():
    async def rude(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, "no thanks", 403)

    async with running(rude) as server, await server.connect() as stream:
        await stream.send_all(CHUNKED + b"1\r\nx\r\n" * 3000)
        for _ in range(20):
            await stream.send_all(bytes(100_000))
        assert (await talk(stream, b"")).endswith(b"no thanks")
        assert await server.status() == 403


async def test_a_refused_upload_gets_its_answer_and_takes_no_memory():
    part = bytes(100_000)
    async with running() as server, await server.connect() as stream:
        tracemalloc.start()
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
        for _ in range(50):
            await stream.send_all(part)
        assert status(await talk(stream, b"")) == 413, "not lost in the kernel's reset"
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1_000_000


async def test_what_an_app_says_after_a_refusal_is_not_sent():
    async def late(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await reply(send, "too late")

    with structlog.testing.capture_logs() as logs:
        async with running(late) as server:
            answer = await server.exchange(CHUNKED + b"1\r\nx\r\nzz\r\n")
    assert status(answer) == 400
    assert b"too late" not in answer
    assert logs == []


async def test_slow_head_is_closed():
    async with running(limits=_limits(keep_alive_s=0.3)) as server:
        assert await _drip(server, b"GET / HTTP/1.1\r\nHost: a\r\nX: ") < 1
        assert await server.status() == 200


async def test_slow_body_is_closed_and_the_app_is_told():
    seen = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (event := await receive())["type"] != "http.disconnect":
            if not event["more_body"]:
                await reply(send, "whole")
                return
        seen.set()
        await trio.sleep(1.2)  # however long it takes, the client is gone

    async with running(app, _limits(read_timeout_s=0.3)) as server:
        assert await _drip(server, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n") < 1
        assert seen.is_set()
        assert await server.status() == 200


async def _drip(server: Server, start: bytes) -> float:
    """Seconds for which the server puts up with a byte every 20 ms."""
    began = trio.current_time()
    async with await server.connect() as stream:
        try:
            await stream.send_all(start)
            while True:
                await stream.send_all(b"x")
                with trio.move_on_after(0.02):
                    if not await stream.receive_some():
                        break
        except trio.BrokenResourceError:
            pass
    return trio.current_time() - began


async def test_idle_connection_is_closed():
    async with running(limits=_limits(keep_alive_s=0.2)) as server:
        assert await server.exchange(b"", within=1) == b""
        answer = await server.exchange(GET, within=1)
        assert status(answer) == 200


async def test_an_answer_may_take_longer_than_reading_may():
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(0.5)
        await reply(send, "late")

    async with running(slow, _limits(keep_alive_s=0.1, read_timeout_s=0.1)) as server:
        assert await server.status() == 200


async def test_a_connection_ends_with_its_life_and_so_does_its_app():
    async def hung(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await reply(send, "well")
        await trio.sleep_forever()

    with structlog.testing.capture_logs() as logs:
        async with running(hung, _limits(max_connection_life_s=0.3)) as server:
            assert await server.exchange(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n", within=1) == b""
            assert await server.status() == 200
    cut = [line["stage"] for line in logs if line["event"] == "http_connection_cut"]
    assert cut == ["ANSWER", "CLOSING"]  # the second one hung after its reply


async def test_each_request_of_a_kept_connection_has_a_life_of_its_own():
    async with running(limits=_limits(max_connection_life_s=0.4)) as server, await server.connect() as stream:
        for _ in range(6):
            await stream.send_all(GET)
            assert status(await stream.receive_some()) == 200
            await trio.sleep(0.1)


async def test_a_client_that_stops_reading_is_cut_off():
    outcome = trio.Event()

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await reply(send, "well")
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(50):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        outcome.set()

    limits = _limits(read_timeout_s=0.2, max_connection_life_s=None)
    async with running(flood, limits) as server, await server.connect() as stream:
        await stream.send_all(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        with trio.fail_after(2):
            await outcome.wait()
        assert await server.status() == 200


async def test_a_client_that_stops_reading_does_not_hold_the_shutdown():
    writing = trio.Event()

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        writing.set()
        while True:
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})

    limits = _limits(read_timeout_s=60, max_connection_life_s=None, drain_s=0.3)
    async with running(flood, limits) as server, await server.connect() as stream:
        await stream.send_all(GET)
        await writing.wait()
        server.shutdown.set()
        with trio.fail_after(1):
            await server.ended.wait()


async def test_a_client_that_pipelines_into_a_stream_and_vanishes_leaves_nothing_behind():
    async def ticks(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with trio.move_on_after(0.3):
            while True:
                await send({"type": "http.response.body", "body": b"tick", "more_body": True})
                await trio.sleep(0.01)

    limits = _limits(max_connection_life_s=None, keep_alive_s=60, drain_s=60)
    async with running(ticks, limits) as server:
        async with await server.connect() as client:
            await client.send_all(GET * 3)
            await client.receive_some()
        await trio.sleep(0.4)
        server.shutdown.set()
        with trio.fail_after(1):
            await server.ended.wait()


async def test_a_real_request_gets_through_300_idle_connections():
    async with running(limits=_limits(keep_alive_s=20)) as server:
        idle = [await server.connect() for _ in range(300)]
        began = trio.current_time()
        assert await server.status() == 200
        assert trio.current_time() - began < 1
        closed, _, _ = select.select([stream.socket for stream in idle], [], [], 0)
        assert closed == [stream.socket for stream in idle[: len(closed)]], "the longest-waiting first"
        assert len(idle) - len(closed) == LIMITS.max_connections - 1
        for stream in idle:
            await trio.aclose_forcefully(stream)


def test_each_newcomer_of_a_burst_takes_the_place_of_another():
    class Waiting:
        stage = Stage.HEAD

        def __init__(self, since: float) -> None:
            self.since = since
            self.evicted = 0

        def evict(self) -> None:
            self.evicted += 1

    server = _Server(echo, LIMITS, "door")
    waiting = [Waiting(1.0), Waiting(2.0)]
    server._live.update(waiting)  # type: ignore[arg-type]
    assert [server._make_room() for _ in range(3)] == [True, True, False]
    assert [each.evicted for each in waiting] == [1, 1]


async def test_slow_bodies_do_not_keep_a_real_request_out():
    async with running(limits=_limits(max_connections=4, read_timeout_s=20)) as server:
        slow = [await server.connect() for _ in range(8)]
        for stream in slow[4:]:
            await stream.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
        await trio.sleep(0.02)
        assert await server.status() == 200
        for stream in slow:
            await trio.aclose_forcefully(stream)


async def test_over_the_cap_a_request_is_told_to_come_again():
    entered, release = trio.Event(), trio.Event()

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await release.wait()
        await reply(send, "done")

    async with running(busy, _limits(max_connections=1)) as server, await server.connect() as first:
        await first.send_all(LAST_GET)
        await entered.wait()
        async with await server.connect() as second:
            with trio.move_on_after(0.05):
                await second.receive_some()
                pytest.fail("an answer before the question confuses proxies")
            answer = await talk(second, GET)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status(answer) == 503
        assert b"retry-after: 5" in head
        assert json.loads(body)["status"] == 503
        release.set()
        assert status(await talk(first, b"")) == 200
        assert await server.status() == 200


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


async def test_the_request_in_flight_is_finished_at_shutdown():
    entered, release = trio.Event(), trio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await release.wait()
        await reply(send, "finished")

    async with running(slow) as server:
        async with await server.connect() as client:
            await client.send_all(GET)
            await entered.wait()
            server.shutdown.set()
            await trio.sleep(0.05)
            with pytest.raises(OSError, match=r"all attempts to connect to .* failed"):
                await server.connect()
            release.set()
            answer = await talk(client, b"")
            assert answer.endswith(b"finished")
            assert b"connection: close" in answer.lower()
        with trio.fail_after(1):
            await server.ended.wait()


async def test_a_request_on_its_way_at_shutdown_is_answered():
    async with running() as server, await server.connect() as client:
        await client.send_all(GET[:10])
        await trio.sleep(0.02)
        server.shutdown.set()
        await trio.sleep(0.05)
        assert status(await talk(client, GET[10:])) == 200


async def test_idle_clients_do_not_hold_the_shutdown():
    async with running(limits=_limits(keep_alive_s=60, drain_s=60)) as server:
        idle = [await server.connect() for _ in range(5)]
        await trio.sleep(0.02)
        server.shutdown.set()
        with trio.fail_after(1):
            await server.ended.wait()
        for stream in idle:
            await trio.aclose_forcefully(stream)


async def test_an_app_that_hangs_holds_the_shutdown_no_longer_than_the_drain():
    entered = trio.Event()

    async def hung(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await trio.sleep_forever()

    limits = _limits(max_connection_life_s=None, drain_s=0.2)
    with structlog.testing.capture_logs() as logs:
        async with running(hung, limits) as server, await server.connect() as client:
            await client.send_all(GET)
            await entered.wait()
            server.shutdown.set()
            assert await talk(client, b"", within=1) == b""
    assert [line["event"] for line in logs] == ["http_drain_cut"]


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

    async with running(app, _limits(keep_alive_s=0.1)) as server:
        assert status(await server.exchange(GET, within=1)) == 200
        with trio.fail_after(1):
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
        with trio.fail_after(1):
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


async def test_the_app_sees_the_peer():
    async with running() as server, await server.connect() as client:
        _, _, body = (await talk(client, LAST_GET)).partition(b"\r\n\r\n")
        assert json.loads(body)["client"][0] == "127.0.0.1"


async def test_an_ipv4_peer_of_an_ipv6_socket_is_shown_by_its_ipv4_address():
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    server = Server(("127.0.0.1", listener.getsockname()[1]), trio.Event())
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, echo, [listener], LIMITS, server.shutdown, name="door"))
        _, _, body = (await server.exchange(LAST_GET)).partition(b"\r\n\r\n")
        assert json.loads(body)["client"][0] == "127.0.0.1"
        server.shutdown.set()


async def test_unix_socket_has_no_peer_address(tmp_path: Path):
    async with running(address=f"unix:{tmp_path}/door") as server:
        _, _, body = (await server.exchange(LAST_GET)).partition(b"\r\n\r\n")
        assert json.loads(body)["client"] is None


async def test_a_broken_listener_is_fatal_and_leaks_no_group():
    listener = bind("127.0.0.1:0")
    fd = os.dup(listener.fileno())
    told: list[BaseException] = []

    async def run(task_status: trio.TaskStatus[None]) -> None:
        try:
            await serve(echo, [listener], LIMITS, trio.Event(), name="door", task_status=task_status)
        except Fatal as error:
            told.append(error)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        with socket.socket(fileno=fd) as other:
            other.shutdown(socket.SHUT_RDWR)
    assert str(told[0]).startswith("the door cannot accept connections any more: ")


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

    async with running(app, _limits(max_connection_life_s=None)) as server:
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


def test_a_passed_descriptor_is_served_by_another_process():
    child = """
import functools, os, trio
from fks.infra.http_server import ServerLimits, _Server, serve
from fks.infra.sockets import passed

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"passed"})

async def main():
    done = trio.Event()
    door = passed(os.environ, os.getpid())["door"]
    async with trio.open_nursery() as nursery:
        await nursery.start(functools.partial(serve, app, door, ServerLimits(), done, name="door"))
        await trio.to_thread.run_sync(input)
        done.set()

trio.run(main)
"""
    with bind("127.0.0.1:0") as listener:
        fd = listener.fileno()
        process = subprocess.Popen(
            ["bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -c "$1" 3<&{fd}', sys.executable, child],
            pass_fds=[fd],
            stdin=subprocess.PIPE,
            env=dict(os.environ),
        )
        server = Server(listener.getsockname(), trio.Event())
        try:
            # The kernel queues the connection until the child accepts: no need to wait for its start.
            assert trio.run(partial(server.exchange, LAST_GET, within=20)).endswith(b"0\r\n\r\n")
        finally:
            process.communicate(b"\n", timeout=10)
    assert process.returncode == 0


def test_hypercorn_is_the_one_whose_internals_were_read():
    assert importlib.metadata.version("hypercorn") == "0.18.0", "read its protocol/h11.py again first"
    for child, parent in ((Protocol, H11Protocol), (AppTasks, TaskGroup)):
        public = {
            name for name in vars(child) if not name.startswith("__") and callable(getattr(child, name))
        }
        own = {"_begin", "_take", "_refuse", "_error_reply", "_pause", "abandon"}
        assert public - own <= set(vars(parent)), "an override no longer overrides anything"


def _limits(**changes: Any) -> ServerLimits:
    return msgspec.structs.replace(LIMITS, **changes)
