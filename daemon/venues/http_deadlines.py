"""One task that closes every connection whose answer is overdue.

A cancel scope around each request does the same, and costs 5 % of an order.
"""

import trio

from fks.venues.http_socket import TcpStream


class Deadlines:
    """Of the requests under way on one client. Times are the trio run's own.

    The task ends when it finds nothing under way, and the next request starts it again: mostly one lives
    for as long as a request may take, and sees hundreds of them come and go.
    """

    def __init__(self) -> None:
        self._due: dict[TcpStream, float] = {}
        self._rest: trio.CancelScope | None = None  # ends at the earliest time that may be due; None: no task

    def set(self, tcp: TcpStream, due: float) -> None:
        """Close `tcp` at `due`, unless it was `cleared` by then."""
        self._due[tcp] = due
        if self._rest is None:
            self._rest = trio.CancelScope(deadline=due)
            trio.lowlevel.spawn_system_task(self._watch)
        elif due < self._rest.deadline:
            self._rest.deadline = due

    def clear(self, tcp: TcpStream) -> bool:
        """Whether it was in time; if not, `tcp` has been closed."""
        return self._due.pop(tcp, None) is not None

    async def _watch(self) -> None:
        while self._rest is not None:
            with self._rest:
                await trio.sleep_forever()
            now = trio.current_time()
            for tcp in [tcp for tcp, due in self._due.items() if due <= now]:
                del self._due[tcp]
                tcp.close()
            self._rest = trio.CancelScope(deadline=min(self._due.values())) if self._due else None
