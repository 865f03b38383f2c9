"""The HTTP client: what it says of bytes sent, and what it refuses to read."""

import gzip
import socket
import ssl
import struct
import zlib
from contextlib import aclosing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from fks.venues.http import HttpClient, Response, TransportError, _Answer
from raw_server import Handler, answer, read_request, replying, self_signed, server

pytestmark = pytest.mark.real_time


async def get(url: str, *, times: int = 1) -> tuple[list[Response], HttpClient]:
    """Answers to the same request, sent `times` times by one client."""
    async with aclosing(HttpClient()) as client:
        return [await client.request("GET", url, {}, None, 5) for _ in range(times)], client


async def failure(client: HttpClient, url: str, timeout: float = 5.0, **headers: str) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await client.request("GET", url, headers, None, timeout)
    return caught.value


async def test_connection_is_kept_for_the_next_request() -> None:
    async with server(replying(answer(b"one"), answer(b"two"))) as url:
        responses, client = await get(url, times=2)
    assert ([one.body for one in responses], client.opened) == ([b"one", b"two"], 1)


async def test_idle_connection_closed_by_the_server_is_not_reused() -> None:
    async def once(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(answer())

    async with server(once) as url, aclosing(HttpClient()) as client:
        for _ in range(3):
            await client.request("GET", url, {}, None, 5)
            await trio.testing.wait_all_tasks_blocked(0.01)
    assert client.opened == 3


async def test_bytes_after_an_answer_end_the_connection() -> None:
    async with server(replying(answer() + answer(b"smuggled"))) as url:
        responses, client = await get(url, times=2)
    assert ([one.body for one in responses], client.opened) == ([b"{}", b"{}"], 2)


@pytest.mark.fault(40)
async def test_refused_connection_was_not_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await failure(HttpClient(), f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert (error.kind, error.maybe_sent) == ("connect", False)


@pytest.mark.fault(39)
async def test_unknown_name_was_not_sent() -> None:
    class NoNames(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *args: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")

        async def getnameinfo(self, *args: Any) -> Any:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(NoNames())
    error = await failure(HttpClient(), "http://exchange.invalid/")
    assert (error.kind, error.maybe_sent) == ("dns", False)


async def test_untrusted_certificate_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async with server(replying(answer()), self_signed(tmp_path)) as url:
        error = await failure(HttpClient(), url)
    assert (error.kind, error.maybe_sent) == ("tls", False)


async def test_trusted_certificate_is_spoken_to_and_its_connection_kept(tmp_path: Path) -> None:
    tls = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=tmp_path / "stand-in.pem")
    async with server(replying(answer(b"safe")), tls) as url, aclosing(HttpClient(tls=trust)) as client:
        bodies = [(await client.request("GET", url, {}, None, 5)).body for _ in range(2)]
    assert (bodies, client.opened) == ([b"safe", b"safe"], 1)


async def test_no_answer_in_time_may_have_been_sent() -> None:
    async def hang(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with server(hang) as url:
        error = await failure(HttpClient(), url, timeout=0.05)
    assert (error.kind, error.maybe_sent) == ("timeout", True)


@pytest.mark.parametrize("secured", [False, True])
async def test_a_kept_connection_that_falls_silent_is_given_up_in_time_and_closed(
    secured: bool, tmp_path: Path
) -> None:
    ended = trio.Event()

    async def once_then_silent(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(answer())
        await read_request(stream)
        with suppress(trio.BrokenResourceError):
            await stream.receive_some(1)
        ended.set()

    tls = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=tmp_path / "stand-in.pem")
    serving = server(once_then_silent, tls if secured else None)
    async with serving as url, aclosing(HttpClient(tls=trust)) as client:
        await client.request("GET", url, {}, None, 5)
        error = await failure(client, url, timeout=0.05)
        with trio.fail_after(10):
            await ended.wait()
    assert (error.kind, error.maybe_sent, client.opened) == ("timeout", True, 1)


async def test_waiting_for_a_free_connection_in_vain_was_not_sent() -> None:
    async def hang(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    client = HttpClient(max_connections=1)
    async with server(hang) as url, trio.open_nursery() as nursery:
        nursery.start_soon(client.request, "GET", url, {}, None, 60)
        await trio.testing.wait_all_tasks_blocked(0.02)
        error = await failure(client, url, timeout=0.05)
        nursery.cancel_scope.cancel()
    assert (error.kind, error.maybe_sent) == ("timeout", False)


async def reset(stream: trio.SocketStream) -> None:
    await read_request(stream)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def close(stream: trio.SocketStream) -> None:
    await read_request(stream)


async def cut(stream: trio.SocketStream) -> None:
    await read_request(stream)
    await stream.send_all(answer(b"0123456789")[:-5])


@pytest.mark.parametrize("handle", [reset, close, cut])
async def test_connection_lost_after_the_request_may_have_been_sent(handle: Handler) -> None:
    async with server(handle) as url:
        error = await failure(HttpClient(), url)
    assert (error.kind, error.maybe_sent) == ("closed", True)


BODY = b'{"answer": "' + b"x" * 1000 + b'"}'
RAW_DEFLATE = zlib.compressobj(wbits=-15)
CODINGS = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "Deflate": RAW_DEFLATE.compress(BODY) + RAW_DEFLATE.flush(),
    "identity": BODY,
}


@pytest.mark.parametrize("coding", CODINGS)
async def test_packed_answer_is_unpacked(coding: str) -> None:
    async with server(replying(answer(CODINGS[coding], f"Content-Encoding: {coding}\r\n"))) as url:
        assert (await get(url))[0][0].body == BODY


async def test_chunked_answer_is_joined() -> None:
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with server(replying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)) as url:
        assert (await get(url))[0][0].body == b"abcde"


async def test_answer_without_a_length_ends_with_the_connection() -> None:
    async def old(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold style")

    async with server(old) as url:
        [response], _ = await get(url)
    assert (response.status, response.body) == (200, b"old style")


async def test_interim_answer_is_skipped() -> None:
    async with server(replying(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"real"))) as url:
        [response], _ = await get(url)
    assert (response.status, response.body) == (200, b"real")


TOO_LARGE = [
    answer(b"x" * 5000),
    answer(gzip.compress(b"x" * 5000), "Content-Encoding: gzip\r\n"),
]


@pytest.mark.parametrize("reply", TOO_LARGE, ids=["plain", "bomb"])
async def test_oversized_answer_is_given_up(reply: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fks.venues.http._CHUNK", 1000)
    async with server(replying(reply)) as url:
        error = await failure(HttpClient(max_body=2000), url)
    assert (error.kind, error.maybe_sent) == ("too_large", True)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(gzip.compress(BODY, mtime=0)[:-20], "Content-Encoding: gzip\r\n"), "closed"),
        (answer(b"not gzip", "Content-Encoding: gzip\r\n"), "protocol"),
        (answer(b"odd", "Content-Encoding: br\r\n"), "protocol"),
        (b"NOT HTTP AT ALL\r\n\r\n", "protocol"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "protocol"),
    ],
)
async def test_unreadable_answer_may_have_been_sent(reply: bytes, kind: str) -> None:
    async with server(replying(reply)) as url:
        error = await failure(HttpClient(), url)
    assert (error.kind, error.maybe_sent) == (kind, True)


async def test_redirect_is_handed_back_and_never_followed() -> None:
    seen: list[bytes] = []

    async def redirect(stream: trio.SocketStream) -> None:
        while request := await read_request(stream):
            seen.append(request)
            await stream.send_all(answer(b"", "Location: /elsewhere\r\n", "307 Temporary Redirect"))

    async with server(redirect) as url:
        [response], _ = await get(url)
    assert (response.status, len(seen)) == (307, 1)


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://127.0.0.1:1/", "a\r\nX-Injected: b"),
        ("http://127.0.0.1:1/", "a\rX-Injected: b"),
        ("http://127.0.0.1:1/?a=b\nX-Injected: b", "a"),
        ("http://127.0.0.1:1/", "\u20ac"),
        ("ftp://127.0.0.1/", "a"),
    ],
)
async def test_request_that_cannot_be_said_is_not_sent(url: str, header: str) -> None:
    error = await failure(HttpClient(), url, name=header)
    assert (error.kind, error.maybe_sent) == ("protocol", False)


@pytest.mark.parametrize(
    ("address", "target"),
    [("", "/"), ("?", "/"), ("?a=/?b", "/?a=/?b"), ("/a%2Fb?c=%20#top", "/a%2Fb?c=%20"), ("#?a", "/")],
)
async def test_target_is_the_address_as_it_was_signed(address: str, target: str) -> None:
    async def mirror(stream: trio.SocketStream) -> None:
        while request := await read_request(stream):
            await stream.send_all(answer(request.split(b" ")[1]))

    async with server(mirror) as url:
        responses, _ = await get(url + address)
    assert responses[0].body.decode() == target


async def test_cancelling_closes_the_connection_at_once() -> None:
    closed = trio.Event()

    async def watch(stream: trio.SocketStream) -> None:
        await read_request(stream)
        assert await stream.receive_some() == b""
        closed.set()

    async with server(watch) as url:
        with trio.move_on_after(0.05):
            await HttpClient().request("GET", url, {}, None, 60)
        with trio.fail_after(10):
            await closed.wait()


async def test_closed_client_sends_nothing() -> None:
    client = HttpClient()
    await client.aclose()
    error = await failure(client, "http://127.0.0.1:1/")
    assert (error.kind, error.maybe_sent) == ("closed", False)


async def test_header_names_are_canonical_and_repeats_are_joined() -> None:
    async with server(replying(answer(b"", "retry-AFTER: 7\r\nVia: a\r\nvia: b\r\n"))) as url:
        [response], _ = await get(url)
    assert (response.headers["Retry-After"], response.headers["Via"]) == ("7", "a, b")


@settings(max_examples=50)
@given(body=st.binary(max_size=200), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_an_answer_reads_alike_however_it_is_cut_into_pieces(body: bytes, cuts: list[int]) -> None:
    wire = answer(body, "X-One: 1\r\n")
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    parsed = _Answer(limit=1000)
    for start, end in pairwise(edges):
        if end > start:
            parsed.feed(wire[start:end], end)
    assert parsed.complete
    assert (b"".join(parsed.chunks), parsed.headers["X-One"]) == (body, "1")
