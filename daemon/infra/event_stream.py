"""The journal as server-sent events (WHATWG HTML, 9.2): replay, then everything as it lands.

A broadcast says only "look again"; what is sent is what the journal holds after the last event that was
sent. So there is no gap and no double by construction, however slow a listener is, and nothing is
buffered for it.
"""

from collections.abc import AsyncGenerator, Sequence

import msgspec
import trio

from fks.domain.errors import Overloaded
from fks.domain.messages import Event
from fks.domain.views import event_view
from fks.kernel import Broadcast
from fks.ledger import Journal

HEARTBEAT_S = 15.0  # under the usual 30 to 60 s after which a proxy gives up on a silent reply
READ_S = 5.0
PAGE = 500
_WAKES = 256


def frame(event: Event) -> bytes:
    """One event on the wire. JSON has no raw line break, so `data` is one line."""
    data = msgspec.json.encode(event_view(event))
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.kind.encode(), data)


async def event_stream(
    journal: Journal, events: Broadcast[Sequence[Event]], after: int | None
) -> AsyncGenerator[bytes, None]:
    """Every committed event with `seq` above `after`; None: those from now on. With heartbeats.

    It ends when the journal does not answer: the client comes back with the last id that it has.
    """
    with events.listen(_WAKES) as landed:  # before the first read, so that nothing lands in between
        yield b": journal events\n\n"
        while True:
            while after is not None:
                try:
                    page = await _page(journal, after)
                except (Overloaded, trio.TooSlowError):
                    return
                if not page:
                    break
                after = page[-1].seq
                yield b"".join(map(frame, page))
            batch: Sequence[Event] = ()
            with trio.move_on_after(HEARTBEAT_S):
                batch = await landed.receive()
            if not batch:
                yield b": still here\n\n"
            elif after is None:
                after = batch[0].seq - 1
            _drain(landed)


async def _page(journal: Journal, after: int) -> list[Event]:
    return await journal.read(lambda reader: reader.events(after, PAGE), within=READ_S)


def _drain(landed: trio.MemoryReceiveChannel[Sequence[Event]]) -> None:
    try:
        while True:
            landed.receive_nowait()
    except trio.WouldBlock:
        return
