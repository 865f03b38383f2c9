"""The way to one exchange: its ccxt object, how often a question is repeated, when to keep quiet."""

import difflib
from collections.abc import Callable
from random import uniform
from typing import Any
from urllib.parse import urlsplit

import trio
from ccxt.base.errors import InvalidNonce, OrderNotFound

from fks.domain.errors import Fatal, NotSent, PlacementError, Transient
from fks.domain.messages import Order
from fks.domain.orders import OrderType
from fks.domain.settings import AccountSettings
from fks.venues.ccxt_dialects import dialect_of, family_of
from fks.venues.ccxt_errors import no_answer, placement_error, wait_asked, worth_asking_again
from fks.venues.trio_ccxt import Call, calling, exchange_ids, trio_exchange

_CLOCK_S = 600.0  # how long a measured clock offset is believed


class Session:
    """Requests of one account. `make` builds the ccxt object."""

    def __init__(self, make: Callable[[], Any], market: str, retry_attempts: int, retry_delay: float) -> None:
        self.exchange = make()
        self.dialect = dialect_of(type(self.exchange))
        self._family = family_of(type(self.exchange))
        table = (self.exchange.features or {}).get(market) or {}
        self._features: dict[str, Any] = table if market == "spot" else table.get("linear") or {}
        self._retry_attempts = retry_attempts
        self._retry_delay = retry_delay
        self._quiet_until = float("-inf")
        self._banned = False
        self._clock_at = float("-inf")

    def has(self, method: str) -> bool:
        return bool(self.exchange.has.get(method))

    def feature(self, method: str) -> dict[str, Any]:
        """What ccxt says of a method on this account's kind of market."""
        return self._features.get(method) or {}

    def market(self, symbol: str | None) -> dict[str, Any]:
        """The unified market; empty for one that was not loaded."""
        return (self.exchange.markets or {}).get(symbol) or {}

    def kind_params(self, method: str, order: Order) -> dict[str, Any]:
        """Some exchanges keep triggered orders in a book of their own."""
        stop = order.type in (OrderType.STOP, OrderType.STOP_LIMIT)
        return {"trigger": True} if stop and self.feature(method).get("trigger") else {}

    async def ask(self, method: str, *args: Any) -> Any:
        """A question, repeated while the network fails. Raises Transient, or OrderNotFound: an answer."""
        try:
            if trio.current_time() - self._clock_at > _CLOCK_S:
                await self.sync_clock()
            return await self._repeat(method, *args)
        except (Transient, OrderNotFound):
            raise
        except PlacementError as error:
            raise Transient(str(error)) from error
        except Exception as error:
            raise no_answer(error) from error

    async def cancel(self, *args: Any) -> Any:
        """A cancellation: it may be repeated. Raises NotSent, Rejected, Unknown, or OrderNotFound."""
        call = Call(reserve=None)
        try:
            with calling(call):
                return await self._repeat("cancel_order", *args)
        except (PlacementError, OrderNotFound):
            raise
        except Exception as error:
            raise placement_error(error, self._family, call) from error

    async def place(self, request: tuple[Any, ...], call: Call) -> Any:
        """One placement, sent once. Raises NotSent, Rejected or Unknown."""
        if self._clock_at == float("-inf"):
            await self._mended_clock()
        self._refuse_while_quiet()
        try:
            with calling(call):
                return await self.exchange.create_order(*request)
        except Exception as error:
            self._heed(error)
            raise placement_error(error, self._family, call) from error

    async def _mended_clock(self) -> None:
        try:
            await self.sync_clock()
        except Exception as error:
            raise NotSent(f"the clock's offset could not be asked: {error}") from error

    async def sync_clock(self) -> None:
        """Measure how far our clock is ahead, where the exchange takes that into account."""
        options = self.exchange.options
        if self.has("fetchTime") and "timeDifference" in options:
            # It counts the whole way there and back as difference, so that our timestamps are never ahead
            # of the exchange's clock: the fence can only close too early.
            await self._repeat("load_time_difference")
        self._clock_at = trio.current_time()

    async def _repeat(self, method: str, *args: Any) -> Any:
        delay, left = self._retry_delay, self._retry_attempts
        while True:
            self._refuse_while_quiet()
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
            self._quiet_until = max(self._quiet_until, trio.current_time() + wait)
            self._banned = getattr(error, "http_status", None) == 418
        if isinstance(error, InvalidNonce):
            self._clock_at = float("-inf")

    def _refuse_while_quiet(self) -> None:
        rest = self._quiet_until - trio.current_time()
        if rest > 0:
            why = "banned us" if self._banned else "asked us to slow down"
            raise NotSent(f"{self.exchange.id} {why}", retry_after=rest, frozen=self._banned)


def make_exchange(name: str, settings: AccountSettings, timeout: float) -> Any:
    """The configured ccxt object, nothing sent yet. Raises Fatal for what the configuration has wrong.

    `timeout`: seconds for one request.
    """
    try:
        kind = trio_exchange(settings.type)
    except ValueError:
        near = difflib.get_close_matches(settings.type, exchange_ids(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise Fatal(f"[exchanges.{name}] type: there is no exchange {settings.type!r}{hint}") from None
    if "maxRetriesOnFailure" in repr(settings.options):
        raise Fatal(f"[exchanges.{name}] options: maxRetriesOnFailure would send orders twice; remove it")
    base = urlsplit(settings.base_url)
    if settings.base_url and (base.scheme not in ("http", "https") or not base.netloc):
        raise Fatal(f"[exchanges.{name}] base_url: needs the form https://host:port")
    exchange = kind(
        {
            "apiKey": settings.api_key.reveal(),
            "secret": settings.api_secret.reveal(),
            "password": settings.password.reveal(),
            "timeout": int(timeout * 1000),
            "enableRateLimit": True,
            "base_url": settings.base_url,
            "burst_s": dialect_of(kind).burst_s,
            "options": {"defaultType": settings.market, **settings.options, **dialect_of(kind).options},
        }
    )
    missing = [
        one for one, needed in exchange.requiredCredentials.items() if needed and not getattr(exchange, one)
    ]
    if missing:
        ours = {"apiKey": "api_key", "secret": "api_secret"}
        raise Fatal(f"[exchanges.{name}] {ours.get(missing[0], missing[0])}: {settings.type} needs it")
    if settings.testnet:
        if not exchange.urls.get("test"):
            raise Fatal(
                f'[exchanges.{name}] testnet: {settings.type} has none; use base_url or mode = "dry_run"'
            )
        exchange.set_sandbox_mode(True)
    return exchange
