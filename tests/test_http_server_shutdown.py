"""At shutdown what was begun is finished, and nobody holds it longer than the drain."""

from typing import Any

import pytest
import structlog.testing
import trio

from http_cases import GET, limited, reply, running, status, talk

pytestmark = pytest.mark.real_time


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
    async with running(limits=limited(keep_alive_s=60, drain_s=60)) as server:
        idle = [await server.connect() for _ in range(5)]
        await trio.sleep(0.02)
        server.shutdown.set()
        with trio.fail_after(10):
            await server.ended.wait()
        for stream in idle:
            await trio.aclose_forcefully(stream)


async def test_an_app_that_hangs_holds_the_shutdown_no_longer_than_the_drain():
    entered = trio.Event()

    async def hung(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await trio.sleep_forever()

    limits = limited(max_connection_life_s=None, drain_s=0.2)
    with structlog.testing.capture_logs() as logs:
        async with running(hung, limits) as server, await server.connect() as client:
            await client.send_all(GET)
            await entered.wait()
            server.shutdown.set()
            assert await talk(client, b"", within=1) == b""
    assert [line["event"] for line in logs] == ["http_drain_cut"]


async def test_a_client_that_stops_reading_does_not_hold_the_shutdown():
    writing = trio.Event()

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        writing.set()
        while True:
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})

    limits = limited(read_timeout_s=60, max_connection_life_s=None, drain_s=0.3)
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

    limits = limited(max_connection_life_s=None, keep_alive_s=60, drain_s=60)
    async with running(ticks, limits) as server:
        async with await server.connect() as client:
            await client.send_all(GET * 3)
            await client.receive_some()
        await trio.sleep(0.4)
        server.shutdown.set()
        with trio.fail_after(10):
            await server.ended.wait()
