"""The proxies' configurations in etc/, under real Caddy and nginx, before the real daemon, with TLS."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from fks.domain.auth import sign
from fks.infra.sockets import bind
from process import PATIENCE_S, SECRET, TESTS, Daemon, Reply

pytestmark = pytest.mark.real_time
ETC = TESTS.parent / "etc"
NAMES = ("caddy", "nginx")
_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
_SIGNER = "-CA ca.crt -CAkey ca.key -CAcreateserial"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, the site's certificate, and clients' by the names of their files."""
    folder = tmp_path_factory.mktemp("certificates")
    _openssl(
        folder,
        f"req -x509 {_KEY} -keyout ca.key -out ca.crt -subj /CN=CA",
    )
    for name, subject in {
        "site": "/CN=localhost",
        "tradingview": "/O=TradingView/CN=TradingView Webhooks",
        "stranger": "/CN=Not TradingView Webhooks",
    }.items():
        (folder / "names").write_text("subjectAltName=DNS:localhost")
        new = f"{_KEY} -keyout {name}.key -out {name}.csr -subj"
        _openssl(folder, f"req {new}", subject)
        _openssl(
            folder,
            f"x509 -req -in {name}.csr {_SIGNER} -out {name}.crt -extfile names",
        )
    return folder


def _openssl(folder: Path, options: str, *more: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["openssl", *options.split(), *more], cwd=folder, check=True, capture_output=True)


class Proxy:
    """`door`: what it is before."""

    def __init__(self, name: str, folder: Path, certificates: Path, door: tuple[str, int]) -> None:
        self.name = name
        self._folder = folder
        self._certificates = certificates
        self._door = "{}:{}".format(*door)
        self._port, self._plain = _free_port(), _free_port()

    @contextmanager
    def running(self, *, certified: bool = False) -> Iterator["Proxy"]:
        """`certified`: with the lines for a client certificate."""
        command = {"caddy": self._caddy, "nginx": self._nginx}[self.name](certified)
        with (self._folder / "log").open("wb") as log:
            environment = {
                **os.environ,
                "XDG_DATA_HOME": str(self._folder),
                "XDG_CONFIG_HOME": str(self._folder),
            }
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            _until_listening(self._port, process, self._folder / "log")
            yield self
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_S)

    def _text(self, file: str, certified: bool, changes: dict[str, str]) -> Path:
        text = (ETC / file).read_text()
        if certified:
            text = re.sub(r"(?m)^(\s*)#(?! )", r"\1", text)
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        path = self._folder / file
        path.write_text(text)
        return path

    def _caddy(self, certified: bool) -> list[str]:
        given = f"tls {self._certificates}/site.crt {self._certificates}/site.key"
        changes = {
            "admin off": f"admin off\n\thttp_port {self._plain}\n\thttps_port {self._port}",
            "{$FKS_SITE:alerts.example.org} {": f"https://localhost:{self._port} {{\n"
            + ("" if certified else given),
            "{$FKS_DOOR:127.0.0.1:8080}": self._door,
        }
        if certified:
            changes |= {
                "\ttls {": f"\t{given} {{",
                "/etc/ssl/certs/ca-certificates.crt": f"{self._certificates}/ca.crt",
            }
        path = self._text("Caddyfile", certified, changes)
        return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]

    def _nginx(self, certified: bool) -> list[str]:
        changes = {
            "server 127.0.0.1:8080": f"server {self._door}",
            "listen 443": f"listen 127.0.0.1:{self._port}",
            "/etc/ssl/fks/fullchain.pem": f"{self._certificates}/site.crt",
            "/etc/ssl/fks/privkey.pem": f"{self._certificates}/site.key",
            "/etc/ssl/certs/ca-certificates.crt": f"{self._certificates}/ca.crt",
        }
        site = self._text("nginx.conf", certified, changes)
        places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{each}_temp_path {self._folder}/{each};\n" for each in places)
        main = self._folder / "main.conf"
        main.write_text(
            f"daemon off; master_process off; pid {self._folder}/pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off; {temporary} include {site}; }}\n"
        )
        return ["nginx", "-e", "stderr", "-p", str(self._folder), "-c", str(main)]

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        client: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        context = ssl.create_default_context(cafile=self._certificates / "ca.crt")
        if client:
            context.load_cert_chain(
                self._certificates / f"{client}.crt", self._certificates / f"{client}.key"
            )
        connection = HTTPSConnection("localhost", self._port, timeout=PATIENCE_S, context=context)
        try:
            connection.request(method, path, body, headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def alert(self, client: str | None = None, **headers: str) -> Reply:
        fields = {"symbol": "BTC/USDT", "action": "buy", "amount": 0.01, "confidence": 1}
        raw = json.dumps({**fields, "timestamp": time.time()})
        signed = {"X-Signature": sign(SECRET, raw.encode()), **headers}
        return self.ask("POST", "/webhook/tradingview", raw.encode(), client, signed)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("daemon"))
    trusting = '[server]\ntrusted_proxies = ["127.0.0.0/8"]'
    text = one.config.read_text().replace("[server]", trusting)
    one.config.write_text(re.sub("wait_s = .*", "wait_s = 1.0", text))  # less than the proxies wait
    yield one.start()
    one.kill()


MakeProxy = Callable[[tuple[str, int]], Proxy]


@pytest.fixture(params=NAMES)
def make(request: pytest.FixtureRequest, tmp_path: Path, certificates: Path) -> MakeProxy:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return lambda door: Proxy(request.param, tmp_path, certificates, door)


def test_an_alert_passes_and_nothing_but_the_doors_routes(make: MakeProxy, daemon: Daemon) -> None:
    with make(daemon.door).running() as proxy:
        assert proxy.alert().json["status"] == "success"
        assert proxy.ask("GET", "/healthz").status == 200
        for path in (
            "/",
            "/v1/orders",
            "/metrics",
            "/webhook/x",
            "/console",
            "/webhook/../metrics",
            "//metrics",
        ):
            assert proxy.ask("GET", path).status in (400, 404), path
        assert proxy.ask("POST", "/webhook", b"x" * 16_385).status == 413
        assert proxy.ask("POST", "/webhook", b"x").status == 401, "what fks says of an error is passed on"


def test_the_senders_address_counts_and_not_what_he_says_of_it(make: MakeProxy, daemon: Daemon) -> None:
    with make(daemon.door).running() as proxy:
        said = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
        assert proxy.alert(**said).status == 200, "the address is 127.0.0.1's, which is allowed"


def test_only_tradingviews_certificate_opens_when_it_is_wanted(make: MakeProxy, daemon: Daemon) -> None:
    with make(daemon.door).running(certified=True) as proxy:
        assert proxy.alert("tradingview").status == 200
        assert proxy.alert().status == 403
        assert proxy.alert("stranger").status == 403
        assert proxy.ask("GET", "/healthz").status == 200


def _refused_within(proxy: Proxy) -> float:
    """The seconds that it took."""
    began = time.monotonic()
    reply = proxy.alert()
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    return time.monotonic() - began


def test_a_daemon_that_hangs_or_is_gone_is_a_503_in_time(make: MakeProxy, tmp_path: Path) -> None:
    (tmp_path / "daemon").mkdir()
    daemon = Daemon(tmp_path / "daemon").start()
    assert daemon.process is not None
    with make(daemon.door).running() as proxy:
        daemon.process.send_signal(signal.SIGSTOP)
        assert any(_refused_within(proxy) < 3 for _ in range(3)), "also where this machine was held up once"
        daemon.kill()
        reply = proxy.alert()
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")


def test_no_upgrade_and_no_forged_origin_comes_through(make: MakeProxy) -> None:
    heads: list[bytes] = []
    with bind("127.0.0.1:0") as ear, make(ear.getsockname()).running() as proxy:
        listening = threading.Thread(target=_answer_once, args=(ear, heads))
        listening.start()
        proxy.ask(
            "GET",
            "/healthz",
            headers={
                "Connection": "Upgrade, HTTP2-Settings",
                "Upgrade": "h2c",
                "HTTP2-Settings": "AAMAAABkAAQAAP__",
                "X-Forwarded-For": "203.0.113.9",
                "Forwarded": "for=203.0.113.9",
            },
        )
        listening.join()
    head = heads[0].lower()
    assert head.startswith(b"get /healthz http/1.1\r\n")
    assert re.findall(rb"x-forwarded-for: (.*)\r\n", head) == [b"127.0.0.1"]
    for word in (b"upgrade", b"http2-settings", b"203.0.113.9"):
        assert word not in head


def _answer_once(ear: socket.socket, heads: list[bytes]) -> None:
    ear.setblocking(True)
    peer, _ = ear.accept()
    with peer:
        heads.append(peer.recv(65_536))
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
