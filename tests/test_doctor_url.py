"""`fks doctor --url`: the door behind TLS, the real daemon, and what may stand there instead."""

import datetime
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from fks.cli.doctor_url import public_address
from fks.domain.diagnosis import Finding, Verdict
from fks.domain.settings import ServerSettings, Settings, WebhookSettings
from fks.infra.problem import problem
from process import Daemon

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
PATH = "/webhook/tradingview"


class Site(http.server.ThreadingHTTPServer):
    """Behind TLS when it has a certificate. Answers like fks unless told otherwise."""

    def __init__(self, certificate: trustme.LeafCert | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.replies: list[tuple[int, dict[str, str], bytes]] = []
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_request: Any) -> None: ...


class Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
        status, headers, content = self.server.replies.pop(0)
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: Any) -> None: ...


def of_fks(status: int, **extra: Any) -> tuple[int, dict[str, str], bytes]:
    body, headers = problem(status, "", "no", **extra)
    return status, headers, body


@contextmanager
def site(certificate: trustme.LeafCert | None = None) -> Iterator[Site]:
    with Site(certificate) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """One that this process trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


def found_at(url: str, **settings: Any) -> dict[str, Finding]:
    found = list(public_address(url, Settings(**settings)))
    assert {one.subject for one in found} <= {url, "public address"}
    return {one.check: one for one in found}


def test_without_a_url_it_says_what_was_not_checked() -> None:
    (found,) = public_address("", Settings())
    assert (found.verdict, found.check) == (WARN, "url")
    assert "--url" in found.remedy


def test_a_url_that_is_none_asks_nobody() -> None:
    for url in ("nonsense", "ftp://a/", "https://[::1", "https://a:99999/"):
        assert set(found_at(url)) == {"url"}


def test_the_way_to_a_door_behind_tls(authority: trustme.CA) -> None:
    with site(authority.issue_cert("localhost")) as server:
        server.replies = [of_fks(401)]
        found = found_at(f"https://localhost:{server.port}{PATH}")
    assert (found["url"].verdict, "80 and 443" in found["url"].detail) == (FAIL, True)
    assert (found["name"].verdict, "127.0.0.1" in found["name"].detail) == (FAIL, True)  # not of the internet
    assert found["certificate"].verdict is OK
    assert "days left" in found["certificate"].detail
    assert found["answer"].verdict is OK
    assert found["sender"].verdict is OK
    ((headers, body),) = server.requests
    assert headers["host"] == f"localhost:{server.port}"
    assert "x-signature" not in headers
    assert "secret" not in json.loads(body)


def test_a_certificate_that_nobody_trusts_or_of_another_name(authority: trustme.CA) -> None:
    for certificate in (trustme.CA().issue_cert("localhost"), authority.issue_cert("other.example")):
        with site(certificate) as server:
            found = found_at(f"https://localhost:{server.port}{PATH}")
        assert (found["certificate"].verdict, "not valid" in found["certificate"].detail) == (FAIL, True)
        assert "answer" not in found
        assert not server.requests


def test_a_certificate_that_ends_soon(authority: trustme.CA) -> None:
    soon = datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(days=5)
    with site(authority.issue_cert("localhost", not_after=soon)) as server:
        server.replies = [of_fks(401)]
        found = found_at(f"https://localhost:{server.port}{PATH}")
    assert found["certificate"].verdict is WARN
    assert found["answer"].verdict is OK


def test_plain_http_where_tls_was_meant() -> None:
    with site() as server:
        found = found_at(f"https://localhost:{server.port}{PATH}")
    assert (found["certificate"].verdict, "no TLS" in found["certificate"].detail) == (FAIL, True)


def test_something_else_behind_the_name() -> None:
    with site() as server:
        server.replies = [(401, {"Server": "nginx/1.22.1", "Content-Type": "text/html"}, b"<html>")]
        found = found_at(f"http://localhost:{server.port}{PATH}")
    assert (found["answer"].verdict, "nginx/1.22.1 answered 401" in found["answer"].detail) == (FAIL, True)
    assert "504" in found["proxy"].detail
    assert "sender" not in found


def test_a_proxy_that_passes_on_what_strangers_say_is_found_out() -> None:
    webhook, server_settings = WebhookSettings(), ServerSettings(trusted_proxies=("127.0.0.1/32",))
    for spoofed, verdict in ((of_fks(401), FAIL), (of_fks(403, address="8.8.8.8"), OK)):
        with site() as server:
            server.replies = [of_fks(403, address="8.8.8.8"), spoofed]
            url = f"http://localhost:{server.port}{PATH}"
            found = found_at(url, webhook=webhook, server=server_settings)
        assert (found["sender"].verdict, "8.8.8.8" in found["sender"].detail) == (OK, True)
        assert found["spoofing"].verdict is verdict
        assert "x-forwarded-for" not in server.requests[0][0]
        assert server.requests[1][0]["x-forwarded-for"] == "52.89.214.238"


def test_nobody_there_and_nobody_who_speaks_http() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        assert "cannot be reached" in found_at(f"http://localhost:{port}{PATH}")["answer"].detail
    with socket.create_server(("127.0.0.1", 0)) as odd:
        talker = threading.Thread(target=_greet, args=(odd,), daemon=True)
        talker.start()
        answered = found_at(f"http://localhost:{odd.getsockname()[1]}{PATH}")["answer"]
        talker.join()
    assert answered.verdict is FAIL


def _greet(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"SSH-2.0\r\n\r\n")


def test_the_real_door_is_known_by_its_answers(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, head="")
    daemon.config.write_text(
        daemon.config.read_text().replace("[webhook]", '[webhook]\nallow = ["10.0.0.1"]')
    )
    try:
        daemon.start()
        host, port = daemon.door
        found = found_at(f"http://{host}:{port}{PATH}")
    finally:
        daemon.stop()
    assert (found["answer"].verdict, "(403)" in found["answer"].detail) == (OK, True)
    assert (found["sender"].verdict, "takes us for 127." in found["sender"].detail) == (WARN, True)
    assert found["spoofing"].verdict is OK
