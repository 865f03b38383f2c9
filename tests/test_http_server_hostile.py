"""Hostile clients end their own connection and nothing else."""

import json
import tracemalloc
from typing import Any

import pytest
import structlog.testing
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from http_cases import CHUNKED, GET, LAST_GET, limited, reply, running, status, talk

pytestmark = pytest.mark.real_time
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
    "chunks of one byte": (CHUNKED + b"1\r\nx\r\n" * 300 + b"0\r\n\r\n", 400),
    "length not a number": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "length over the limit": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20001\r\n\r\n" + b"x" * 20_001,
        413,
    ),
    "length and chunks": (CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "unknown transfer encoding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    "64 KB of one header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 65_536 + b"\r\n\r\n", 431),
    "64 KB of headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 11_000 + b"\r\n", 431),
    "200 headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
    "64 KB of path": (b"GET /" + b"x" * 65_536 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "connect": (b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01", 405),
    "broken percent sign": (b"GET /%zz%00%ff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    "refused head": (b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", 0),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.fault(11)
async def test_hostile_bytes_end_their_own_connection_only(name: str):
    sent, expected = HOSTILE[name]
    with structlog.testing.capture_logs() as logs:
        async with running() as server:
            answer = await server.exchange(sent)
            assert status(answer) == expected, answer[:200]
            assert await server.status() == 200
    assert logs == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=64),
            st.sampled_from([*(sent for sent, _ in HOSTILE.values()), GET, b"\r\n\r\n", b"0\r\n\r\n", b": "]),
        ),
        max_size=4,
    )
)
@pytest.mark.fault(11)
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


@pytest.mark.parametrize("junk", [GET, b"\r\n", b"\x00\xff" * 50_000])
async def test_junk_behind_a_good_request_does_not_cost_its_answer(junk: bytes):
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(0.05)
        await reply(send, "good")

    async with running(slow, limited(keep_alive_s=0.2)) as server:
        for request in (LAST_GET, GET, b"GET / HTTP/1.0\r\n\r\n"):
            assert b"good" in await server.exchange(request + junk)


async def test_an_app_that_ignores_a_long_body_can_still_answer():
    async def rude(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, "no thanks", 403)

    async with running(rude) as server, await server.connect() as stream:
        await stream.send_all(CHUNKED + b"1\r\nx\r\n" * 100)
        await trio.sleep(0.05)
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
