"""Building a big table in a thread without the garbage collector stopping all the others."""

import gc
from threading import Lock


class LongLived:
    """`with LONG_LIVED:` around the building of what may stay, and `keep` once it is built. May be entered by
    several threads at once.

    A full collection stops every thread for as long as it looks at all objects: 75 ms with 2,000 markets.
    It does not run meanwhile, and does not look at the table later. Being part of no cycle, the table is
    freed all the same when it is replaced; garbage in a cycle would stay for ever. So what there is of it is
    collected before, and nothing is kept without `keep`: an exchange that does not answer is asked again
    and again.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._built = False  # something that stays, by any of the threads inside

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                gc.collect()
                gc.disable()
                self._built = False
            self._inside += 1

    def keep(self) -> None:
        """Spare the collector what was built."""
        self._built = True

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                if self._built:
                    gc.freeze()
                gc.enable()


LONG_LIVED = LongLived()  # the collector is the process's, so there is one
