"""Goes to the door by its public address, as TradingView would: IPv4, its own TLS, three seconds."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import SplitResult

from fks.domain.diagnosis_url import PATIENCE_S, Answer
from fks.infra.problem import CONTENT_TYPE

PROBE_S = PATIENCE_S + 2.0  # a late answer tells more than none
_BODY = b'{"fks": "doctor"}'
_DAY_S = 86_400


def resolve(host: str) -> list[str]:
    """The addresses that the name stands for, here; none when it stands for nothing."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Probe:
    """One public address of the door at one of its IPv4 addresses."""

    def __init__(self, url: SplitResult, address: str) -> None:
        self._url = url
        self._address = address
        self._host = url.hostname or ""
        self._port = url.port or (443 if url.scheme == "https" else 80)

    def certificate_days(self) -> float:
        """For how long its certificate is still valid. Raises ssl.SSLError (also when it is not), OSError."""
        with closing(self._connect()) as connected:
            assert isinstance(connected, ssl.SSLSocket)
            ends = (connected.getpeercert() or {}).get("notAfter")
        return (ssl.cert_time_to_seconds(str(ends)) - time.time()) / _DAY_S

    def post(self, headers: Mapping[str, str] | None = None) -> Answer:
        """An alert without a signature, which nobody may take. Raises OSError, http.client.HTTPException."""
        began = time.perf_counter()
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PROBE_S)
        connection.sock = self._connect()
        with closing(connection):
            given = {"Host": self._url.netloc, "Content-Type": "application/json", "Connection": "close"}
            connection.request("POST", self._url.path or "/", _BODY, given | dict(headers or {}))
            response = connection.getresponse()
            body = response.read(65_536)
        return _answer(response, body, time.perf_counter() - began)

    def _connect(self) -> socket.socket:
        plain = socket.create_connection((self._address, self._port), timeout=PROBE_S)
        if self._url.scheme == "http":
            return plain
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise


def _answer(response: http.client.HTTPResponse, body: bytes, seconds: float) -> Answer:
    """Ours are problem details whose status is the reply's own."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    kind = (response.getheader("Content-Type") or "").partition(";")[0].strip()
    ours = isinstance(told, dict) and kind == CONTENT_TYPE and told.get("status") == response.status
    return Answer(
        status=response.status,
        seconds=seconds,
        by_fks=ours and {"type", "title", "detail"} <= told.keys(),
        seen=str(told.get("address", "")) if ours else "",
        location=response.getheader("Location") or "",
        server=response.getheader("Server") or "",
    )
