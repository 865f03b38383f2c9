"""The desk's manners: who may ask, how a question is read, how an answer or an error is told."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
import structlog
import trio
from msgspec import Struct
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from fks.domain.admin import bearer_matches, host_allowed, same_origin
from fks.domain.errors import Overloaded, Refusal, Transient
from fks.domain.masking import Masker
from fks.domain.sampling import Sampler
from fks.domain.secret import Secret
from fks.infra.console import ASSETS, LOGIN, Console, login_page
from fks.infra.problem import problem

log = structlog.get_logger(actor="desk")

B = TypeVar("B", bound=Struct)

MAX_BODY = 16_384  # bytes, as at the door: what can be linted is what can be sent
MAX_LIMIT = 1000
OPEN_ROUTES = frozenset({"/healthz", "/readyz", "/metrics", LOGIN, *ASSETS})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_AT_FIELD = re.compile(r"`\$\.([a-z_]+)")


def admin_app(token: Secret, console: Console, known: Callable[[], Masker]) -> QuartTrio:
    """An app without routes yet that is guarded, and whose every error is a problem document.

    Raises ValueError when the token is empty: everybody would bear it.
    """
    if not token:
        raise ValueError("the admin token is empty: set server.admin_token")
    app = QuartTrio(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.url_map.merge_slashes = False  # a redirect would be the one error that is no problem document
    app.before_request(_guard(token, console, known))
    app.after_request(_harden)
    for error, handler in _ERRORS.items():
        app.register_error_handler(error, handler)
    return app


def json_reply(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, {"content-type": "application/json"})


def page_reply(name: str, rows: Sequence[Mapping[str, object]], limit: int) -> Response:
    """At most `limit` of `rows`, of which one more was asked for, to know whether there are more."""
    page = rows[:limit]
    return json_reply({name: page, "next": page[-1]["id"] if len(rows) > limit else None})


async def read_raw() -> bytes:
    """The request's body, whatever its content type. Above MAX_BODY bytes the reply is 413."""
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)


async def read_body(kind: type[B]) -> B:
    """The request's JSON as `kind`. Raises Refusal naming the field at fault."""
    try:
        return msgspec.json.decode(await read_raw(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        where = _AT_FIELD.search(str(error))
        raise Refusal("desk.body", f"the request's body: {error}", where[1] if where else None) from None


def query_limit() -> int:
    """`?limit=`, by default 100. Raises Refusal outside 1..1000."""
    text = request.args.get("limit", "100")
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise Refusal("desk.limit", f"limit is a whole number from 1 to {MAX_LIMIT}", "limit")
    return int(text)


def query_state(states: type[StrEnum]) -> str | None:
    """`?state=`. Raises Refusal when it is none of `states`."""
    text = request.args.get("state")
    known = [state.value for state in states]
    if text is not None and text not in known:
        raise Refusal("desk.state", f"state is one of {', '.join(known)}", "state")
    return text


def query_before() -> int | None:
    """`?before=`, a number. Raises Refusal when it is none."""
    text = request.args.get("before")
    if text is not None and not re.fullmatch("[0-9]{1,18}", text):
        raise Refusal("desk.before", "before is the `next` of the page before", "before")
    return None if text is None else int(text)


def query_after() -> int | None:
    """Where an event stream goes on. Raises Refusal when it is no event's number."""
    # The header wins: a browser that comes back sends it to the old address, with its old ?after=.
    text = request.headers.get("Last-Event-ID") or request.args.get("after")
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,18}", text):
        raise Refusal("desk.after", "after (or Last-Event-ID) is the number of an event", "after")
    return int(text)


def _guard(
    token: Secret, console: Console, known: Callable[[], Masker]
) -> Callable[[], Awaitable[Response | None]]:
    """Before a route is even looked up: where the request thinks it is, where it is from, whose it is."""
    denials = Sampler()

    async def check() -> Response | None:
        host = request.headers.get("Host", "")
        # Only a unix socket has no server address, and no browser can be led to one.
        if request.scope.get("server") is not None and not host_allowed(host):
            return _problem(421, "use the desk by IP address or as localhost: the Host header names neither")
        origin = request.headers.get("Origin")
        if request.method not in _READING and origin is not None and not same_origin(origin, host):
            return _problem(403, f"a page of {origin[:100]} may not change anything here")
        if request.path in OPEN_ROUTES or bearer_matches(request.headers.get("Authorization", ""), token):
            return None
        if console.signed_in():
            return None
        if request.path == "/console":
            return login_page()
        unrecorded = denials.sample(str(request.remote_addr), trio.current_time())
        if unrecorded is not None:
            told = {
                "path": known().text(request.path)[:200],
                "peer": request.remote_addr,
                "unrecorded": unrecorded,
            }
            log.warning("desk_denied", **told)
        reply = _problem(401, "send 'Authorization: Bearer TOKEN' with this daemon's admin token")
        reply.headers["WWW-Authenticate"] = 'Bearer realm="fks"'
        return reply

    return check


async def _harden(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _problem(status: int, detail: str, **extra: Any) -> Response:
    body, headers = problem(status, "", detail, **extra)
    return Response(body, status, headers)


async def _on_http(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    reply = _problem(status, error.description or "")
    if allow := dict(error.get_headers()).get("Allow"):
        reply.headers["Allow"] = allow
    return reply


async def _on_refusal(error: Refusal) -> Response:
    return _problem(400, error.detail, code=error.code, field=error.field)


async def _on_overloaded(error: Overloaded) -> Response:
    reply = _problem(503, f"{error}; nothing was changed, try again")
    reply.headers["Retry-After"] = f"{error.retry_after:.0f}"
    return reply


async def _on_too_slow(_error: trio.TooSlowError) -> Response:
    effect = "" if request.method in _READING else "; the change may still happen: look before you repeat it"
    reply = _problem(503, f"the journal did not answer in time{effect}")
    reply.headers["Retry-After"] = "5"
    return reply


async def _on_transient(error: Transient) -> Response:
    return _problem(502, f"the exchange gave no answer: {error}; nothing was changed, try again")


async def _on_failure(error: Exception) -> Response:
    log.error("desk_failed", path=request.path[:200], method=request.method, exc_info=error)
    return _problem(500, "the daemon failed to answer; its log says why")


# Coroutines all: quart runs a plain function in a worker thread.
_ERRORS: dict[type[Exception], Callable[..., Awaitable[Response]]] = {
    HTTPException: _on_http,
    Refusal: _on_refusal,
    Overloaded: _on_overloaded,
    trio.TooSlowError: _on_too_slow,
    Transient: _on_transient,
    Exception: _on_failure,
}
