"""When an answer is overdue its connection is closed, to the moment, and nobody else's."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trio
import trio.testing

from fks.venues.http_deadlines import Deadlines
from fks.venues.http_socket import TcpStream


@contextmanager
def waiting(count: int) -> Iterator[list[TcpStream]]:
    """Connections to peers that never say anything."""
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(count)]
        for near, far in pairs:
            stack.enter_context(near)
            stack.enter_context(far)
        yield [TcpStream(near) for near, _ in pairs]


async def closed_at(tcp: TcpStream) -> float:
    with pytest.raises(trio.ClosedResourceError):
        await tcp.receive_some()
    return trio.current_time()


@pytest.mark.parametrize("seconds", [(3.0, 1.0, 2.0), (1.0, 2.0, 3.0), (2.0, 2.0, 0.0)])
async def test_each_is_closed_at_its_own_time(
    seconds: tuple[float, ...], autojump_clock: trio.testing.MockClock
) -> None:
    began, deadlines, closed = trio.current_time(), Deadlines(), {}

    async def one(index: int, tcp: TcpStream) -> None:
        deadlines.set(tcp, began + seconds[index])
        closed[index] = await closed_at(tcp) - began
        assert not deadlines.clear(tcp)

    with waiting(len(seconds)) as streams:
        async with trio.open_nursery() as nursery:
            for index, tcp in enumerate(streams):
                nursery.start_soon(one, index, tcp)
    assert closed == pytest.approx(dict(enumerate(seconds)))


async def test_what_is_cleared_stays_open_and_may_be_set_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    deadlines = Deadlines()
    with waiting(1) as [tcp]:
        for _ in range(3):  # the task looks in vain, ends, and is started again
            deadlines.set(tcp, trio.current_time() + 1)
            await trio.sleep(0.5)
            assert deadlines.clear(tcp)
            await trio.sleep(5)
            assert not tcp.readable
        began = trio.current_time()
        deadlines.set(tcp, began + 2)
        assert await closed_at(tcp) == pytest.approx(began + 2)


async def test_without_requests_there_is_no_task(autojump_clock: trio.testing.MockClock) -> None:
    before, deadlines = trio.lowlevel.current_statistics().tasks_living, Deadlines()
    with waiting(1) as [tcp]:
        deadlines.set(tcp, trio.current_time() + 1)
        assert trio.lowlevel.current_statistics().tasks_living == before + 1
        assert deadlines.clear(tcp)
        await trio.sleep(2)
    assert trio.lowlevel.current_statistics().tasks_living == before
