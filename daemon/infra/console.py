"""The console: a page over the desk's own API, and the session that lets a browser use it.

A browser cannot send a bearer token with a page load, so it trades the token for a cookie. The page has
no framework and asks nobody but this daemon.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

from quart import Response, request

from fks.domain.admin import bearer_matches, session, session_holds
from fks.domain.secret import Secret

COOKIE = "fks_session"
SESSION_S = 12 * 3600
LOGIN = "/console/session"
ASSETS = {"/console/console.css": "text/css", "/console/console.js": "text/javascript"}  # they tell nothing
_FOLDER = Path(__file__).with_name("console_page")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


class Console:
    """The page's routes. `wall` gives UTC seconds."""

    def __init__(self, token: Secret, wall: Callable[[], float]) -> None:
        self._token = token
        self._wall = wall

    def routes(self) -> list[tuple[str, str, Callable[..., Awaitable[Response]]]]:
        return [
            ("GET", "/console", self.page),
            ("POST", LOGIN, self.sign_in),
            ("POST", "/console/logout", self.sign_out),
            *(("GET", path, self.asset) for path in ASSETS),
        ]

    def signed_in(self) -> bool:
        """Whether the request under way comes from a browser with a session."""
        return session_holds(request.cookies.get(COOKIE, ""), self._token, self._wall())

    async def page(self) -> Response:
        return _page("console.html", "text/html")

    async def asset(self) -> Response:
        return _page(request.path.rpartition("/")[2], ASSETS[request.path])

    async def sign_in(self) -> Response:
        given = (await request.form).get("token", "").strip()
        # As UTF-8 bytes read one to one, which is how the header would have brought them.
        if not bearer_matches("Bearer " + given.encode().decode("latin-1"), self._token):
            return login_page()
        until = int(self._wall()) + SESSION_S
        reply = _see("/console")
        reply.set_cookie(
            COOKIE, session(self._token, until), max_age=SESSION_S, httponly=True, samesite="Strict"
        )
        return reply

    async def sign_out(self) -> Response:
        reply = _see("/console")
        reply.delete_cookie(COOKIE, httponly=True, samesite="Strict")
        return reply


def login_page() -> Response:
    """For whoever opens the console without a session."""
    reply = _page("login.html", "text/html", 401)
    reply.headers["WWW-Authenticate"] = 'Bearer realm="fks"'
    return reply


def _see(path: str) -> Response:
    return Response(b"", 303, {"location": path})


def _page(name: str, kind: str, status: int = 200) -> Response:
    headers = {"content-type": f"{kind}; charset=utf-8", "content-security-policy": _POLICY}
    return Response(_content(name), status, headers)


@cache
def _content(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
