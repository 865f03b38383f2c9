"""Where log lines go, without ever waiting for who reads them."""

import os
import select
import threading
from collections.abc import Callable
from typing import BinaryIO


class Sink:
    """The last step of structlog's chain: takes rendered lines, from any thread.

    What a line's writing must not do is stop the daemon. A line is written at once and unbuffered, so
    that a kill loses none; but if the reader is so far behind that the write would block, the line is
    dropped and counted, and `notice(count)` is written first when there is room again. The same goes
    for a reader that has gone and for a full disk: the journal is the record, the log is not.
    """

    def __init__(self, stream: BinaryIO, notice: Callable[[int], bytes]) -> None:
        self._stream = stream
        self._notice = notice
        self._lock = threading.Lock()
        self._dropped = 0
        self._cut = False  # the last line is on the wire without its end
        stream.flush()
        try:
            descriptor = stream.fileno()
        except OSError:  # a buffer in memory
            self._ready: Callable[[], object] = lambda: True
            self._put: Callable[[bytes], int] = stream.write
        else:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            self._ready = lambda: poll.poll(0)
            self._put = lambda data: os.write(descriptor, data)

    def msg(self, line: bytes) -> None:
        """Write the line and its end, or drop it."""
        with self._lock:
            before = b"\n" if self._cut else b""
            if self._dropped:
                before += self._notice(self._dropped) + b"\n"
            if self._write(before + line + b"\n"):
                self._dropped = 0
            else:
                self._dropped += 1

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg

    def _write(self, data: bytes) -> bool:
        sent = 0
        try:
            # A closed descriptor's number may be another file's by now.
            while sent < len(data) and not self._stream.closed and self._ready():
                # A pipe that is ready takes this much without blocking (POSIX), and perhaps no more.
                sent += self._put(data[sent : sent + select.PIPE_BUF])
        except OSError:
            pass  # nobody reads, or there is no space: both may come back
        if sent:
            self._cut = sent < len(data)
        return sent == len(data)
