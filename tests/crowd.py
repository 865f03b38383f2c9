"""Many senders at the door in the same moment."""

from collections.abc import Sequence

import trio

from fks.domain.auth import sign
from process import SECRET, Daemon


async def knock(door: tuple[str, int], sent: bytes, statuses: list[int]) -> None:
    head = f"POST /webhook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Signature: {sign(SECRET, sent)}\r\n"
    try:
        stream = await trio.open_tcp_stream(*door)
        async with stream:
            await stream.send_all(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
            reply = b"".join([part async for part in stream])
        statuses.append(int(reply.split(b" ", 2)[1]))
    except (OSError, IndexError, trio.BrokenResourceError):
        statuses.append(0)


def at_once(daemon: Daemon, bodies: Sequence[bytes]) -> list[int]:
    """The statuses of the replies; 0 where the daemon died meanwhile."""
    statuses: list[int] = []

    async def all_at_once() -> None:
        async with trio.open_nursery() as nursery:
            for one in bodies:
                nursery.start_soon(knock, daemon.door, one, statuses)

    trio.run(all_at_once)
    return statuses
