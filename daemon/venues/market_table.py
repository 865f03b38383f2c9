"""The market list of one exchange: one for all of its accounts, kept fresh, and made beside the event loop.

It is read from disk or asked for in a worker thread, hourly, and sooner when an exchange has refused an
order for what the list should have known.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import trio

from fks.domain.errors import Transient
from fks.domain.messages import Market
from fks.domain.settings import AccountSettings
from fks.venues import ccxt_markets, market_cache
from fks.venues.long_lived import LONG_LIVED
from fks.venues.throttle import Silence
from fks.venues.trio_ccxt import in_thread

REFRESH_S = 3600.0
RETRY_S = 60.0  # after a refresh that failed, and between two that refused orders ask for

Make = Callable[[], Any]
Ask = Callable[[Callable[[], Awaitable["Loaded"]]], Awaitable["Loaded"]]
"""How an account asks its exchange: heeds bans, and raises Transient when there was no answer."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """One state of the list. `exchange`: a ccxt object that holds it; `at`: wall time of the answer.

    `whole`: every market of its kind is there, not only those that somebody wanted.
    """

    exchange: Any
    markets: Mapping[str, Market]
    at: float
    whole: bool


@dataclass(slots=True)
class MarketTable:
    """`wanted`: the symbols of all accounts together; None when one of them wants all.

    Whoever needs the list first loads it for the others. Refreshes are driven by the accounts that wait
    for them (`newer`), so a table that nobody uses asks nothing.
    """

    name: str
    kind: str
    file: Path | None
    wanted: set[str] | None = field(default_factory=set)
    _loaded: Loaded | None = field(init=False, default=None)
    _due_at: float = field(init=False, default=float("-inf"))  # trio's time, as `_asked_at`
    _asked_at: float = field(init=False, default=float("-inf"))
    _lock: trio.Lock = field(init=False, default_factory=trio.Lock)
    _woken: trio.Event = field(init=False, default_factory=trio.Event)

    def want(self, symbols: Collection[str]) -> None:
        """Have these, too; none means all. Counts from the next load on."""
        if not symbols:
            self.wanted = None
        elif self.wanted is not None:
            self.wanted |= set(symbols)

    async def get(self, symbols: Collection[str], make: Make, ask: Ask) -> Loaded:
        """A list not older than a day that holds `symbols`, as far as the exchange has them.

        Raises what `ask` raises.
        """
        async with self._lock:
            if (loaded := self._loaded) is not None and self._serves(loaded, symbols):
                return loaded
            cached = await self._cached(make)
            if cached is not None and self._serves(cached, symbols):
                self._adopt(cached, due_in=0.0)
                return cached
            return await self._refresh(make, ask)

    async def newer(self, than: Loaded | None, make: Make, ask: Ask) -> Loaded:
        """Wait for another list than this one, and load it when it is due. Never raises for an exchange."""
        while True:
            async with self._lock:
                if self._loaded is not None and self._loaded is not than:
                    return self._loaded
                if trio.current_time() >= self._due_at:
                    try:
                        return await self._refresh(make, ask)
                    except Transient as error:
                        log.warning("markets_not_refreshed", markets=self.name, reason=str(error))
                        self._due_at = trio.current_time() + RETRY_S
                woken = self._woken
            with trio.move_on_at(self._due_at):
                await woken.wait()

    def doubt(self) -> None:
        """An order was refused for what the list should have known: ask for it soon."""
        self._due_at = self._asked_at + RETRY_S  # which may be over: then at once
        self._wake()

    async def _cached(self, make: Make) -> Loaded | None:
        if self.file is None:
            return None
        read = partial(self._read, self.file, make, self._wanted())
        return await trio.to_thread.run_sync(read, abandon_on_cancel=True)

    def _serves(self, loaded: Loaded, symbols: Collection[str]) -> bool:
        young = time.time() - loaded.at < market_cache.FRESH_S
        return young and (loaded.markets.keys() >= set(symbols) if symbols else loaded.whole)

    def _wanted(self) -> frozenset[str] | None:
        return None if self.wanted is None else frozenset(self.wanted)

    async def _refresh(self, make: Make, ask: Ask) -> Loaded:
        self._asked_at = trio.current_time()
        known = self._loaded.exchange.markets if self._loaded else {}
        loaded = await ask(lambda: in_thread(partial(self._load, make, self._wanted(), known)))
        self._adopt(loaded, due_in=REFRESH_S)
        return loaded

    def _adopt(self, loaded: Loaded, *, due_in: float) -> None:
        self._loaded, self._due_at = loaded, trio.current_time() + due_in
        self._wake()

    def _wake(self) -> None:
        self._woken.set()
        self._woken = trio.Event()

    # --- in a worker thread

    async def _load(
        self, make: Make, wanted: frozenset[str] | None, known: Mapping[str, dict[str, Any]]
    ) -> Loaded:
        with LONG_LIVED:
            exchange = await ccxt_markets.load(make, self.kind, wanted or (), known)
            loaded = Loaded(exchange, ccxt_markets.as_markets(exchange), time.time(), wanted is None)
            LONG_LIVED.keep()
        if self.file is not None:
            market_cache.write(self.file, exchange.markets.values(), wanted, loaded.at)
        return loaded

    @staticmethod
    def _read(file: Path, make: Make, wanted: frozenset[str] | None) -> Loaded | None:
        with LONG_LIVED:
            cached = market_cache.read(file, wanted, time.time())
            if cached is None:
                return None
            raw = [one for one in cached.markets if wanted is None or one["symbol"] in wanted]
            exchange = ccxt_markets.restored(make, raw)
            loaded = Loaded(exchange, ccxt_markets.as_markets(exchange), cached.at, wanted is None)
            LONG_LIVED.keep()
            return loaded


class Shared:
    """What accounts have in common when they trade on the same servers. One for the whole daemon.

    `folder`: where market lists are kept between two starts; None: nowhere.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._tables: dict[tuple[object, ...], MarketTable] = {}
        self._bans: dict[tuple[object, ...], Silence] = {}

    def table(self, own: AccountSettings) -> MarketTable:
        """One for each exchange type, kind of market, testnet or not, and address."""
        key = (own.type, own.market, own.testnet, own.base_url)
        if key not in self._tables:
            address = hashlib.sha256(own.base_url.encode()).hexdigest()[:8] if own.base_url else ""
            name = "-".join(filter(None, (own.type, own.market, "testnet" * own.testnet, address)))
            file = self._folder / f"{name}.jsonl" if self._folder else None
            self._tables[key] = MarketTable(name, own.market, file)
        table = self._tables[key]
        table.want(own.symbols)
        return table

    def ban(self, own: AccountSettings) -> Silence:
        """One for each server and address that we come from: that is what an exchange bans."""
        return self._bans.setdefault((own.type, own.testnet, own.base_url, own.proxy), Silence())
