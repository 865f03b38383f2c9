"""What the daemon tells systemd about itself: the notify protocol of sd_notify(3)."""

import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class NotifySocket:
    """The service manager's ear. Without one (`NOTIFY_SOCKET` is not set), nothing is said.

    A message is one datagram that is sent at once or not at all: the daemon never waits for systemd.
    """

    def __init__(self, env: Mapping[str, str], pid: int) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status = ""
        mine = env.get("WATCHDOG_PID", str(pid)) == str(pid)
        microseconds = env.get("WATCHDOG_USEC", "") if mine and address else ""
        self.watchdog_s = int(microseconds) / 1e6 if microseconds.isdigit() and int(microseconds) else None

    def ready(self) -> None:
        """The door accepts and the journal is open; also ends a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins. The time tells systemd which of several reloads has ended (sd_notify(3))."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The ping of the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; the same line again is not sent."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + text.replace("\n", " "))

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # Full, gone or refused: systemd's watchdog is what notices, and a lost line is no reason to die.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), self._address)
