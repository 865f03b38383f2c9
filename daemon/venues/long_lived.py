"""Building a big table in a thread without the garbage collector stopping all the others."""

import gc
from threading import Lock


class LongLived:
    """`with LONG_LIVED:` around the building of what stays. May be entered by several threads at once.

    A full collection stops every thread for as long as it looks at all objects: 75 ms with 2,000 markets.
    It does not run meanwhile, and does not look at the table later. Being part of no cycle, the table is
    freed all the same when it is replaced; what was garbage and in a cycle at that moment is not.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            gc.disable()

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                gc.freeze()
                gc.enable()


LONG_LIVED = LongLived()  # the collector is the process's, so there is one
