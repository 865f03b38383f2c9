"""Through a proxy to an exchange: the few bytes that are exchanged before the connection is ours.

HTTP proxies are asked for a tunnel (CONNECT, RFC 9110, section 9.3.6) for plain http as well: a proxy that
forwarded the request itself could answer in the exchange's name, and its refusal would prove nothing.
SOCKS5 (RFC 1928, passwords by RFC 1929) is spoken here and not through a library: it is three messages of
fixed shape, and what a refusal proves has to be known at each byte.
Names are always resolved by the proxy: where one is needed, the local answer may be none or a wrong one.
"""

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import trio

from fks.domain.secret import Secret

Scheme = Literal["http", "https", "socks5"]

_PORTS: dict[Scheme, int] = {"http": 80, "https": 443, "socks5": 1080}
_MAX_HEAD = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n")

_SOCKS_REFUSALS = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}


class ProxyRefused(Exception):
    """The proxy did not make the connection; nothing of the request was sent."""


class Proxy(NamedTuple):
    """Where it listens and what it asks for; without a user name no credentials are offered."""

    scheme: Scheme
    host: str
    port: int
    user: str = ""
    password: Secret = Secret("")

    @property
    def place(self) -> str:
        return f"{self.scheme} proxy {self.host}:{self.port}"


def parse_proxy(url: str) -> Proxy:
    """Read `scheme://[user:password@]host[:port]`, percent-encoded. Raises ValueError without quoting."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("not an address") from None
    if parts.scheme not in _PORTS or not host:
        raise ValueError("not an http, https or socks5 address")
    scheme: Scheme = parts.scheme
    password = Secret(unquote(parts.password or ""))
    return Proxy(scheme, host, port or _PORTS[scheme], unquote(parts.username or ""), password)


async def tunnel(stream: trio.abc.Stream, proxy: Proxy, host: str, port: int) -> None:
    """Have the proxy connect `stream` with `host:port`. Raises ProxyRefused, or what the stream raises."""
    await (_socks5 if proxy.scheme == "socks5" else _connect)(stream, proxy, host, port)


async def _connect(stream: trio.abc.Stream, proxy: Proxy, host: str, port: int) -> None:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.user:
        credentials = b64encode(f"{proxy.user}:{proxy.password.reveal()}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    await stream.send_all("\r\n".join([*lines, "", ""]).encode("latin1"))
    head = b""
    while b"\r\n\r\n" not in head:
        more = await stream.receive_some(4096)
        head += more
        if not more or len(head) > _MAX_HEAD:
            raise ProxyRefused("it did not answer in HTTP")
    status = _STATUS.match(head)
    if status is None:
        raise ProxyRefused("it did not answer in HTTP")
    code = int(status[1])
    if code == 407:
        raise ProxyRefused("it wants another user name or password (407)")
    if not 200 <= code < 300:
        raise ProxyRefused(f"it answered {code}")
    if head.partition(b"\r\n\r\n")[2]:
        # An exchange speaks only when spoken to: these bytes would be read as its answer to an order.
        raise ProxyRefused("it sent data before the connection was used")


async def _socks5(stream: trio.abc.Stream, proxy: Proxy, host: str, port: int) -> None:
    receive = _exactly(stream)
    await stream.send_all(b"\x05\x02\x00\x02" if proxy.user else b"\x05\x01\x00")
    version, method = await receive(2)
    if version != 5:
        raise ProxyRefused("it does not speak SOCKS5")
    if method == 2 and proxy.user:
        await stream.send_all(b"\x01" + _counted(proxy.user) + _counted(proxy.password.reveal()))
        _, failed = await receive(2)
        if failed:
            raise ProxyRefused("it wants another user name or password")
    elif method != 0:
        raise ProxyRefused("it wants a user name and password")
    await stream.send_all(b"\x05\x01\x00" + _socks_address(host) + port.to_bytes(2, "big"))
    _, refusal, _, kind = await receive(4)
    if refusal:
        raise ProxyRefused(f"it said: {_SOCKS_REFUSALS.get(refusal, f'error {refusal}')}")
    # The address that it connected from: of no use, but it must be taken off the stream.
    lengths = {1: 4, 4: 16}
    length = lengths[kind] if kind in lengths else (await receive(1))[0]
    await receive(length + 2)


def _exactly(stream: trio.abc.Stream) -> Callable[[int], Awaitable[bytes]]:
    """Reads so many bytes and not one more: what follows is the exchange's."""

    async def receive(count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = await stream.receive_some(count - len(data))
            if not more:
                raise ProxyRefused("it closed the connection")
            data += more
        return data

    return receive


def _counted(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise ProxyRefused("a name or password over 255 bytes cannot be said in SOCKS5")
    return bytes([len(data)]) + data


def _socks_address(host: str) -> bytes:
    match _literal(host):
        case IPv4Address() as address:
            return b"\x01" + address.packed
        case IPv6Address() as address:
            return b"\x04" + address.packed
        case None:
            return b"\x03" + _counted(host)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
