"""A stand-in of the daemon's two addresses, for the tests of the commands."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "admin-token"


class Daemon(ThreadingHTTPServer):
    """Both addresses in one: replies by (method, path), a list is used up one by one; remembers requests."""

    def __init__(self, port: int = 0, token: str = TOKEN) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.token = token
        self.replies: dict[tuple[str, str], Any] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def _serve(self) -> None:
        daemon = self.server
        assert isinstance(daemon, Daemon)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        daemon.requests.append((self.command, self.path, headers, body))
        reply = daemon.replies.get((self.command, self.path.partition("?")[0]), (404, {"title": "Not Found"}))
        status, content = reply.pop(0) if isinstance(reply, list) else reply
        if status == 0:  # hangs up without a word
            return
        if self.path.startswith("/v1") and headers.get("authorization") != f"Bearer {daemon.token}":
            status, content = 401, {"title": "Unauthorized", "detail": "send the token"}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the names that http.server looks for

    def log_message(self, *args: Any) -> None: ...
