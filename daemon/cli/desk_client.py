"""The desk, as the commands see it: questions, orders to the daemon, and a sign that something changed."""

import http.client
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from fks.cli.connection import connect, request, url_of
from fks.cli.context import Failed, Unreachable, load, read_secret
from fks.domain.secret import Secret

TIMEOUT_S = 10.0
SILENCE_S = 45.0  # the event stream sends a heartbeat every 15 s


class Desk:
    """`token_source` says where the token came from, for the one who has to mend it."""

    def __init__(self, url: str, token: Secret, token_source: str) -> None:
        self._url = url
        self._token = token
        self._token_source = token_source

    def call(
        self, method: str, path: str, *, query: Mapping[str, object] | None = None, body: bytes | None = None
    ) -> Any:
        """The JSON reply. Raises Unreachable, and Failed with the desk's own words."""
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            reply = request(self._url, method, target, headers=self._headers(), body=body, timeout=TIMEOUT_S)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        if not 200 <= reply.status < 300:
            raise self._refused(reply.status, reply.body)
        try:
            return json.loads(reply.body)
        except ValueError:
            raise Unreachable(f"{self._url} does not speak JSON: is it the desk of fks?") from None

    def changes(self) -> Iterator[None]:
        """Once when the event stream is open, then whenever something happened, and at each heartbeat.

        Ends when the desk ends the stream. Raises Unreachable and Failed.
        """
        connection = connect(self._url, SILENCE_S)
        try:
            connection.request("GET", "/v1/events", headers=self._headers())
            response = connection.getresponse()
            if response.status != 200:
                raise self._refused(response.status, response.read())
            yield
            while line := response.readline():
                if line.startswith((b"data:", b":")):
                    yield
        except http.client.IncompleteRead:
            return
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token.reveal()}", "Content-Type": "application/json"}

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"the daemon does not answer at {self._url} ({_told(error)}). Start it with `fks run`, or give "
            "this command the daemon's --config, or set FKS_ADMIN_URL and FKS_ADMIN_TOKEN"
        )

    def _refused(self, status: int, body: bytes) -> Failed:
        if status == 401:
            return Failed(f"the desk at {self._url} does not accept the token of {self._token_source}")
        return Failed(problem(status, body))


def _told(error: Exception) -> str:
    return (
        error.strerror
        if isinstance(error, OSError) and error.strerror
        else str(error) or type(error).__name__
    )


def problem(status: int, body: bytes) -> str:
    """One line from an RFC 9457 problem, or what there is when it is not one."""
    try:
        told = json.loads(body)
        text = f"{status}: {told.get('detail') or told['title']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{status}: {body[:200].decode(errors='replace').strip() or 'no further word'}"
    return f"{text} (field: {told['field']})" if told.get("field") else text


def desk() -> Desk:
    """By $FKS_ADMIN_URL and $FKS_ADMIN_TOKEN; what is not set comes from the configuration.

    Raises ConfigError and Unreachable.
    """
    url, token = os.environ.get("FKS_ADMIN_URL"), os.environ.get("FKS_ADMIN_TOKEN")
    if url and token:
        return Desk(url.rstrip("/"), Secret(token), "$FKS_ADMIN_TOKEN")
    loaded = load()
    server = loaded.settings.server
    url = url.rstrip("/") if url else url_of(server.admin[0])
    if token:
        return Desk(url, Secret(token), "$FKS_ADMIN_TOKEN")
    if server.admin_token:
        return Desk(url, server.admin_token, f"server.admin_token in {loaded.path}")
    path = loaded.state_dir / "admin_token"
    return Desk(url, read_secret(path, "admin token"), str(path))
