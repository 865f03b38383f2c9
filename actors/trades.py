"""The round trips, for whoever asks: the journal's fills folded once, and from then on only what is new."""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterator

import trio

from fks.domain.attribution import Attribution
from fks.domain.symbols import Markets, amount_step
from fks.domain.trades import RoundTrip, RoundTrips, TripQuery, Trips
from fks.ledger import Journal, Reader

CHUNK = 1_000  # fills in one look at the journal
KEPT = 10_000  # closed round trips of an account, the newest


class _Fold:
    """All round trips up to some fill. Only one thread at a time may go on with it."""

    def __init__(self, markets: Markets) -> None:
        self.known = frozenset(markets)
        self.trips = RoundTrips(lambda account, symbol: amount_step(markets, account, symbol))
        self.closed: dict[str, deque[tuple[int, RoundTrip]]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._attribution = Attribution()
        self._after = 0
        self._ended = 0

    def go_on(self, reader: Reader) -> bool:
        """Whether there is more."""
        for carried in reader.carried(self._after):
            self._attribution.begin(carried)
            self.trips.begin(carried.account, carried.symbol, carried.shares)
        executions, self._after = reader.executions(self._after, CHUNK)
        for part in (part for one in executions for part in self._attribution.parts(one)):
            for trip in self.trips.add(part):
                self._ended += 1
                self.closed[trip.account].append((self._ended, trip))
        return len(executions) == CHUNK

    def newest_first(self) -> Iterator[tuple[int, RoundTrip]]:
        return heapq.merge(*map(reversed, self.closed.values()), key=lambda one: one[0], reverse=True)


class Trades:
    """`markets` are those of the accounts that know theirs: their steps say what is too little to be sold."""

    def __init__(self, journal: Journal, markets: Callable[[], Markets]) -> None:
        self._journal = journal
        self._markets = markets
        self._fold: _Fold | None = None
        self._lock = trio.Lock()

    async def __call__(self, query: TripQuery) -> Trips:
        """The first question folds the whole journal, chunk by chunk; what was done is left to the next one
        when this is cancelled meanwhile. Raises what the journal's `read` raises.
        """
        async with self._lock:
            fold = await self._up_to_date()
            return query.answer(fold.newest_first(), fold.trips.still_open())

    async def _up_to_date(self) -> _Fold:
        markets = self._markets()
        fold = self._fold
        if fold is None or fold.known != frozenset(markets):
            fold = self._fold = _Fold(markets)
        try:
            while await self._journal.read(fold.go_on):  # without a deadline: its thread is never left alone
                pass
        except Exception:
            self._fold = None  # it may have stopped in the middle of something
            raise
        return fold
