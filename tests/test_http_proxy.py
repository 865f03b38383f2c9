"""Through a proxy: every connection goes there, and its refusal proves that nothing was sent."""

import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from fks.domain.errors import Fatal
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.infra.config_rules import proxy_url
from fks.venues.ccxt_session import make_exchange
from fks.venues.http import HttpClient, TransportError
from fks.venues.http_proxy import Proxy, parse_proxy
from raw_server import Handler, answer, read_request, replying, self_signed, server

pytestmark = pytest.mark.real_time

USER, PASSWORD = "me", "se:cret@1"


@dataclass
class ProxyServer:
    """A proxy that connects every name with one port of loopback, or says what it is told to instead."""

    scheme: str
    instead: bytes | None = None
    guarded: bool = False
    targets: list[tuple[str, int]] = field(default_factory=list)
    url: str = ""
    port: int = 0  # where connections really go

    @asynccontextmanager
    async def running(self, upstream: str, tls: ssl.SSLContext | None = None) -> AsyncIterator["ProxyServer"]:
        self.port = int(upstream.rpartition(":")[2])
        async with server(self._socks if self.scheme == "socks5" else self._http, tls) as url:
            self.url = f"{self.scheme}://{url.partition('://')[2]}"
            yield self

    async def _http(self, stream: trio.SocketStream) -> None:
        head = (await read_request(stream)).decode()
        method, target, _ = head.partition("\r\n")[0].split(" ")
        assert method == "CONNECT"
        host, _, port = target.rpartition(":")
        self.targets.append((host, int(port)))
        wanted = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.guarded and f"Proxy-Authorization: Basic {wanted}" not in head:
            await stream.send_all(answer(b"", "", "407 Proxy Authentication Required"))
            return
        await stream.send_all(self.instead or b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
        if self.instead is None:
            await self._pass_on(stream)

    async def _socks(self, stream: trio.SocketStream) -> None:
        version, count = await read(stream, 2)
        methods = await read(stream, count)
        assert version == 5
        await stream.send_all(b"\x05\x02" if self.guarded else b"\x05\x00")
        if self.guarded:
            if 2 not in methods:
                return
            await read(stream, 1)
            user = await read(stream, (await read(stream, 1))[0])
            password = await read(stream, (await read(stream, 1))[0])
            good = (user.decode(), password.decode()) == (USER, PASSWORD)
            await stream.send_all(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return
        kind = (await read(stream, 4))[3]
        host = await read(stream, (await read(stream, 1))[0] if kind == 3 else 4)
        name = host.decode() if kind == 3 else ".".join(map(str, host))
        self.targets.append((name, int.from_bytes(await read(stream, 2), "big")))
        await stream.send_all(self.instead or b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01")
        if self.instead is None:
            await self._pass_on(stream)

    async def _pass_on(self, stream: trio.SocketStream) -> None:
        upstream = await trio.open_tcp_stream("127.0.0.1", self.port)

        async def pump(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
            with suppress(trio.BrokenResourceError):
                while data := await source.receive_some():
                    await sink.send_all(data)
            nursery.cancel_scope.cancel()

        async with upstream, trio.open_nursery() as nursery:
            nursery.start_soon(pump, stream, upstream)
            nursery.start_soon(pump, upstream, stream)


async def read(stream: trio.SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive_some(count - len(data)) or b"\0" * count
    return data


@asynccontextmanager
async def proxied(scheme: str, *answers: bytes, guarded: bool = False) -> AsyncIterator[ProxyServer]:
    """A proxy with a server behind it."""
    behind = ProxyServer(scheme, guarded=guarded)
    async with server(replying(*answers)) as upstream, behind.running(upstream) as proxy:
        yield proxy


def through(url: str, tls: ssl.SSLContext | None = None, credentials: str = "") -> HttpClient:
    scheme, _, address = url.partition("://")
    return HttpClient(proxy=parse_proxy(f"{scheme}://{credentials}{address}"), tls=tls)


async def refusal(client: HttpClient, url: str = "http://exchange.test:1234/") -> TransportError:
    async with aclosing(client):
        with pytest.raises(TransportError) as caught:
            await client.request("GET", url, {}, None, 5)
    assert not caught.value.maybe_sent
    return caught.value


GIVEN = "me:se%3Acret%401@"


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_requests_go_through_one_kept_tunnel_and_the_proxy_resolves_the_name(
    scheme: str, guarded: bool
) -> None:
    url, given = "http://exchange.test:1234/path", GIVEN if guarded else ""
    async with (
        proxied(scheme, answer(b"one"), answer(b"two"), guarded=guarded) as proxy,
        aclosing(through(proxy.url, credentials=given)) as client,
    ):
        bodies = [(await client.request("GET", url, {}, None, 5)).body for _ in range(2)]
    assert (bodies, proxy.targets) == ([b"one", b"two"], [("exchange.test", 1234)])


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_credentials_are_not_offered_to_a_proxy_that_asks_for_none(scheme: str) -> None:
    async with (
        proxied(scheme, answer(b"one")) as proxy,
        aclosing(through(proxy.url, credentials=GIVEN)) as client,
    ):
        response = await client.request("GET", "http://127.0.0.1:9/", {}, None, 5)
    assert (response.body, proxy.targets) == (b"one", [("127.0.0.1", 9)])


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_the_exchange_s_certificate_is_verified_through_the_tunnel(scheme: str, tmp_path: Path) -> None:
    tls = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=tmp_path / "stand-in.pem")
    outer = tls if scheme == "https" else None
    async with (
        server(replying(answer(b"safe")), tls) as upstream,
        ProxyServer(scheme).running(upstream, outer) as proxy,
    ):
        async with aclosing(through(proxy.url, trust)) as client:
            bodies = [(await client.request("GET", upstream, {}, None, 5)).body for _ in range(2)]
        untrusting = await refusal(through(proxy.url), upstream)
    assert (bodies, client.opened) == ([b"safe", b"safe"], 1)
    assert untrusting.kind == "tls"


@pytest.mark.parametrize(
    ("scheme", "instead", "told"),
    [
        ("http", b"HTTP/1.1 403 Forbidden\r\n\r\n", "403"),
        ("http", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}", "502"),
        ("http", b"SSH-2.0-OpenSSH\r\n\r\n", "HTTP"),
        ("http", b"", "HTTP"),
        ("http", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n", "HTTP"),
        ("http", b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "sent data"),
        ("socks5", b"\x05\x02\x00\x01", "not allowed"),
        ("socks5", b"\x05\x05\x00\x01", "refused"),
        ("socks5", b"\x05\x99\x00\x01", "153"),
        ("socks5", b"\x05\x00", "closed"),
    ],
)
async def test_refusal_of_the_proxy_is_not_sent(scheme: str, instead: bytes, told: str) -> None:
    reached: list[bytes] = []

    async def exchange(stream: trio.SocketStream) -> None:
        reached.append(await read_request(stream))

    between = ProxyServer(scheme, instead=instead or b"\r\n")
    async with server(exchange) as upstream, between.running(upstream) as proxy:
        error = await refusal(through(proxy.url))
    assert (error.kind, reached) == ("proxy", [])
    assert told in str(error)
    assert proxy.url.rpartition("/")[2] in str(error)


@pytest.mark.parametrize("credentials", ["", "me:wrong-password@"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_refused_credentials_are_not_sent_and_not_told(scheme: str, credentials: str) -> None:
    async with ProxyServer(scheme, guarded=True).running("http://127.0.0.1:1") as proxy:
        error = await refusal(through(proxy.url, credentials=credentials))
    assert error.kind == "proxy"
    assert "user name" in str(error)
    assert "wrong-password" not in repr(error) + repr(error.__cause__)


async def test_socks_server_that_is_none_is_refused() -> None:
    async with server(hang_up) as url:
        silent = await refusal(through(url.replace("http", "socks5")))
    async with server(replying_at_once(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        other = await refusal(through(url.replace("http", "socks5")))
    assert "closed" in str(silent)
    assert "does not speak SOCKS5" in str(other)


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.receive_some()


def replying_at_once(data: bytes) -> Handler:
    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(data)

    return handle


async def test_absent_or_silent_proxy_is_not_sent() -> None:
    async with server(hang) as url:
        client = HttpClient(proxy=parse_proxy(url), connect_timeout=0.05)
        assert (await refusal(client)).kind == "timeout"
    assert (await refusal(HttpClient(proxy=Proxy("http", "127.0.0.1", 1)))).kind == "connect"


async def hang(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


# --- its address


def test_address_of_a_proxy_is_read() -> None:
    assert parse_proxy("http://h") == Proxy("http", "h", 80)
    assert parse_proxy("https://h:8443/") == Proxy("https", "h", 8443)
    assert parse_proxy("socks5://u:p%40s@[::1]") == Proxy("socks5", "::1", 1080, "u", Secret("p@s"))
    assert "p@s" not in repr(parse_proxy("socks5://u:p%40s@[::1]"))


@pytest.mark.parametrize(
    "url", ["h:80", "ftp://canary@h", "socks4://h", "http://", "http://h:canary", "http://h:0"]
)
def test_what_is_no_address_of_a_proxy_is_refused_and_not_quoted(url: str) -> None:
    told = proxy_url(Secret(url)) or ""
    assert "socks5://" in told
    assert "canary" not in told
    if url != "http://h:0":
        with pytest.raises(ValueError, match="address") as caught:
            parse_proxy(url)
        assert "canary" not in str(caught.value)
        with pytest.raises(Fatal, match="proxy: not an"):
            make_exchange("mine", account(url), 1.0)


@pytest.mark.parametrize("url", ["", "http://h", "https://u:p@h:3128", "socks5://127.0.0.1:1080/"])
def test_address_of_a_proxy_may_be_configured(url: str) -> None:
    assert proxy_url(Secret(url)) is None


def test_more_than_an_address_is_refused() -> None:
    assert "more than" in str(proxy_url(Secret("http://h/path")))


def account(proxy: str) -> AccountSettings:
    key = Secret("0123456789")
    return AccountSettings(type="binance", api_key=key, api_secret=key, proxy=Secret(proxy))


async def test_an_account_s_requests_go_through_its_proxy() -> None:
    async with proxied("http", answer(b'{"serverTime": 1700000000000}')) as proxy:
        exchange = make_exchange("mine", account(proxy.url), 5.0)
        exchange.base_url = "http://exchange.test:1234"
        assert await exchange.fetch_time() == 1_700_000_000_000
        await exchange.close()
    assert proxy.targets == [("exchange.test", 1234)]
