"""The way to one exchange: its ccxt object, how often a question is repeated, when to keep quiet."""

import difflib
import time
from collections.abc import Awaitable, Callable
from random import uniform
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
import trio
from ccxt.base.errors import BadResponse, InvalidNonce, OrderNotFound

from fks.domain.errors import Misconfigured, NotSent, PlacementError, Rejected, Transient
from fks.domain.settings import AccountSettings
from fks.venues.ccxt_dialects import dialect_of, family_of
from fks.venues.ccxt_errors import (
    is_answer,
    no_answer,
    no_change,
    placement_error,
    wait_asked,
    worth_asking_again,
)
from fks.venues.ccxt_sandbox import NoSandbox, enter_sandbox
from fks.venues.http_proxy import Proxy, parse_proxy
from fks.venues.throttle import Silence, Throttle
from fks.venues.trio_ccxt import Call, calling, exchange_ids, trio_exchange

T = TypeVar("T")

log = structlog.get_logger()

# ccxt's name of a credential: ours.
_CREDENTIALS = {
    "apiKey": "api_key",
    "secret": "api_secret",
    "password": "password",
    "uid": "uid",
    "accountId": "account_id",
    "walletAddress": "wallet_address",
    "privateKey": "private_key",
    "token": "token",
    "login": "login",
    "twofa": "twofa",
}
_CLOCK_S = 600.0  # how long a measured clock offset is believed
_JUMP_S = 1.0  # a step of the wall clock that makes a measured offset worthless
_PATIENCE = 0.2  # share of the time in which a request is taken that it may spend waiting for the rate limit


class Session:
    """Requests of one account. `make` builds the ccxt object; `ban`: shared by accounts on one server."""

    def __init__(
        self,
        make: Callable[[], Any],
        market: str,
        retry_attempts: int,
        retry_delay: float,
        *,
        ban: Silence | None = None,
        on_wait: Callable[[float], None] | None = None,
        on_skew: Callable[[float], None] | None = None,
    ) -> None:
        self.exchange = make()
        self._throttle: Throttle = self.exchange.throttler
        self._throttle.ban = ban or Silence()
        self._throttle.on_wait = on_wait
        self._on_skew = on_skew
        self.dialect = dialect_of(type(self.exchange))
        self._family = family_of(type(self.exchange))
        table = (self.exchange.features or {}).get(market) or {}
        self._features: dict[str, Any] = table if market == "spot" else table.get("linear") or {}
        self._retry_attempts = retry_attempts
        self._retry_delay = retry_delay
        self._clock_at = float("-inf")
        self._epoch = _epoch()
        self._patience_s = _PATIENCE * (self.dialect.window_s or self.exchange.timeout / 1000)
        self._order_cost = 1.0

    def has(self, method: str) -> bool:
        return bool(self.exchange.has.get(method))

    def feature(self, method: str) -> dict[str, Any]:
        """What ccxt says of a method on this account's kind of market."""
        return self._features.get(method) or {}

    def market(self, symbol: str | None) -> dict[str, Any]:
        """The unified market; empty for one that was not loaded."""
        return (self.exchange.markets or {}).get(symbol) or {}

    async def ask(self, method: str, *args: Any) -> Any:
        """A question, repeated while the network fails. Raises Transient, or OrderNotFound: an answer."""
        try:
            if trio.current_time() - self._clock_at > _CLOCK_S or self._clock_jumped():
                await self.sync_clock()
            return await self._repeat(method, *args)
        except (Transient, OrderNotFound):
            raise
        except PlacementError as error:
            raise Transient(str(error)) from error
        except Exception as error:
            raise no_answer(error) from error

    async def aside(self, load: Callable[[], Awaitable[T]]) -> T:
        """A question that is put by another ccxt object, with the same manners. Raises Transient."""
        try:
            self._throttle.refuse_in_silence()
            return await load()
        except Exception as error:
            self._heed(error)
            raise no_answer(error) from error

    async def cancel(self, *args: Any) -> Any:
        """A cancellation: it may be repeated. Raises NotSent, Rejected, Unknown, or OrderNotFound."""
        call = Call(reserve=None)
        try:
            with calling(call):
                return await self._repeat("cancel_order", *args)
        except OrderNotFound:
            raise
        except Exception as error:
            raise self._judged(error, call) from error

    async def change(self, method: str, *args: Any) -> None:
        """Set something of the account that orders need: setting it again is harmless.

        Raises NotSent when there was no answer, Rejected when the exchange will not have it so.
        """
        call = Call(patience_s=self._patience_s)
        try:
            with calling(call):
                await self._repeat(method, *args)
        except NotSent:
            raise
        except Exception as error:
            if no_change(error):
                return
            judged = placement_error(error, self._family, call)
            if is_answer(error) and not isinstance(judged, NotSent):
                raise Rejected(f"exchange.{method}", str(judged)) from error
            raise NotSent(f"{method}: {judged}") from error

    async def prime(self) -> None:
        """Ask for what ccxt keeps, so that a placement is one request. Raises Transient."""
        for method, *args in self.dialect.prime:
            await self.ask(method, *args)

    async def keep_time(self) -> None:
        """To be called before a placement is made: its fence is as good as our clock. Raises NotSent."""
        if self._clock_at > float("-inf") and not self._clock_jumped():
            return
        try:
            with calling(Call(patience_s=self._patience_s)):
                await self.sync_clock()
        except Exception as error:
            raise NotSent(f"the clock's offset could not be asked: {error}") from error

    def deadline(self, at: float) -> dict[str, str]:
        """The parameter that says until when an order claimed at wall time `at` is taken, if there is one.

        In the exchange's time. Its measured clock is never ahead of its real one: it can only be too early.
        """
        name, window = self.dialect.deadline, self.dialect.window_s
        if name is None or window is None:
            return {}
        until_ms = int((at + window - self.clock_offset_s) * 1000)
        return {name: str(self.exchange.iso8601(until_ms))}

    @property
    def clock_offset_s(self) -> float:
        """How far our clock is ahead of the exchange's, as last measured; 0 where it cannot be asked."""
        return float(self.exchange.options.get("timeDifference") or 0) / 1000

    def _clock_jumped(self) -> bool:
        return abs(_epoch() - self._epoch) > _JUMP_S

    async def place(self, request: tuple[Any, ...], call: Call) -> Any:
        """One placement, sent once. Raises NotSent, Rejected or Unknown.

        It does not wait long for the rate limit: the exchange counts the age of a request from its claim.
        """
        call.patience_s = self._patience_s
        try:
            with calling(call):
                return await self.exchange.create_order(*request)
        except Exception as error:
            self._heed(error)
            raise self._judged(error, call) from error
        finally:
            self._order_cost = call.cost or self._order_cost

    def busy_for(self, reserve: float) -> float:
        """Seconds until an order like the last one may go and leave `reserve` to others."""
        return self._throttle.wait(self._order_cost, reserve)

    def _judged(self, error: Exception, call: Call) -> PlacementError:
        """Our own NotSent is true of the whole call only if none of its requests went out before."""
        if isinstance(error, NotSent) and not call.sent:
            return error
        return placement_error(error, self._family, call)

    async def sync_clock(self) -> None:
        """Measure how far our clock is ahead, where the exchange takes that into account.

        The whole way there and back counts as difference, so that our timestamps are never ahead of the
        exchange's clock: the fence can only close too early.
        """
        exchange, raw = self.exchange, self.dialect.server_time
        epoch, measured = _epoch(), True
        if raw is not None:
            theirs_ms = exchange.parse8601((await self._repeat(raw)).get("serverTime"))
            if theirs_ms is None:
                raise BadResponse(f"{exchange.id} does not tell its time")
            exchange.options["timeDifference"] = exchange.milliseconds() - theirs_ms
        elif self.has("fetchTime") and "timeDifference" in exchange.options:
            await self._repeat("load_time_difference")
        else:
            measured = False
        self._clock_at, self._epoch = trio.current_time(), epoch
        if measured and self._on_skew is not None:
            self._on_skew(-self.clock_offset_s)

    async def _repeat(self, method: str, *args: Any) -> Any:
        delay, left = self._retry_delay, self._retry_attempts
        while True:
            try:
                return await getattr(self.exchange, method)(*args)
            except Exception as error:
                self._heed(error)
                if left <= 0 or not worth_asking_again(error):
                    raise
            await trio.sleep(delay * uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            delay, left = delay * 2, left - 1

    def _heed(self, error: Exception) -> None:
        """Remember what an error says about the requests to come."""
        if wait := wait_asked(error):
            banned = getattr(error, "http_status", None) == 418
            self._throttle.heed(wait, banned=banned)
            log.warning("exchange_wants_silence", exchange=self.exchange.id, seconds=wait, banned=banned)
        if isinstance(error, InvalidNonce):
            self._clock_at = float("-inf")


def _epoch() -> float:
    """When the clock that never jumps began, by the one that does: another value is a step of that one."""
    return time.time() - time.monotonic()


def _kind(name: str, settings: AccountSettings) -> Any:
    try:
        return trio_exchange(settings.type)
    except ValueError:
        near = difflib.get_close_matches(settings.type, exchange_ids(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        detail = f"[exchanges.{name}] type: there is no exchange {settings.type!r}{hint}"
        raise Misconfigured(detail) from None


def make_exchange(name: str, settings: AccountSettings, timeout: float) -> Any:
    """The configured ccxt object, nothing sent yet. Raises Fatal for what the configuration has wrong.

    `timeout`: seconds for one request.
    """
    kind = _kind(name, settings)
    if "maxRetriesOnFailure" in repr(settings.options):
        detail = "maxRetriesOnFailure would send orders twice; remove it"
        raise Misconfigured(f"[exchanges.{name}] options: {detail}")
    base = urlsplit(settings.base_url)
    if settings.base_url and (base.scheme not in ("http", "https") or not base.netloc):
        raise Misconfigured(f"[exchanges.{name}] base_url: needs the form https://host:port")
    exchange = kind(
        {
            **{theirs: getattr(settings, ours).reveal() for theirs, ours in _CREDENTIALS.items()},
            "timeout": int(timeout * 1000),
            "enableRateLimit": True,
            "base_url": settings.base_url,
            "via": _proxy(name, settings),
            "burst_s": dialect_of(kind).burst_s,
            "options": {
                "defaultType": settings.market,
                "builderFee": False,  # some exchanges take a fee for ccxt otherwise
                **settings.options,
                **dialect_of(kind).options,
            },
        }
    )
    for method in dialect_of(kind).muted:
        setattr(exchange, method, _nothing)
    missing = [
        one for one, needed in exchange.requiredCredentials.items() if needed and not getattr(exchange, one)
    ]
    if missing:
        ours = _CREDENTIALS.get(missing[0], missing[0])
        raise Misconfigured(f"[exchanges.{name}] {ours}: {settings.type} needs it")
    if settings.testnet:
        try:
            enter_sandbox(exchange, settings.market)
        except NoSandbox as error:
            raise Misconfigured(
                f"[exchanges.{name}] testnet: {error}; instead of it use the paper exchange, "
                'mode = "dry_run", or a simulator at base_url'
            ) from None
    return exchange


async def _nothing(*_args: object) -> bool:
    """What a muted method of ccxt does."""
    return True


def _proxy(name: str, settings: AccountSettings) -> Proxy | None:
    try:
        return parse_proxy(settings.proxy.reveal()) if settings.proxy else None
    except ValueError as error:
        raise Misconfigured(f"[exchanges.{name}] proxy: {error}") from None
