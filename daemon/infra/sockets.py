"""Listening sockets: bound by us, or passed by systemd."""

import errno
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from fks.domain.errors import Fatal

BACKLOG = 1024
FIRST_PASSED_FD = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)
_UNIX = "unix:"
_ROLES = ("door", "desk")


class BindError(Fatal):
    """An address cannot be listened on; the message says which, why and what to do."""


def bind(address: str) -> socket.socket:
    """A listening stream socket on `host:port`, `[v6]:port` or `unix:/path`. Port 0 picks a free one.

    A name that stands for several addresses is bound to its first. Raises BindError.
    """
    if address.startswith(_UNIX):
        return _bind_unix(Path(address.removeprefix(_UNIX)))
    return _bind_tcp(address)


def _bind_tcp(address: str) -> socket.socket:
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise BindError(f"cannot listen on {address!r}: write host:port, [v6]:port or unix:/path")
    if ":" in host and not bracketed:
        raise BindError(f"cannot listen on {address!r}: put an IPv6 address in brackets, as in [::1]:8080")
    host = host[1:-1] if bracketed else host
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise BindError(f"cannot listen on {address}: {host} is not an address of a machine") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # [::] means IPv6; 0.0.0.0 may be listed beside it
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise BindError(_why(f"port {port} on {host}", error)) from error
    return listener


def _bind_unix(path: Path) -> socket.socket:
    _clear_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o660)  # before listen: until then nobody can connect, whatever the umask
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise BindError(_why(f"the socket file {path}", error)) from error
    return listener


def _clear_stale(path: Path) -> None:
    """Remove the socket file of a process that is gone. Raises BindError if anybody may still be there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise BindError(_why(f"the socket file {path}", error)) from error
    if not stat.S_ISSOCK(mode):
        raise BindError(f"cannot listen on {path}: a file that is no socket is there; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog answers EAGAIN: somebody is there
        outcome = probe.connect_ex(str(path))
    if outcome != errno.ECONNREFUSED:
        raise BindError(
            f"the socket file {path} is in use: another process answers there; stop it or choose another path"
        )
    path.unlink(missing_ok=True)


def _why(what: str, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{what} is in use: stop the process that listens there, or choose another address"
        case errno.EACCES | errno.EPERM:
            return f"{what} is not allowed for this user: choose another (a port below 1024 needs a right)"
        case errno.EADDRNOTAVAIL:
            return f"{what} is not possible: this machine does not have that address"
        case _:
            return f"{what} cannot be listened on: {error.strerror or error}"


def passed(
    env: Mapping[str, str], pid: int, *, first_fd: int = FIRST_PASSED_FD
) -> dict[str, list[socket.socket]]:
    """The sockets that systemd passed to process `pid`, under "door" and "desk" (sd_listen_fds(3)).

    FileDescriptorName= tells which is which. Of sockets with any other name, the first is the door and
    the second the desk. Empty when nothing was passed to this very process. Raises BindError.
    """
    if env.get("LISTEN_PID") != str(pid):
        return {}
    count = env.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdigit()):
        raise BindError(f"LISTEN_FDS is {count!r}, not a number: start the daemon through its socket unit")
    roles = _roles(env.get("LISTEN_FDNAMES", "").split(":"), int(count))
    found: dict[str, list[socket.socket]] = {}
    for fd, role in enumerate(roles, first_fd):
        found.setdefault(role, []).append(_adopt(fd, role))
    return found


def _roles(names: Sequence[str], count: int) -> list[str]:
    unnamed = iter(_ROLES)
    roles = []
    for index in range(count):
        name = names[index] if index < len(names) else ""
        role = name if name in _ROLES else next(unnamed, None)
        if role is None:
            raise BindError(
                f"systemd passed {count} sockets and {name!r} is one too many: "
                "set FileDescriptorName=door or desk in each socket unit"
            )
        roles.append(role)
    return roles


def _adopt(fd: int, role: str) -> socket.socket:
    try:
        os.set_inheritable(fd, False)  # set close-on-exec: no child may hold the address
        listener = socket.socket(fileno=fd)
        ready = listener.type == socket.SOCK_STREAM and listener.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        )
    except OSError as error:
        raise BindError(f"descriptor {fd}, passed as the {role}, is no socket: {error.strerror}") from error
    if not ready:
        listener.close()
        raise BindError(
            f"descriptor {fd}, passed as the {role}, does not listen: use ListenStream= and Accept=no"
        )
    return listener
