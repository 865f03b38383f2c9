"""The TCP stream under the HTTP client: what it promises about bytes, cancellation and closing."""

import socket
from collections.abc import AsyncIterator

import pytest
import trio

from fks.venues.http_socket import TcpStream

pytestmark = pytest.mark.real_time

MUCH = b"0123456789" * 400_000  # more than the buffers of a pair hold


@pytest.fixture
async def pair() -> AsyncIterator[tuple[TcpStream, socket.socket]]:
    near, far = socket.socketpair()
    stream = TcpStream(near)
    yield stream, far
    stream.close()
    far.close()


Pair = tuple[TcpStream, socket.socket]


async def test_what_does_not_fit_at_once_is_sent_in_parts(pair: Pair) -> None:
    stream, far = pair
    received = bytearray()

    def read() -> None:
        while len(received) < len(MUCH):
            received.extend(far.recv(65536))

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, read)
            await stream.send_all(MUCH)
    assert received == MUCH


async def test_cancelled_before_sending_sends_nothing(pair: Pair) -> None:
    stream, far = pair
    with trio.CancelScope() as scope:
        scope.cancel()
        await stream.send_all(b"order")
    assert scope.cancelled_caught
    far.setblocking(False)
    with pytest.raises(BlockingIOError):
        far.recv(1)


async def test_receiving_can_be_cancelled_although_something_came(pair: Pair) -> None:
    stream, far = pair
    far.send(b"answer")
    with trio.CancelScope() as scope:
        scope.cancel()
        await stream.receive_some()
    assert scope.cancelled_caught
    assert await stream.receive_some() == b"answer"


async def test_receives_no_more_than_asked_for_and_nothing_at_the_end(pair: Pair) -> None:
    stream, far = pair
    assert not stream.readable
    far.send(b"answer")
    assert stream.readable
    assert await stream.receive_some(4) == b"answ"
    assert await stream.receive_some() == b"er"
    far.close()
    assert stream.readable
    assert await stream.receive_some() == b""


async def test_sending_to_nobody_is_a_broken_connection(pair: Pair) -> None:
    stream, far = pair
    far.close()
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"order")


@pytest.mark.parametrize("doing", ["receive", "send"])
async def test_closing_wakes_who_waits(pair: Pair, doing: str) -> None:
    stream, _ = pair
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def wait() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await (stream.receive_some() if doing == "receive" else stream.send_all(MUCH))

            await trio.testing.wait_all_tasks_blocked()
            stream.close()


async def test_closed_it_carries_nothing_and_closes_again(pair: Pair) -> None:
    stream, _ = pair
    await stream.aclose()
    stream.close()
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"order")
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()
