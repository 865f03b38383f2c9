"""ccxt's asynchronous exchange classes with trio underneath; nothing of ccxt is edited.

`trio_exchange("binance")` is a subclass of `ccxt.async_support.binance`: requests are built, signed and
parsed by ccxt, and carried by `http.HttpClient`. The only other thing of asyncio that exchange modules
use is `gather`; their global name `asyncio` becomes a stand-in that has just that.
"""

import asyncio  # only to be recognised and replaced in ccxt's modules
import importlib
import re
import sys
import time
import types
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from math import inf
from typing import Any, NoReturn
from urllib.parse import urlsplit

import ccxt
import sniffio
import trio
from ccxt.base.errors import (
    BadResponse,
    ExchangeClosedByUser,
    ExchangeNotAvailable,
    NotSupported,
    RequestTimeout,
)

from fks.domain.limits import Bucket
from fks.venues.ccxt_helpers import Helpers
from fks.venues.http import HttpClient, Response, TransportError
from fks.venues.http_proxy import Proxy
from fks.venues.throttle import Throttle

_PARSE_IN_THREAD = 256 * 1024  # characters; json.loads takes about 3 ms for so many
_WEBSOCKET = re.compile(r"(un_)?watch(_\w+)?|\w+_ws|spawn|delay|client|get_event_loop")
_ORIGIN = re.compile(r"\A[^/?#]*//[^/?#]*")
_SIGNATURE = re.compile(r"(?i)(signature|sign|sig)=[^&\s\"']+")


@dataclass(slots=True)
class Call:
    """What the requests of one unified call share.

    `at_ms`: the time that the requests carry, epoch milliseconds; None is the clock's.
    `reserve`: share of the rate limit that this call must leave to others; None: it does not wait at all,
    and those after it wait the longer.
    `patience_s`: longest wait for the rate limit before anything is sent; rather than that, Throttled.
    `cost`: becomes what its requests have cost, in the units of the rate limit.
    `sent`: becomes True when a byte of any request may have been written.
    `written`: becomes True when the exchange has answered well to a request that changes something.
    """

    at_ms: int | None = None
    reserve: float | None = 0.0
    patience_s: float = inf
    cost: float = 0.0
    sent: bool = False
    written: bool = False


_call: ContextVar[Call | None] = ContextVar("call", default=None)


@contextmanager
def calling(call: Call) -> Iterator[Call]:
    """Everything that an exchange does inside is part of `call`."""
    token = _call.set(call)
    try:
        yield call
    finally:
        _call.reset(token)


async def gather(*awaitables: Awaitable[Any]) -> list[Any]:
    """As `asyncio.gather`: results in order, siblings finish, then the first error is raised as itself.

    Children take their first step in argument order, as under asyncio: signed requests with counting
    nonces depend on it, and trio alone would start them in random order.
    """
    results: list[Any] = [None] * len(awaitables)
    errors: list[Exception] = []
    turns = [trio.Event() for _ in range(len(awaitables) + 1)]

    async def child(index: int, awaitable: Awaitable[Any]) -> None:
        await turns[index].wait()
        turns[index + 1].set()
        try:
            results[index] = await awaitable
        except Exception as error:  # noqa: BLE001 - handed to the caller below
            errors.append(error)

    turns[0].set()
    try:
        async with trio.open_nursery() as nursery:
            for index, awaitable in enumerate(awaitables):
                nursery.start_soon(child, index, awaitable)
    finally:
        for awaitable in awaitables:  # those never started, after a cancellation
            if isinstance(awaitable, types.CoroutineType):
                awaitable.close()
    if errors:
        raise errors[0]
    return results


class _AsyncioStandIn(types.ModuleType):
    """The name `asyncio` inside ccxt's exchange modules. Outside of trio it is the real one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        real = getattr(asyncio, name)
        try:
            on_trio = sniffio.current_async_library() == "trio"
        except sniffio.AsyncLibraryNotFoundError:
            on_trio = False
        if not on_trio:
            return real
        if name == "gather":
            return gather
        raise NotSupported(f"asyncio.{name} inside a trio exchange: only gather is replaced")


_ASYNCIO = _AsyncioStandIn("asyncio")


class _TrioExchange(Helpers):
    """Goes after the exchange's class and before ccxt's common base; attributes are ccxt's unless marked."""

    id: str
    timeout: int  # milliseconds
    markets: dict[str, Any] | None
    markets_loading: object
    tokenBucket: dict[str, float]  # noqa: N815 - ccxt's name
    requiredCredentials: dict[str, bool]  # noqa: N815 - every one that there is, needed or not
    closed_by_user: bool
    session = None  # upstream merges a session's headers into every request: there must be none
    base_url = ""  # ours: scheme://host:port that replaces that of every request
    burst_s = 1.0  # ours: seconds' worth of the rate limit that may go at once
    via: Proxy | None = None  # ours
    http: HttpClient | None = None  # ours
    throttler: Throttle
    load_markets_helper: Any  # this and the following are methods of ccxt's base, unknown to the type checker
    sign_in: Any
    on_rest_response: Any
    parse_json: Any
    handle_errors: Any
    handle_http_status_code: Any
    prepare_request_headers: Any

    def __del__(self) -> None:
        """Upstream closes or warns here; `close` is called explicitly."""

    @staticmethod
    def milliseconds() -> int:
        call = _call.get()
        return time.time_ns() // 1_000_000 if call is None or call.at_ms is None else call.at_ms

    async def sleep(self, milliseconds: float) -> None:
        await trio.sleep(milliseconds / 1000)

    def init_throttler(self, cost: float | None = None) -> None:  # noqa: ARG002 - ccxt's signature
        """Idle time is credited; upstream's bucket makes even a lone request wait."""
        rate = self.tokenBucket["refillRate"] * 1000
        self.throttler = Throttle(self.id, Bucket(rate=rate, burst=max(1.0, rate * self.burst_s)))

    async def throttle(self, cost: float | None = None) -> None:
        """Wait until a request may go. Raises NotSent, which with `sent` is only true of this request."""
        call = _call.get() or Call()
        cost = 1.0 if cost is None else cost
        await self.throttler.admit(cost, call.reserve, inf if call.sent else call.patience_s)
        call.cost += cost

    def open(self, lazy: bool = False) -> None:
        if lazy and self.closed_by_user:
            raise ExchangeClosedByUser(f"{self.id}: closed")
        self.closed_by_user = False
        if self.http is None:
            self.http = HttpClient(proxy=self.via)

    async def close(self, clean_instance_data: bool = False) -> None:  # noqa: ARG002 - ccxt's signature
        self.closed_by_user = True
        client, self.http = self.http, None
        if client is not None:
            await client.aclose()

    async def load_markets(self, reload: bool = False, params: dict[str, Any] | None = None) -> Any:
        """Upstream shares one load among concurrent callers through an asyncio task; here each loads."""
        if reload or not self.markets_loading:
            self.markets_loading = None
            await self.load_markets_helper(reload, params or {})
            self.markets_loading = True  # where upstream keeps its task; an empty list has been loaded, too
        return self.markets

    async def load_markets_and_sign_in(self) -> None:
        await gather(self.load_markets(), self.sign_in())

    async def fetch(
        self, url: str, method: str = "GET", headers: dict[str, str] | None = None, body: str | None = None
    ) -> Any:
        """Carry one signed request, and have ccxt judge the answer.

        Errors gain `maybe_sent`, `http_status` and `retry_after` (seconds or None) and lose everything
        that is secret: upstream puts the whole signed address into them.
        """
        sent_headers = self._headers(headers, method, body)
        call = _call.get() or Call()
        response = await self._carry(call, method, url, sent_headers, body)
        address = url.partition("?")[0]
        status, reason = response.status, response.reason
        text: str = self.on_rest_response(
            status, reason, address, method, response.headers,
            response.body.decode("utf8", "replace"), sent_headers, body,
        )  # fmt: skip
        parse = self.parse_json
        parsed = parse(text) if len(text) < _PARSE_IN_THREAD else await trio.to_thread.run_sync(parse, text)
        try:
            self.handle_errors(
                status, reason, address, method, response.headers, text, parsed, sent_headers, body
            )
            self.handle_http_status_code(status, reason, address, method, text)
        except Exception as error:
            error.args = tuple(self._redacted(one) for one in error.args)
            self._mark(error, status, response.headers.get("Retry-After"))
            raise
        call.written = call.written or method != "GET"
        return text if parsed is None else parsed

    async def _carry(
        self, call: Call, method: str, url: str, headers: dict[str, str], body: str | None
    ) -> Response:
        self.open(lazy=True)
        assert self.http is not None
        before, call.sent = call.sent, True
        try:
            return await self.http.request(
                method, self._address(url), headers, body.encode() if body else None, self.timeout / 1000
            )
        except TransportError as error:
            call.sent = before or error.maybe_sent
            kinds = {"timeout": RequestTimeout, "protocol": BadResponse, "too_large": BadResponse}
            kind = kinds.get(error.kind, ExchangeNotAvailable)
            foreign = kind(f"{self.id} {method} {url.partition('?')[0]}: {error}")
            foreign.maybe_sent = error.maybe_sent
            raise foreign from error

    @staticmethod
    def _mark(error: Any, status: int, retry_after: str | None) -> None:
        error.maybe_sent, error.http_status = True, status
        # The other form of the header, a date, needs a clock that agrees with theirs: as if unsaid.
        error.retry_after = float(retry_after) if retry_after and retry_after.isdigit() else None

    def _headers(self, headers: dict[str, str] | None, method: str, body: object) -> dict[str, str]:
        """What aiohttp would send: some exchanges and their firewalls refuse requests without."""
        if body is not None and not isinstance(body, str):
            raise NotSupported(f"{self.id}: a request with a multipart body")
        prepared = self.prepare_request_headers(headers)
        result = {name: str(value) for name, value in prepared.items() if value is not None}
        present = {name.lower() for name in result}
        if (body or method in ("POST", "PUT", "PATCH")) and "content-type" not in present:
            result["Content-Type"] = "application/octet-stream"
        if "accept" not in present:
            result["Accept"] = "*/*"
        if "user-agent" not in present:
            result["User-Agent"] = "python-ccxt"
        return result

    def _address(self, url: str) -> str:
        """After signing, so that a signature over the host's name stays what the exchange expects."""
        if not self.base_url:
            return url
        base = urlsplit(self.base_url)
        origin = f"{base.scheme}://{base.netloc}"
        return _ORIGIN.sub(lambda _: origin, url)

    def _redacted(self, value: object) -> object:
        if not isinstance(value, str):
            return value
        for name in self.requiredCredentials:
            credential = getattr(self, name, None)
            if isinstance(credential, str) and len(credential) > 3:
                value = value.replace(credential, "***")
        return _SIGNATURE.sub(r"\1=***", value)


def _refuse(name: str) -> Any:
    def refused(self: _TrioExchange, *_args: object, **_kwargs: object) -> NoReturn:
        raise NotSupported(
            f"{self.id}.{name}: websockets (ccxt.pro) do not run on trio; use the REST methods"
        )

    return refused


def exchange_ids() -> tuple[str, ...]:
    """Every exchange ccxt knows, without importing one."""
    return tuple(ccxt.exchanges)


@cache
def trio_exchange(exchange_id: str) -> type[Any]:
    """The trio class of one exchange. Raises ValueError for an id that ccxt does not know."""
    if exchange_id not in exchange_ids():
        raise ValueError(f"ccxt knows no exchange {exchange_id!r}")
    module = importlib.import_module(f"ccxt.async_support.{exchange_id}")
    upstream = getattr(module, exchange_id)
    for base in upstream.__mro__:  # binanceusdm -> binance -> ... -> the common base
        home = sys.modules[base.__module__]
        if base.__module__.startswith("ccxt.async_support.") and getattr(home, "asyncio", None) is asyncio:
            home.__dict__["asyncio"] = _ASYNCIO
    return type(exchange_id, (upstream, _trio_base()), {})


@cache
def _trio_base() -> type[Any]:
    """What goes between an exchange's class and ccxt's: an exchange's own `load_markets` calls ours."""
    base = importlib.import_module("ccxt.async_support.base.exchange").Exchange
    refused = {name: _refuse(name) for name in dir(base) if _WEBSOCKET.fullmatch(name)}
    return type("TrioExchange", (_TrioExchange, base), refused)


def in_thread(load: Any, *args: Any) -> Any:
    """Run an async function to its end in a worker thread with a trio run of its own.

    Parsing the market list of a big exchange takes 150 ms: not in the loop that places orders. An
    exchange object used inside must have been made inside.
    """
    return trio.to_thread.run_sync(partial(trio.run, load, *args), abandon_on_cancel=True)
