"""The two addresses of the daemon: passed by systemd, or bound here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from socket import AF_UNIX, socket

from fks.domain.settings import ServerSettings
from fks.infra import sockets


@dataclass(frozen=True, slots=True)
class Listeners:
    """Listening sockets of the door (alerts) and the desk (operators).

    `held`: by systemd; who connects to the door between two daemons waits there for the next one.
    """

    door: tuple[socket, ...]
    desk: tuple[socket, ...]
    held: bool = False

    @classmethod
    def open(cls, settings: ServerSettings, env: Mapping[str, str], pid: int) -> "Listeners":
        """Sockets passed by systemd win over the configured addresses. Raises BindError."""
        passed = sockets.passed(env, pid)
        return cls(
            door=tuple(passed.get("door") or map(sockets.bind, settings.listen)),
            desk=tuple(passed.get("desk") or map(sockets.bind, settings.admin)),
            held="door" in passed,
        )

    @property
    def door_names(self) -> tuple[str, ...]:
        return _names(self.door)

    @property
    def desk_names(self) -> tuple[str, ...]:
        return _names(self.desk)

    def close(self) -> None:
        for listener in (*self.door, *self.desk):
            listener.close()


def _names(listeners: Sequence[socket]) -> tuple[str, ...]:
    """As in the configuration: `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/fks/door`."""
    names = []
    for listener in listeners:
        if listener.family == AF_UNIX:
            names.append(f"unix:{listener.getsockname()}")
        else:
            host, port, *_ = listener.getsockname()
            names.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    return tuple(names)
