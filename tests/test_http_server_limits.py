"""Slow, idle and many clients: each has its time and its place, and none keeps a real request out."""

import json
import select
from typing import Any

import pytest
import structlog.testing
import trio

from fks.infra.http_connection import Stage
from fks.infra.http_server import _Server
from http_cases import GET, LAST_GET, LIMITS, Server, echo, limited, reply, running, status, talk

pytestmark = pytest.mark.real_time


@pytest.mark.fault(12)
async def test_slow_head_is_closed():
    async with running(limits=limited(keep_alive_s=0.3)) as server:
        assert await _drip(server, b"GET / HTTP/1.1\r\nHost: a\r\nX: ") < 1
        assert await server.status() == 200


@pytest.mark.fault(12)
async def test_slow_body_is_closed_and_the_app_is_told():
    seen = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (event := await receive())["type"] != "http.disconnect":
            if not event["more_body"]:
                await reply(send, "whole")
                return
        seen.set()
        await trio.sleep(1.2)  # however long it takes, the client is gone

    async with running(app, limited(read_timeout_s=0.3)) as server:
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
    async with running(limits=limited(keep_alive_s=0.2)) as server:
        assert await server.exchange(b"", within=1) == b""
        answer = await server.exchange(GET, within=1)
        assert status(answer) == 200


async def test_an_answer_may_take_longer_than_reading_may():
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(0.5)
        await reply(send, "late")

    async with running(slow, limited(keep_alive_s=0.1, read_timeout_s=0.1)) as server:
        assert await server.status() == 200


async def test_a_connection_ends_with_its_life_and_so_does_its_app():
    async def hung(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await reply(send, "well")
        await trio.sleep_forever()

    with structlog.testing.capture_logs() as logs:
        async with running(hung, limited(max_connection_life_s=0.3)) as server:
            assert await server.exchange(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n", within=1) == b""
            assert await server.status() == 200
    cut = [line["stage"] for line in logs if line["event"] == "http_connection_cut"]
    assert cut == ["ANSWER", "CLOSING"]  # the second one hung after its reply


async def test_each_request_of_a_kept_connection_has_a_life_of_its_own():
    async with running(limits=limited(max_connection_life_s=0.4)) as server, await server.connect() as stream:
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

    limits = limited(read_timeout_s=0.2, max_connection_life_s=None)
    async with running(flood, limits) as server, await server.connect() as stream:
        await stream.send_all(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        with trio.fail_after(10):
            await outcome.wait()
        assert await server.status() == 200


@pytest.mark.fault(13)
async def test_a_real_request_gets_through_300_idle_connections():
    async with running(limits=limited(keep_alive_s=20)) as server:
        idle = [await server.connect() for _ in range(300)]
        began = trio.current_time()
        assert await server.status() == 200
        assert trio.current_time() - began < 10
        closed, _, _ = select.select([stream.socket for stream in idle], [], [], 0)
        assert closed == [stream.socket for stream in idle[: len(closed)]], "the longest-waiting first"
        assert len(idle) - len(closed) == LIMITS.max_connections - 1
        for stream in idle:
            await trio.aclose_forcefully(stream)


def test_each_newcomer_of_a_burst_takes_the_place_of_another():
    class Waiting:
        stage = Stage.HEAD

        def __init__(self, since: float, *, unread: bool = False) -> None:
            self.since = since
            self.unread = unread
            self.evicted = 0

        def evict(self) -> None:
            self.evicted += 1

    server = _Server(echo, LIMITS, "door")
    waiting = [Waiting(1.0), Waiting(2.0), Waiting(0.5, unread=True)]
    server._live.update(waiting)  # type: ignore[arg-type]
    assert [server._make_room() for _ in range(3)] == [True, True, False]
    assert [each.evicted for each in waiting] == [1, 1, 0], "whose request is there waits for us"


async def test_slow_bodies_do_not_keep_a_real_request_out():
    async with running(limits=limited(max_connections=4, read_timeout_s=20)) as server:
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

    async with running(busy, limited(max_connections=1)) as server, await server.connect() as first:
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
